"""Draw the charts of a job's report, and those of its group anew: another fold is finished."""

from app.actions.show_evaluation import show_evaluation
from app.market.job_report import AssetReport
from app.registry.attempts import Hold, holds_job
from app.registry.database import Database
from app.registry.evaluations import group_evaluated, set_chart
from app.registry.tables import Job
from app.storage import Storage, hash_file
from worker.trading.chart import draw_chart


def draw_charts(database: Database, storage: Storage, job: Job, hold: Hold) -> None:
    """Draw one chart for each dataset of the job and of the evaluated jobs of its walk-forward group.

    Stops once the job is another's: what is not drawn then is the other's to draw.
    """
    with database.read() as session:
        shown = group_evaluated(session, job.walk_forward) if job.walk_forward else [job.id]
    for job_id in shown:
        report = show_evaluation(database, storage, job_id)
        for asset in report.assets:
            sha256 = _store(storage, asset, report.job_name)
            with database.write() as session:
                if not holds_job(session, hold):
                    return
                before = set_chart(session, job_id, asset.dataset_id, sha256)
            if before is not None:
                storage.remove(before)


def _store(storage: Storage, asset: AssetReport, job_name: str) -> str:
    with storage.receive() as path:
        draw_chart(asset, job_name, path)
        stored = hash_file(path)
        storage.adopt(path, stored)
    return stored.sha256
