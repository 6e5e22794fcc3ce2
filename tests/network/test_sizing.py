"""The whole answer: every part agrees with the room that it comes from."""

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from app.errors import CaliperError
from app.network.auto_config import resolve_config
from app.network.config import PPOConfig
from app.network.constants import constants_for
from app.network.estimate import estimate
from app.network.fits.cards import CARDS, find_card
from app.network.memory.device_overhead import MARGIN_SHARE
from app.network.memory.run_memory import run_memory
from app.network.memory.run_plan import RunPlan
from app.network.memory.tape import BLOCK
from app.network.question import Question
from app.network.shape import NetworkShape
from app.network.sizing import Sizing, size_network
from app.network.tiers import TIERS

DIMS = (512, 256, 128)
SHAPE, CONFIG = NetworkShape(5300, DIMS), PPOConfig(hidden_dims=DIMS)
ASKED = Question(obs_dim=5300, hidden_dims=DIMS)


def ask(**values: Any) -> Sizing:
    return size_network(replace(ASKED, **values))


def test_the_estimate_is_within_it_unchanged() -> None:
    whole = asdict(size_network(ASKED))
    assert {name: whole[name] for name in asdict(estimate(SHAPE, CONFIG))} == asdict(estimate(SHAPE, CONFIG))
    assert json.loads(json.dumps(whole))["cards"]


def test_settings_say_what_the_answer_holds_for() -> None:
    settings = ask(settings={"num_envs": 64, "precision": "bf16"}, adam="foreach").settings
    assert (settings.num_envs, settings.num_steps, settings.batch_size) == (64, 128, 64 * 128)
    assert (settings.minibatch_size, settings.num_updates) == (2048, 123)  # 1,000,000 / 8,192, rounded up
    assert (settings.precision, settings.adam, settings.device, settings.windows) == (
        "bf16",
        "foreach",
        "cuda",
        None,
    )


def test_each_card_has_its_verdict_and_limits() -> None:
    answer = ask(settings={"num_envs": 8192})
    needed = run_memory(SHAPE, replace(CONFIG, num_envs=8192), RunPlan()).total_bytes
    assert [card.name for card in answer.cards] == [card.name for card in CARDS]
    for card in answer.cards:
        assert card.needed_bytes == needed
        assert card.fits == (card.free_bytes >= 0) == (needed <= card.card_bytes)
        assert card.fits == (card.largest_num_envs >= 8192)
        assert (card.card_bytes, card.tier) == (find_card(card.name).bytes, find_card(card.name).tier.name)
    assert {card.fits for card in answer.cards} == {True, False}


def test_no_device_was_asked_about() -> None:
    assert ask().device is None
    assert ask(device="cpu").device is None


def test_the_card_asked_about_has_the_row_s_numbers_and_more() -> None:
    answer = ask(gpu="NVIDIA L40S")
    row = next(card for card in answer.cards if card.name == "L40S")
    device = answer.device
    assert device is not None
    assert (device.name, device.card_bytes, device.needed_bytes) == (
        row.name,
        row.card_bytes,
        row.needed_bytes,
    )
    assert (device.largest_minibatch, device.largest_num_envs) == (
        row.largest_minibatch,
        row.largest_num_envs,
    )
    assert (device.fits, device.nearest_fit, device.fewest_minibatches) == (True, None, 1)
    assert "high" in device.tier_reason


def test_what_does_not_fit_comes_with_what_would() -> None:
    device = ask(gpu="1g.5gb", settings={"num_envs": 8192}).device
    assert device is not None
    assert not device.fits
    assert device.nearest_fit is not None
    again = ask(
        gpu="1g.5gb",
        hidden_dims=tuple(device.nearest_fit.get("hidden_dims", DIMS)),
        settings={name: value for name, value in device.nearest_fit.items() if name != "hidden_dims"},
    ).device
    assert again is not None
    assert again.fits
    assert again.needed_bytes == device.nearest_fit_bytes


