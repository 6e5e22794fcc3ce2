"""A short schedule of faults on real processes; `python -m benchmarks.chaos --faults 100` is the long one."""

import pytest

from benchmarks.chaos import describe, is_clean
from benchmarks.chaos_faults import cut_connections, flush_redis, kill_trainer, step_clock
from benchmarks.chaos_relay import kill_after_publish, kill_before_publish
from benchmarks.chaos_run import Plan, run_chaos

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("journeys"), pytest.mark.timeout(600)]

SHORT = (kill_trainer, kill_before_publish, kill_after_publish, flush_redis, cut_connections, step_clock)


def test_whatever_fails_every_accepted_job_ends_once_with_the_undisturbed_weights() -> None:
    told: list[str] = []
    plan = Plan(len(SHORT), 7, timesteps=2_000, kinds=SHORT, open_jobs=2, jobs_per_fault=0, poison=False)
    outcome = run_chaos(plan, told.append, orphan_seconds=4)
    assert is_clean(outcome), "\n".join((*told, *describe(outcome)))
    assert len(outcome.harms) == len(SHORT)
    checked = {verdict.invariant: verdict.checked for verdict in outcome.verdicts}
    assert all(count for name, count in checked.items() if "poison" not in name), checked
