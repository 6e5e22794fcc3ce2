"""Bytes in memory: a walk through an update and a rollout, and what lies outside the tensors."""
