"""The only SQL: datasets, jobs, attempts, events, metrics, checkpoints."""
