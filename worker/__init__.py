"""Everything that needs torch: the Celery worker, the trainer, the trading environment."""
