"""What is in a checkpoint file, read without running it; standard library only."""
