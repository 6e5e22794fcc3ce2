"""The batched trading environment and the evaluation of a policy on it."""
