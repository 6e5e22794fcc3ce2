"""What a policy network is, how big it is, and what it needs; standard library only."""
