"""The windows that a plan is sized by are those that its training sees."""

import io

import pytest
from factories import small_spec

from app.actions.accept_dataset import accept_dataset
from app.actions.submit_job import submit_job
from app.jobs.plan import TrainingPlan
from app.market.bars import Bars, load_bars
from app.registry.database import Database
from app.registry.tables import Dataset
from app.settings import Settings
from app.storage import Storage
from tests.market.making import make_bars
from worker.assemble import assemble
from worker.ppo.observe import describe
from worker.trading.env import TradingEnv

WHOLE, GAPPED = make_bars(4_000, seed=1), make_bars(4_000, seed=2, gaps=(1_200, 1_900))


@pytest.mark.parametrize("markets", [(WHOLE,), (GAPPED,), (WHOLE, GAPPED)], ids=["whole", "gapped", "both"])
def test_a_plan_knows_the_windows_of_its_training(
    markets: tuple[Bars, ...], registry: Database, storage: Storage, settings: Settings
) -> None:
    rows = [_upload(registry, storage, settings, str(place), bars) for place, bars in enumerate(markets)]
    spec = small_spec(dataset=None, datasets=[row.id for row in rows])
    job = submit_job(registry, settings, spec).job
    plan = TrainingPlan.from_plain(job.id, job.config)
    bars = {}
    for row in rows:
        with storage.local_copy(row.file_sha256) as path:
            bars[row.id] = load_bars(path)
    env = assemble(plan, bars).trainer.env
    assert isinstance(env, TradingEnv)
    assert plan.run_plan.windows == describe(env.windows)
    assert plan.run_plan.windows.ranges == sum(len(one.segments) for one in markets)


def _upload(registry: Database, storage: Storage, settings: Settings, name: str, bars: Bars) -> Dataset:
    file = io.BytesIO(bars.canonical_bytes())
    return accept_dataset(registry, storage, settings, file, name=name, declarations=bars.declarations)
