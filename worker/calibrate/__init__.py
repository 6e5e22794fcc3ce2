"""Measures a device in seconds: the speeds from which app/network/timing/training_time.py predicts."""
