"""The command that starts a worker, shown wherever a job waits for one."""


def worker_command(tier: str) -> str:
    """Starts a worker of this tier, in the folder of a release with the service's settings (docs/how-to/gpu-worker.md)."""
    return (
        f"CALIPER_DEFAULT_TIER={tier} celery -A worker.main:app worker -P prefork -c 1 -n caliper-{tier}@%h"
    )
