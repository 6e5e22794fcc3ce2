"""Measures a device in seconds: the speeds from which app/network/training_time.py predicts."""
