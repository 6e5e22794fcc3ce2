import pytest

from app.network.schedule import Batch, shape_batch


@pytest.mark.parametrize(
    ("total", "num_envs", "fixed", "expected"),
    [
        (10**9, 4096, {}, Batch(4096, 128, 4)),
        # 30 updates of 256 x 128 need 950,273 steps: ceil(1e6 / 32768) = 31
        (1_000_000, 4096, {}, Batch(256, 128, 4)),
        # environments fall to 8 before steps do, steps to 16
        (29 * 8 * 16 + 1, 64, {}, Batch(8, 16, 4)),
        (30, 64, {}, Batch(1, 1, 1)),
        (1000, 64, {"num_envs": 64}, Batch(64, 1, 4)),
        (10**9, 64, {"num_envs": 3, "num_steps": 5}, Batch(3, 5, 3)),
        (10**9, 64, {"num_minibatches": 6}, Batch(63, 128, 6)),
        (10**9, 64, {"num_envs": 64, "num_minibatches": 6}, Batch(64, 126, 6)),
    ],
)
def test_hand_computed_batches(total: int, num_envs: int, fixed: dict[str, int], expected: Batch) -> None:
    assert shape_batch(total, num_envs, fixed) == expected
