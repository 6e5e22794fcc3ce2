"""docs/sizing.md against the code: every row of its first two chapters is computed here, every figure accounted for."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.network.config import PPOConfig
from app.network.disk.archive_size import torch_save_bytes
from app.network.disk.canonical import canonical_tree
from app.network.disk.contents import adam_specs, policy_specs
from app.network.estimate import ADAM_BYTES, disk_estimate
from app.network.fits.cards import find_card
from app.network.shape import NetworkShape
from app.network.tiers import TIERS, a100_hidden_dims, detect_tier
from app.network.use_cases import USE_CASES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sizing.md").read_text()
CHAPTERS = ("What the notes said, and what is true", "Size on disk, to the byte")
"""The chapters that this file answers for."""

OBS_DIM = 5300
DASH = "\N{EN DASH}"
TIMES = "\N{MULTIPLICATION SIGN}"

NOTES: dict[str, tuple[tuple[int, ...], float, int | None, int]] = {
    "Large": ((2048, 1024, 512, 256), 12.6e6, 86, 148),
    "Medium": ((1024, 512, 256), 6.1e6, 89, 72),
    "Small": ((512, 256, 128), 1.5e6, 90, 18),
    "Tiny": ((256, 128, 64), 0.4e6, None, 5),
}
"""What the notes say of each network: widths, parameters, percent in the first layer, size in MB (meaning MiB)."""

SAID_PARAMETERS = {"Large": "12.6M", "Medium": "6.1M", "Small": "~1.5M", "Tiny": "~0.4M"}

CARDS = (
    "NVIDIA H100 80GB HBM3",
    "NVIDIA A100-SXM4-80GB",
    "NVIDIA A100-SXM4-40GB",
    "NVIDIA L40S",
    "NVIDIA GeForce RTX 5090",
    "NVIDIA L4",
    "Tesla T4",
    "NVIDIA H100 80GB HBM3 MIG 3g.40gb",
    "cpu",
)
"""Devices by the names that their drivers report; their memory is what /estimate says."""


def shape_of(name: str) -> NetworkShape:
    return NetworkShape(OBS_DIM, NOTES[name][0])


def dims(widths: tuple[int, ...]) -> str:
    return ", ".join(map(str, widths))


def parameter_rows() -> Iterator[str]:
    for name, (widths, said, _, _) in NOTES.items():
        shape = shape_of(name)
        off = 100 * (said / shape.parameters - 1)
        verdict = "right" if abs(off) < 1 else f"wrong: {off:+.1f} %"
        rule = 100 * (shape.rule_of_thumb / shape.parameters - 1)
        yield (
            f"| {name} ({dims(widths)}) | {SAID_PARAMETERS[name]} | {shape.rule_of_thumb:,} ({rule:+.2f} %) "
            f"| {shape.parameters:,} | {verdict} |"
        )


def first_layer_rows() -> Iterator[str]:
    for name, (widths, _, said, _) in NOTES.items():
        shape = shape_of(name)
        rule, exact = 100 * OBS_DIM * widths[0] / shape.rule_of_thumb, 100 * shape.first_layer_share
        told = DASH if said is None else f"{said} %"
        verdict = (
            "not said"
            if said is None
            else "right"
            if round(exact) == said
            else f"wrong: {said - exact:+.1f} points"
        )
        parameters = shape.layers[0].parameters
        yield f"| {name} | {told} | {rule:.1f} % | {exact:.1f} % | {parameters:,} | {verdict} |"


def adam_bytes(name: str) -> int:
    """torch.save of weights and Adam's state, nothing else."""
    shape = shape_of(name)
    return torch_save_bytes(adam_tree(shape))


def adam_tree(shape: NetworkShape) -> dict[str, Any]:
    return {"policy_state_dict": policy_specs(shape), "optimizer_state_dict": adam_specs(shape, 2.5e-4)}


def size_rows() -> Iterator[str]:
    for name, (_, _, _, said) in NOTES.items():
        rule, real = ADAM_BYTES * shape_of(name).rule_of_thumb, adam_bytes(name)
        off = 100 * (said / (real / 2**20) - 1)
        verdict = "right, meaning MiB" if abs(off) < 3 else f"wrong: {off:+.0f} %"
        yield (
            f"| {name} | {said} MB | {rule / 1e6:.2f} MB / {rule / 2**20:.2f} MiB | {real:,} B "
            f"({real / 1e6:.2f} MB / {real / 2**20:.2f} MiB) | {verdict} |"
        )


def tier_rows() -> Iterator[str]:
    said = {"h100": "H100", "a100": "A100", "high": "high, 40 GB and more", "medium": "medium, 20 to 40 GB"}
    said |= {"low": "low, below 20 GB", "cpu": DASH}
    for tier in TIERS.values():
        yield f"| {said[tier.name]} | `{tier.name}` | {dims(tier.hidden_dims)} |"


def card_rows() -> Iterator[str]:
    for name in CARDS:
        size = 0 if name == "cpu" else find_card(name).bytes
        found = detect_tier(name, size)
        yield f"| {name} | {size:,} B | `{found.tier.name}` | {dims(found.tier.hidden_dims)} |"


def use_case_rows() -> Iterator[str]:
    for case in USE_CASES.values():
        yield f"| `{case.name}` | {dims(case.hidden_dims)} | {case.training_mode} | {case.meaning} |"


def file_rows() -> Iterator[str]:
    for name, (widths, *_) in NOTES.items():
        disk = disk_estimate(shape_of(name), PPOConfig(hidden_dims=widths))
        assert disk.onnx is not None
        sizes = (disk.checkpoint, disk.weights_only, disk.safetensors, disk.onnx)
        yield f"| {name} | {' | '.join(f'{size.bytes:,}' for size in sizes)} |"


