"""The list of constants: each once, with its basis; every named number of the memory's walks is in it."""

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

from app.market import schema
from app.network import choice_constants, constants, first_layer, memory, memory_constants
from app.network.config import PPOConfig
from app.network.constant import Constant
from app.network.constants import constants_for
from app.network.first_layer import RATES
from app.network.fits import fit, limits
from app.network.memory import tape
from app.network.memory.device_overhead import CPU_OVERHEADS, CUDA_OVERHEADS, DeviceType
from app.network.memory.loss_memory import BACKWARD, FORWARD, SAVED
from app.network.memory.rollout_memory import ACCOUNT_STATE, RolloutMemory
from app.network.memory.tape import BLOCK, blocks
from app.network.shape import NetworkShape

LISTED = {name for module in (constants, memory_constants, choice_constants) for name in vars(module)}

ELSEWHERE = {
    "FIXED": "a unit, no number",
    "INDEX": "the same as INDEX_BYTES",
    "WIDE": "the same as VALUE",
    "MIB": "a unit",
    "GB": "a unit",
    "NEVER": "more than any device has: what cannot be trained",
    "REMEMBERED": "walks kept for the next question",
    "MOST_ROWS": "a limit of the question",
    "SLACK": "when a search takes a stretch for straight; the answer is the same without",
    "FINE_SLACK": "the same",
    "WELL_BELOW": "where a search begins",
    "WELL_BEYOND": "the same",
    "MOST_STEPS": "where a search gives up",
}


def by_name(device_type: DeviceType = "cuda") -> dict[str, Constant]:
    return {each.name: each for each in constants_for(device_type)}


def named_numbers() -> Iterator[tuple[str, str]]:
    """Module and name of every number that the memory, the first layer, the searches and the proposals define."""
    names = [f"{memory.__name__}.{found.name}" for found in pkgutil.iter_modules(memory.__path__)]
    for module in (*map(importlib.import_module, names), first_layer, fit, limits):
        for name, value in vars(module).items():
            if name.isupper() and isinstance(value, int | float):
                yield module.__name__, name


def test_every_named_number_is_listed() -> None:
    places = vars(tape).keys() - {"BLOCK"}  # kinds of memory by their place in a tuple
    known = {*LISTED, *ELSEWHERE, *places}
    assert {(module, name) for module, name in named_numbers() if name not in known} == set()


@pytest.mark.parametrize("device_type", ["cpu", "cuda"])
def test_each_stands_once_with_a_basis_and_a_source(device_type: DeviceType) -> None:
    found = constants_for(device_type)
    assert len({each.name for each in found}) == len(found)
    assert {each.basis for each in found} == {"exact", "measured", "assumed"}
    assert all(each.source for each in found)


@pytest.mark.parametrize("device_type", ["cpu", "cuda"])
def test_what_both_kinds_of_device_hold_is_listed_as_tiers_of_both_are_answered(
    device_type: DeviceType,
) -> None:
    found = by_name(device_type)
    for overhead in (*CPU_OVERHEADS, *CUDA_OVERHEADS):
        assert (found[overhead.name].value, found[overhead.name].basis) == (overhead.bytes, overhead.basis)
    names = list(found)
    own, other = ("process", "CUDA context") if device_type == "cpu" else ("CUDA context", "process")
    assert names.index(own) < names.index(other)


def test_nothing_of_a_card_is_said_to_be_measured() -> None:
    of_cards = {item.name for item in CUDA_OVERHEADS} | {"state of a GPU's generator"}
    on_cards = [
        each
        for each in constants_for("cuda")
        if each.name in of_cards or "memory of " in each.name or "cuda" in each.name
    ]
    assert len(on_cards) > len(of_cards) + 30
    assert {each.basis for each in on_cards} == {"assumed"}


def test_the_loss_s_counts_are_those_of_its_walk() -> None:
    found = by_name()
    assert found["loss forward 1, discrete: by action"].value == FORWARD["discrete"][0].per_action
    assert found["loss forward 2, gaussian: single values"].value == FORWARD["gaussian"][1].values
    assert found["loss kept for backward 1, gaussian: by sample"].value == SAVED["gaussian"].per_sample
    assert found["loss backward 2, discrete: flags by action"].value == BACKWARD["discrete"][1].action_flags
    assert "loss forward 2, gaussian: by sample" not in found  # none


def test_the_first_layer_s_rates_are_those_by_which_its_way_is_chosen() -> None:
    found = by_name()
    assert found["first layer: copy, cpu"].value == RATES["cpu"].copy
    assert found["first layer: product, cuda"].value == RATES["cuda"].product


def test_what_other_rooms_count_is_what_is_listed() -> None:
    found = by_name()
    assert found["account features in work"].value == len(schema.ACCOUNT_FEATURES)
    memory_of = RolloutMemory(NetworkShape(8, (4,)), PPOConfig((4,)), 8, sliding_row_bytes=20, lookback=3)
    counted = blocks(memory_of.envs * 20 * 3) + ACCOUNT_STATE * blocks(8 * memory_of.envs)
    filled = found["blocks of an environment that are filled in part"].value
    assert memory_of.environment - counted == filled * BLOCK
