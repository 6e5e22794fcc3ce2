"""Reasons for what a job's plan holds beside its PPO settings."""

from factories import small_spec

from app.jobs.choices import explain_choices
from app.market.trading import RETAIL_COSTS, ActionSpec, EnvSpec


def test_what_was_left_out_is_told_from_what_was_stated() -> None:
    reasons = explain_choices(small_spec(lookback=100, features=None))
    assert reasons["features"] == "all of schema v1, then every column of your own that all datasets have"
    assert reasons["lookback"] == reasons["environment/reward"] == "the default"
    assert reasons["environment/costs"] == "as stated; costs have no default"
    assert reasons["split"] == "60/20/20 in the order of time: no folds were asked for"
    assert reasons["weights"].startswith("fresh")
    assert reasons["max_attempts"] == "the service's setting"


def test_what_was_stated_says_so() -> None:
    environment = EnvSpec(RETAIL_COSTS, actions=ActionSpec(kind="gaussian"), episode_length=50)
    spec = small_spec(
        environment=environment,
        scale_features=False,
        max_attempts=1,
        initial_checkpoint="live",
        folds=5,
        fold=2,
    )
    reasons = explain_choices(spec)
    stated = ("features", "lookback", "scale_features", "max_attempts")
    assert {reasons[name] for name in stated} == {"as asked for"}
    assert reasons["environment/actions"] == reasons["environment/episode_length"] == "as asked for"
    assert reasons["environment/reward"] == "the default"
    assert reasons["split"] == "fold 2 of the 5 walk-forward folds asked for"
    assert reasons["weights"] == "those of live, as asked for"
    assert explain_choices(small_spec(folds=5))["split"].startswith("the last fold")
