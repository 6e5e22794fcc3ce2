"""The drawing of a network: which boxes, in which order, joined how, and that nothing lies upon another."""

import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.ui.architecture import BOX_HEIGHT, BOX_WIDTH, MOST_DRAWN, Drawing, draw_architecture
from app.ui.figures import TIMES


def fact(value: Any) -> dict[str, Any]:
    return {"value": value, "basis": "both", "note": ""}


def report(*layers: tuple[str, list[int]], **facts: Any) -> dict[str, Any]:
    sizes = [max(1, len(name) * 10) for name, _ in layers]
    return {
        "architecture": {name: fact(value) for name, value in facts.items()},
        "layers": [
            {"name": name, "shape": shape, "parameters": size, "share": size / sum(sizes)}
            for (name, shape), size in zip(layers, sizes, strict=True)
        ],
    }


def drawn(*layers: tuple[str, list[int]], **facts: Any) -> Drawing:
    drawing = draw_architecture(report(*layers, **facts))
    assert drawing is not None
    return drawing


SHARED = (
    ("trunk.0", [16, 12]),
    ("trunk.2", [8, 16]),
    ("actor.0", [64, 8]),
    ("actor.2", [3, 64]),
    ("critic.0", [64, 8]),
    ("critic.2", [1, 64]),
)
FACTS = {"obs_dim": 12, "action_dim": 3, "action_kind": "discrete", "activation": "tanh"}


def test_a_shared_trunk_parts_into_two_heads() -> None:
    drawing = drawn(*SHARED, **FACTS)
    assert [(box.kind, box.name, box.detail.partition(" ·")[0]) for box in drawing.boxes] == [
        ("Observation", "", "12"),
        ("Linear", "trunk.0", "12 → 16"),
        ("Linear", "trunk.2", "16 → 8"),
        ("Linear", "actor.0", "8 → 64"),
        ("Linear", "actor.2", "64 → 3"),
        ("Action", "", "3"),
        ("Linear", "critic.0", "8 → 64"),
        ("Linear", "critic.2", "64 → 1"),
        ("Value", "", "1"),
    ]
    by_name = {box.name: box for box in drawing.boxes}
    assert by_name["actor.0"].x < by_name["trunk.2"].x < by_name["critic.0"].x
    assert by_name["actor.0"].y == by_name["critic.0"].y


def test_arrows_lead_from_each_box_to_the_next_with_the_activation_between_layers() -> None:
    drawing = drawn(*SHARED, **FACTS)
    starts = {(box.x + BOX_WIDTH / 2, box.y + BOX_HEIGHT): box.name or box.kind for box in drawing.boxes}
    ends = {(box.x + BOX_WIDTH / 2, box.y - 1): box.name or box.kind for box in drawing.boxes}
    joined = [(starts[a.x1, a.y1], ends[a.x2, a.y2], a.label) for a in drawing.arrows]
    assert joined == [
        ("Observation", "trunk.0", ""),
        ("trunk.0", "trunk.2", "tanh"),
        ("trunk.2", "actor.0", "tanh"),
        ("actor.0", "actor.2", "tanh"),
        ("actor.2", "Action", ""),
        ("trunk.2", "critic.0", "tanh"),
        ("critic.0", "critic.2", "tanh"),
        ("critic.2", "Value", ""),
    ]


def test_two_networks_begin_at_the_observation() -> None:
    drawing = drawn(("actor.0", [8, 6]), ("critic.0", [8, 6]))
    assert [box.kind for box in drawing.boxes] == ["Observation", "Linear", "Action", "Linear", "Value"]
    assert {a.y1 for a in drawing.arrows[:1] + drawing.arrows[2:3]} == {drawing.boxes[0].y + BOX_HEIGHT}


def test_a_network_without_heads_is_one_chain_to_the_action() -> None:
    drawing = drawn(("0", [8, 6]), ("2", [3, 8]))
    assert [box.kind for box in drawing.boxes] == ["Observation", "Linear", "Linear", "Action"]
    assert drawing.boxes[0].detail == "not known"


def test_a_convolution_shows_its_window_and_a_vector_its_length() -> None:
    drawing = drawn(("trunk.0", [32, 4, 8, 8]), ("trunk.1", [512]))
    assert [(box.kind, box.detail.partition(" ·")[0]) for box in drawing.boxes[1:3]] == [
        ("Convolution", f"4 → 32 (8{TIMES}8)"),
        ("Vector", "512"),
    ]


def test_a_long_chain_is_drawn_without_its_middle() -> None:
    drawing = drawn(*((f"trunk.{n}", [8, 8]) for n in range(100)))
    assert len(drawing.boxes) == MOST_DRAWN + 1 + 2
    assert f"{100 - MOST_DRAWN} more layers" in [box.kind for box in drawing.boxes]


def test_nothing_is_drawn_of_a_file_without_layers() -> None:
    assert draw_architecture(report()) is None
    assert draw_architecture(report(("obs_rms.mean", [6]))) is None


names = st.sampled_from(["trunk", "actor", "critic", "pi", "value_net", "obs_rms", "features"])
shapes = st.lists(st.integers(0, 4_096), max_size=5)


@given(st.lists(st.tuples(st.builds("{}.{}".format, names, st.integers(0, 99)), shapes), max_size=40))
def test_no_box_lies_upon_another_or_outside(layers: list[tuple[str, list[int]]]) -> None:
    drawing = draw_architecture(report(*layers))
    if drawing is None:
        return
    for box in drawing.boxes:
        assert 0 <= box.x <= drawing.width - BOX_WIDTH
        assert 0 <= box.y <= drawing.height - BOX_HEIGHT
        assert 0 <= box.bar <= BOX_WIDTH
    for a, b in itertools.combinations(drawing.boxes, 2):
        assert abs(a.x - b.x) >= BOX_WIDTH or abs(a.y - b.y) >= BOX_HEIGHT