def facts() -> Iterator[str]:
    """Figures that the page's sentences may hold, beside those of its tables."""
    step = [NetworkShape(OBS_DIM, (width, 512, 256)).parameters for width in (1024, 1025, 2048, 2049)]
    assert step[1] - step[0] == step[3] - step[2] == OBS_DIM + 512 + 1
    yield f"{step[1] - step[0]:,}"
    yield f"{step[2] / step[0]:.3f}"
    yield f"{OBS_DIM * 512 + 512:,}"
    yield f"{OBS_DIM:,}"
    yield from (str(number) for number in (53, 100, 3, 4, 12, 16, 64, 0, 1, 2))
    yield from (str(number) for number in NOTES["Medium"][0])
    a100 = detect_tier("NVIDIA A100-SXM4-40GB", 42_298_834_944)
    assert a100.tier.name == "a100"
    yield from ("42,298,834,944", f"{42_298_834_944 / 1e9:.1f}", f"{42_298_834_944 / 2**30:.2f}")
    yield from ("40", "80", "20", dims(a100_hidden_dims(42_298_834_944)), "300", "2.13", "2.9.2", "60")
    yield f"{TIERS['cpu'].smallest_bytes // 10**9}"


TABLES = {
    "parameters": parameter_rows,
    "first layer": first_layer_rows,
    "size": size_rows,
    "tiers": tier_rows,
    "cards": card_rows,
    "use cases": use_case_rows,
    "files": file_rows,
}


def chapters() -> str:
    """The text that this file answers for."""
    parts = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    found = [part for part in parts if part.partition("\n")[0] in CHAPTERS]
    assert len(found) == len(CHAPTERS)
    return "\n".join(found)


@pytest.mark.parametrize("rows", TABLES.values(), ids=list(TABLES))
def test_each_row_of_the_page_is_what_the_code_computes(rows: Any) -> None:
    lines = chapters().splitlines()
    for row in rows():
        assert row in lines


def test_the_page_has_no_other_rows_and_no_other_figures() -> None:
    known = {row for rows in TABLES.values() for row in rows()}
    allowed = {number for fact in facts() for number in re.findall(r"\d[\d,.]*", fact)}
    allowed |= {number.rstrip(",.") for row in known for number in re.findall(r"\d[\d,.]*", row)}
    lines = chapters().splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("|"):
            is_head = line.startswith("|---") or following.startswith("|---")
            assert line in known or is_head, line
            continue
        numbers = {number.rstrip(",.") for number in re.findall(r"(?<![\w#/.-])\d[\d,.]*", line)}
        assert numbers <= allowed, (line, numbers - allowed)


def test_the_notes_figures_are_those_of_the_other_test() -> None:
    from tests.network.test_notes_claims import CLAIMS

    told = [
        (each.hidden_dims, each.notes_parameters, each.notes_first_layer, each.notes_mib) for each in CLAIMS
    ]
    assert told == list(NOTES.values())


@pytest.mark.parametrize("name", NOTES)
def test_torch_really_writes_so_many_bytes(name: str) -> None:
    """The column of measured sizes, measured: the real torch.save, its bytes counted and dropped."""
    torch = pytest.importorskip("torch")

    class Counting:
        length = 0

        def write(self, data: Any) -> int:
            size = memoryview(data).nbytes
            self.length += size
            return size

        def flush(self) -> None:
            """Nothing is kept."""

    tree = canonical_tree(
        adam_tree(shape_of(name)), lambda spec, _: torch.empty(spec.shape, dtype=getattr(torch, spec.dtype))
    )
    sink = Counting()
    torch.save(tree, sink)
    assert sink.length == adam_bytes(name)


def test_the_rule_of_thumb_is_still_told_and_labelled() -> None:
    shape = shape_of("Medium")
    disk = disk_estimate(shape, PPOConfig(hidden_dims=shape.hidden_dims))
    assert disk.rule_of_thumb.bytes == 12 * shape.rule_of_thumb
    assert "`rule_of_thumb`" in chapters()


def speeds() -> str:
    """The chapter about answers' own time."""
    return next(part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE) if part.startswith("How fast"))


def committed(kind: str) -> str:
    """The committed output that the chapter names."""
    found = re.search(rf"benchmarks/results/[\d-]+-{kind}\.txt", speeds())
    assert found
    return (ROOT / found[0]).read_text()


def test_how_fast_it_answers_is_what_the_benchmark_printed() -> None:
    rows = dict(
        re.findall(
            r"^estimate, (repeated|all different) .* B +[\d,]+ +[\d,]+ +([\d.]+) ",
            committed("api"),
            re.MULTILINE,
        )
    )
    assert f"{float(rows['repeated']):.2f} {TIMES}" in speeds()
    assert f"{rows['all different']} {TIMES}" in speeds()
    taken = re.search(r"takes ([\d.]+) ms of one core", committed("api"))
    assert taken
    assert f"{float(taken[1]):.1f} ms" in speeds()


def test_how_long_a_size_takes_is_what_the_benchmark_printed() -> None:
    row = r"^[\w ]+? {2,}(\d+) +([\d.]+) +([\d.]+) +[\d.]+ +[\d.]+ +[\d,]+$"
    measured = [
        (int(count), median, worst)
        for count, median, worst in re.findall(row, committed("sizes"), re.MULTILINE)
    ]
    assert len(measured) == 6
    few = [(float(median), median) for count, median, _ in measured if count <= 16]
    assert f"| 14 to 16 | {min(few)[1]} to {max(few)[1]} |" in speeds()
    for count, median, worst in measured[-2:]:
        assert f"| {count} | {median} | {worst} |" in speeds()
