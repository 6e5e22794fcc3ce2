"""What the trainer process tells its supervisor by its exit code."""

DONE = 0
"""The end of the job has been recorded, or is another worker's to record."""

STOPPED = 75
"""Stopped on request after a last checkpoint (EX_TEMPFAIL)."""
