"""A configuration in rows: values, reasons, and what stands out."""

from app.ui.job_config import explain_config

JOB = {
    "tier": "cpu",
    "max_attempts": 3,
    "spec": {"initial_checkpoint": None},
    "config": {
        "ppo": {"hidden_dims": [8], "gamma": 0.9, "seed": 1},
        "schema": {
            "names": [f"f{n}" for n in range(9)],
            "account": ["position"],
            "lookback": 5,
            "own": [],
            "masked": ["f0"],
        },
        "scale_features": True,
        "environment": {"costs": {"fee_bps": 5.0}, "reward": "log_return"},
        "datasets": [{"name": "googl", "rows": 1_000, "fold": {"train": {"start": 1, "stop": 600}}}],
    },
    "reasons": {
        "tier": "asked for",
        "hidden_dims": "the tier's",
        "gamma": "your override: 0.9",
        "seed": "the default",
        "max_attempts": "the service's setting",
        "weights": "fresh: none named",
        "features": "all of schema v1",
        "environment/costs": "as stated",
        "environment/reward": "the default",
        "split": "60/20/20",
    },
}


def test_settings_are_grouped_with_their_reasons() -> None:
    groups = {group.title: {each.name: each for each in group.settings} for group in explain_config(JOB)}
    assert list(groups) == ["Run", "Network", "Learning", "Observation", "Environment", "Data"]
    assert groups["Network"]["hidden_dims"].reason == "the tier's"
    assert list(groups["Learning"]) == ["gamma", "seed"]
    assert groups["Observation"]["features"].value == "9: f0, f1, f2 … f8"
    assert groups["Observation"]["masked"].reason == "held at 0: no volume"
    assert "own" not in groups["Observation"]
    assert groups["Environment"]["costs.fee_bps"].reason == "as stated"
    assert groups["Data"]["googl"].value == "1,000 bars: rows train 1 to 600"


def test_what_somebody_chose_stands_out() -> None:
    chosen = {each.name for group in explain_config(JOB) for each in group.settings if each.is_chosen}
    assert {"tier", "hidden_dims", "gamma", "costs.fee_bps"} <= chosen
    assert not chosen & {"seed", "max_attempts", "weights", "features", "reward", "googl", "account"}
