"""The whole answer: every part agrees with the room that it comes from."""

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from calibrations import calibration

from app.errors import CaliperError
from app.network.auto_config import resolve_config
from app.network.config import PPOConfig
from app.network.estimate import estimate
from app.network.fits.cards import CARDS, find_card
from app.network.memory.device_overhead import CPU_OVERHEADS, MARGIN_SHARE
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


@pytest.mark.parametrize("switch", ["norm_adv", "clip_vloss", "oom_retry", "norm_reward"])
def test_a_switch_that_changes_what_is_needed_is_told_among_the_settings(switch: str) -> None:
    usual = ask(device="cpu")
    other = ask(device="cpu", settings={switch: not getattr(usual.settings, switch)})
    assert getattr(other.settings, switch) is not getattr(usual.settings, switch)
    assert (other.memory, other.disk) != (usual.memory, usual.disk)


def test_short_episodes_are_counted_where_observations_are_windows() -> None:
    windows: dict[str, Any] = {"lookback": 100, "features": 48, "rows": 2335}
    usual, short = (ask(**windows, device="cpu", episode_length=length) for length in (None, 2))
    assert (usual.settings.episode_length, short.settings.episode_length) == (None, 2)
    assert short.time.phases != usual.time.phases
    assert ask(episode_length=2).memory == ask().memory


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


def test_a_measured_cpu_is_the_device_whose_memory_is_told() -> None:
    """Its need is a CPU's, not a card's."""
    answer = ask(calibration=calibration(), memory_bytes=700_000_000)
    needed = run_memory(SHAPE, CONFIG, RunPlan(device_type="cpu")).total_bytes
    assert answer.device is not None
    assert (answer.device.device_type, answer.device.needed_bytes) == ("cpu", needed)
    assert answer.memory.total_bytes == needed


@pytest.mark.parametrize("measured", ["NVIDIA H200", "NVIDIA H100 80GB HBM3", "a card of my own"])
def test_another_card_s_speed_is_not_told_as_the_one_s_that_is_asked_about(measured: str) -> None:
    speed = calibration(device=measured, device_type="cuda")
    with pytest.raises(CaliperError, match="T4 is asked about") as caught:
        ask(calibration=speed, gpu="t4")
    assert caught.value.pointer == "calibration"
    assert measured in caught.value.detail
    assert ask(calibration=speed).time.basis == "calibrated"


def test_a_card_s_own_speed_is_told_under_any_of_its_names() -> None:
    speed = calibration(device="Tesla T4", device_type="cuda")
    answer = ask(calibration=speed, gpu="NVIDIA T4")
    assert answer.time.basis == "calibrated"
    assert answer.device is not None
    assert answer.device.name == "T4"


def test_a_cpu_s_speed_is_no_card_s() -> None:
    with pytest.raises(CaliperError, match="'test CPU, 1 threads' was measured") as caught:
        ask(calibration=calibration(), gpu="t4")
    assert caught.value.pointer == "calibration"


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


def test_the_cpu_tier_has_what_is_granted_there_throughout() -> None:
    """Its verdict, its automatic choice and the constant are the same number."""
    for granted in (400_000_000, 12_000_000_000):
        answer = ask(cpu_memory_bytes=granted)
        assert answer.fits[-1].tier == answer.tier_defaults[-1].tier == "cpu"
        assert answer.fits[-1].card_bytes == answer.tier_defaults[-1].card_bytes == granted
        assert answer.fits[-1].fits == (answer.fits[-1].needed_bytes <= granted)
        constants = {each.name: each.value for each in answer.constants}
        assert constants["smallest card of tier cpu"] == granted
        assert constants["smallest card of tier low"] == TIERS["low"].smallest_bytes


def test_windows_make_the_rollout_small_and_keep_the_series() -> None:
    plain, windowed = ask(), ask(lookback=100, features=48, rows=2335)
    assert windowed.settings.windows is not None
    assert windowed.settings.dataset_bytes == 48 * 2335 * 4
    parts = [{part.name: part.bytes for part in each.memory.components} for each in (plain, windowed)]
    assert parts[1]["rollout buffer"] * 20 < parts[0]["rollout buffer"]
    assert parts[1]["dataset"] == 48 * 2335 * 4


def test_a_table_that_only_a_cpu_can_have_is_sized_there_and_limits_the_environments() -> None:
    """The cards are sized by a way that they can have; more environments than the table holds do not fit."""
    sizes: dict[str, Any] = {"lookback": 100, "features": 53, "rows": 1_000_000}
    given: dict[str, Any] = {**sizes, "settings": {"first_layer": "table"}}
    answer = ask(**given, device="cpu", memory_bytes=10**11)
    assert [card.needed_bytes for card in answer.cards] == [card.needed_bytes for card in ask(**sizes).cards]
    assert answer.device is not None
    most = answer.device.largest_num_envs
    assert 16 < most < ask(**sizes, device="cpu", memory_bytes=10**11).device.largest_num_envs  # type: ignore[union-attr]
    more = {**given, "device": "cpu"}
    ask(**{**more, "settings": {"first_layer": "table", "num_envs": most}})
    with pytest.raises(CaliperError, match="a table's windows take"):
        ask(**{**more, "settings": {"first_layer": "table", "num_envs": 2 * most}})


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
    assert constants["process"].value == CPU_OVERHEADS[0].bytes  # the CPU tier's memory rests on it


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
        ({"device": "cpu", "settings": {"precision": "tf32"}}, "precision"),
        ({"calibration": calibration(), "settings": {"precision": "tf32"}}, "precision"),
        ({"lookback": 7}, "features"),
        ({"settings": {"first_layer": "table"}}, "first_layer"),
        ({"settings": {"first_layer": "convolution"}}, "first_layer"),
        (
            {
                "settings": {"first_layer": "table", "norm_obs": True},
                "lookback": 100,
                "features": 48,
                "rows": 2335,
            },
            "first_layer",
        ),
        ({"episode_length": 0}, "episode_length"),
        ({"episode_length": 10**9 + 1}, "episode_length"),
        ({"dataset_bytes": -1}, "dataset_bytes"),
        ({"dataset_bytes": (1 << 50) + 1}, "dataset_bytes"),
    ],
)
def test_what_no_run_can_have_is_refused(given: dict[str, Any], pointer: str) -> None:
    with pytest.raises(CaliperError) as caught:
        ask(**given)
    assert caught.value.pointer == pointer
    assert caught.value.hint