def test_a_machine_s_own_memory_is_compared_with_the_cpu_s_need() -> None:
    answer = ask(device="cpu", memory_bytes=600_000_000)
    needed = run_memory(SHAPE, CONFIG, RunPlan(device_type="cpu")).total_bytes
    assert answer.device is not None
    assert answer.device.needed_bytes == needed == answer.memory.total_bytes
    assert answer.device.fits == (needed <= 600_000_000)
    assert answer.cards[0].needed_bytes == run_memory(SHAPE, CONFIG, RunPlan()).total_bytes


def test_each_tier_s_choice_is_the_auto_config_s_with_its_reasons() -> None:
    answer = ask(settings={"total_timesteps": 50_000, "layer_norm": True})
    assert [each.tier for each in answer.tier_defaults] == list(TIERS)
    for each in answer.tier_defaults:
        tier = TIERS[each.tier]
        resolved = resolve_config(tier, 50_000, overrides={"layer_norm": True})
        assert each.hidden_dims == resolved.config.hidden_dims
        assert (each.num_envs, each.num_steps) == (resolved.config.num_envs, resolved.config.num_steps)
        assert each.reasons["num_envs"] == resolved.reasons["num_envs"]
        shape = NetworkShape(5300, each.hidden_dims, layer_norm=True)
        assert each.parameters == shape.parameters
        plan = RunPlan(device_type=tier.device_type)
        assert each.needed_bytes == run_memory(shape, resolved.config, plan).total_bytes
        assert each.fits == (each.free_bytes >= 0) == (each.needed_bytes <= tier.smallest_bytes)
    quick = ask(training_mode="quick").tier_defaults[0]
    assert "quick" in quick.reasons["learning_rate"]
    assert quick.learning_rate != answer.tier_defaults[0].learning_rate


def test_windows_make_the_rollout_small_and_keep_the_series() -> None:
    plain, windowed = ask(), ask(lookback=100, features=48, rows=2335)
    assert windowed.settings.windows is not None
    assert windowed.settings.dataset_bytes == 48 * 2335 * 4
    parts = [{part.name: part.bytes for part in each.memory.components} for each in (plain, windowed)]
    assert parts[1]["rollout buffer"] * 20 < parts[0]["rollout buffer"]
    assert parts[1]["dataset"] == 48 * 2335 * 4


def test_several_processes_share_the_batch() -> None:
    whole, half = ask(), ask(world_size=2)
    assert half.settings.world_size == 2
    assert half.memory.total_bytes < whole.memory.total_bytes
    assert all(each.largest_num_envs % 2 == 0 for each in half.cards)


def test_every_constant_has_a_unit_a_source_and_a_basis() -> None:
    constants = {each.name: each for each in ask().constants}
    assert constants["allocator block"].value == BLOCK == 512
    assert constants["margin"].value == MARGIN_SHARE
    assert constants["memory of T4"].value == find_card("t4").bytes
    assert {each.basis for each in constants.values()} == {"exact", "measured", "assumed"}
    assert all(each.source for each in constants.values())
    for overhead in ask().memory.overheads:
        if overhead.name != "margin":
            assert constants[overhead.name].value == overhead.bytes
    assert "process" in {each.name for each in constants_for("cpu")}
    assert "CUDA context" not in {each.name for each in constants_for("cpu")}


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"adam": "sgd"}, "adam"),
        ({"training_mode": "slow"}, "training_mode"),
        ({"world_size": 0}, "world_size"),
        ({"world_size": 3}, "world_size"),
        ({"world_size": 17}, "world_size"),
        ({"world_size": 16, "settings": {"num_steps": 2}}, "world_size"),
        ({"settings": {"num_minibatches": 7}}, "num_minibatches"),
        ({"settings": {"activation": "gelu"}}, "activation"),
        ({"hidden_dims": ()}, "hidden_dims"),
        ({"gpu": "t4", "settings": {"precision": "bf16"}}, "precision"),
        ({"lookback": 7}, "features"),
    ],
)
def test_what_no_run_can_have_is_refused(given: dict[str, Any], pointer: str) -> None:
    with pytest.raises(CaliperError) as caught:
        ask(**given)
    assert caught.value.pointer == pointer
    assert caught.value.hint
