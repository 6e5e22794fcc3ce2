"""Answers of a played service, as the real one gives them."""

import hashlib

SPAN = {
    "name": "test",
    "first_bar": "2017-01-03T14:30:00Z",
    "last_bar": "2018-08-27T14:30:00Z",
    "policy": {"total_return": -0.123, "sharpe": -0.4, "max_drawdown": -0.2, "trades": 1234},
    "buy_and_hold": {"total_return": 0.25, "sharpe": 1.5, "max_drawdown": -0.1, "trades": 1},
    "sma_cross": {"total_return": 0.1, "sharpe": None, "max_drawdown": 0.0, "trades": 0},
}
RESULT = {
    "checkpoint_id": "checkpoint_1",
    "global_step": 100,
    "evaluation": {
        "before_costs": False,
        "spans": [SPAN],
        "verdict": ["On test the policy did worse than buy & hold."],
    },
}
CHECKPOINT = {
    "id": "checkpoint_1",
    "name": "demo",
    "kind": "final",
    "tags": ["daily"],
    "aliases": ["live"],
    "hidden_dims": [256, 128, 64],
    "step": 1000,
    "bytes": 5,
    "predicted_bytes": 5,
    "sha256": hashlib.sha256(b"bytes").hexdigest(),
    "report": None,
}
DATASET = {
    "id": "dataset_1",
    "name": "googl",
    "rows": 2335,
    "bar_seconds": 86400,
    "starts_at": "2009-05-22T13:30:00Z",
    "ends_at": "2018-08-29T13:30:00Z",
    "declarations": {"calendar": "XNYS"},
    "report": {"warnings": [{"code": "W_JUMP", "message": "a jump"}]},
}
PROGRESS = {
    "global_step": 50,
    "total_timesteps": 100,
    "steps_per_second": 10.0,
    "seconds_left": 5.0,
    "policy_loss": 0.5,
}
COSTS = "fee_bps=5,half_spread_bps=1,slippage=0.02,borrow_bps_per_year=0"
EVENTS = (
    (1, "state", {"state": "running", "worker": "gpu-1"}),
    (2, "progress", {**PROGRESS, "at": "2026-11-23T12:00:01+00:00"}),
    (3, "state", {"state": "succeeded"}),
)
