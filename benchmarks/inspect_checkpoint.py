# ruff: noqa: PLC0415 - the parent of the measurements stays small
"""Reading checkpoints: bytes, time, memory and verdicts, Caliper against torch, picklescan, modelscan and fickling.

    python -m venv RIVALS && RIVALS/bin/pip install picklescan==1.0.5 modelscan==0.8.8 fickling==0.1.12
    python benchmarks/inspect_checkpoint.py --rivals RIVALS/bin/python [--sizes 20 160 2000 10000] [--no-attacks]

Each measurement is one call in a fresh process; the tools take turns, round after round (torch.load of a whole file of
4 GB or more once). Bytes are those of the read calls of that process (/proc/self/io) during the call: pages of a mapping
are not among them. The peak is the largest resident memory of the whole process, interpreter and imports included, the
time that of the call.
Then the same policy in other containers: what is read where the file is hashed too, where it is not, and by ranges; `described` are
the file's bytes that are no tensor's value.
The attack files are those of tests/attacks, each read in a forked process of its own, 5 s and 8 GiB at most,
in an empty working directory where a payload that runs leaves a canary.
(Not called inspect.py: a script beside it would import it in place of the standard library's module.)
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import textwrap
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WORKER = Path(__file__).with_name("inspect_rivals.py")
sys.path.insert(0, str(ROOT))

from app.checkpoint.torch_legacy import MAGIC_BYTES  # noqa: E402 - the path is set above
from benchmarks.inspect_files import CONTAINERS, LARGE, make_checkpoint, make_container  # noqa: E402

OURS = ("caliper, local file", "caliper, byte ranges")
HASHED = "caliper, hashed"
TORCH = ("torch.load, everything", "torch.load, weights_only", "torch.load, weights_only, mmap")
SCANNERS = ("picklescan", "modelscan", "fickling")
ROUNDS = 5
MEMORY_SHARE = 1.6
"""Free memory that torch.load of a whole large file must find, in sizes of the file: others use the machine too."""
SECONDS = 240
WIDTHS = (9, 14, 15, 11, 14, 15)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rivals", type=Path, required=True, help="a Python with the three scanners")
    parser.add_argument("--sizes", type=int, nargs="*", default=[20, 160, 2_000, 10_000], help="megabytes")
    parser.add_argument("--no-attacks", action="store_true")
    asked = parser.parse_args()
    print(
        f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, torch {version('torch')}"
    )
    with tempfile.TemporaryDirectory() as temporary:
        for size in asked.sizes:
            _compare_reading(Path(temporary), size, asked.rivals)
            _compare_containers(Path(temporary), size)
        if not asked.no_attacks:
            _compare_verdicts(Path(temporary), asked.rivals)


def _compare_reading(folder: Path, megabytes: int, rivals: Path) -> None:
    path = make_checkpoint(folder / f"{megabytes}mb.pt", megabytes * 1_000_000)
    size, stored = path.stat().st_size, path.stat().st_blocks * 512
    print(f"\n{size:,} bytes ({stored:,} on disk): a Caliper checkpoint, network, Adam and trainer state")
    print(f"{'':32}{'bytes read':>16}{'reads':>7}{'ms':>12}{'peak MB':>10}  answer")
    tools = [*OURS, *TORCH, *SCANNERS]
    answers: dict[str, list[dict[str, Any]]] = {tool: [] for tool in tools}
    for turn in range(ROUNDS):
        for tool in tools:
            if turn == 0 or not _is_heavy(tool, size):
                answers[tool].append(_measure(tool, path, rivals))
    for tool in tools:
        _print_row(tool, answers[tool])
    path.unlink()


def _measure(tool: str, path: Path, rivals: Path) -> dict[str, Any]:
    size = path.stat().st_size
    if _is_heavy(tool, size) and _available_bytes() < MEMORY_SHARE * size:
        return {"answer": f"not run: {MEMORY_SHARE * size / 1e9:.0f} GB of memory were not free"}
    python = [str(rivals)] if tool in SCANNERS else [sys.executable]
    flags = ["-I", "-S"] if tool in (*OURS, HASHED) else ["-I"]
    command = [*python, *flags, str(WORKER), "measure", str(ROOT), tool, str(path)]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=SECONDS, text=True)
    except subprocess.TimeoutExpired:
        return {"answer": f"none within {SECONDS} s"}
    try:
        return dict(json.loads(done.stdout.strip().splitlines()[-1]))
    except (ValueError, IndexError):
        return {"answer": f"died, status {done.returncode}: {done.stderr.strip()[-80:]}"}


def _is_heavy(tool: str, size: int) -> bool:
    """Whether a call takes gigabytes of memory: it is made once, and only where they are free."""
    return tool in TORCH[:2] and size > LARGE


def _available_bytes() -> int:
    """What the system could give to a process without swapping."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def _print_row(tool: str, answers: list[dict[str, Any]]) -> None:
    if "seconds" not in answers[0]:
        print(f"{tool:32}{'-':>16}{'-':>7}{'-':>12}{'-':>10}  {answers[0]['answer']}")
        return
    read = statistics.median(answer["bytes_read"] for answer in answers)
    reads = statistics.median(answer["reads"] for answer in answers)
    milliseconds = 1_000 * statistics.median(answer["seconds"] for answer in answers)
    peak = max(answer["peak_bytes"] for answer in answers) / 1e6
    print(
        f"{tool:32}{read:>16,.0f}{reads:>7,.0f}{milliseconds:>12,.1f}{peak:>10,.1f}  {answers[0]['answer']}"
    )


def _compare_containers(folder: Path, megabytes: int) -> None:
    """The same policy in other containers, by Caliper alone: hashed, not hashed, and by ranges."""
    from app.errors import NotExportable

    print(f"\nthe policy as other files of about {megabytes:,} MB, bytes read beside the hash's pass")
    print(
        f"{'':24}{'file':>16}{'described':>12}{'hashed':>10}{'local':>10}{'ranges':>10}{'requests':>10}{'ms':>8}"
    )
    for kind in CONTAINERS:
        try:
            path = make_container(kind, folder, megabytes * 1_000_000)
        except NotExportable as error:
            print(f"{kind:24}{'-':>16}  {error.detail}")
            continue
        _print_container(kind, path, [_measure(tool, path, Path()) for tool in (*OURS, HASHED)])
        path.unlink()


def _print_container(kind: str, path: Path, answers: list[dict[str, Any]]) -> None:
    local, ranges, hashed = answers
    told = json.loads(hashed["answer"])
    print(
        f"{kind:24}{path.stat().st_size:>16,}{told['described']:>12,}{told['bytes_read']:>10,}"
        f"{local['bytes_read']:>10,}{ranges['bytes_read']:>10,}{ranges['reads']:>10,}{1_000 * local['seconds']:>8.1f}"
    )


def _compare_verdicts(folder: Path, rivals: Path) -> None:
    from tests.attacks.builders import ATTACKS
    from tests.attacks.every_attack import FAMILIES
    from tests.attacks.honest import HONEST

    assert FAMILIES
    for name, files in (
        ("attacks", {attack.name: attack.build() for attack in ATTACKS if attack.expect != "ok"}),
        ("honest", {title: build() for title, build in HONEST.items()}),
    ):
        (folder / name).mkdir()
        for title, data in files.items():
            (folder / name / f"{title}{_extension(title, data)}").write_bytes(data)
    calls = {a.name for a in ATTACKS if a.expect.startswith("would_") or a.expect == "extension_code"}
    print(
        f"\n{len(list((folder / 'attacks').iterdir()))} attack files, {len(calls)} of them call, {len(HONEST)} honest files"
    )
    print(
        f"{'':32}{'executed':>9}{'calls missed':>14}{'others missed':>15}{'no answer':>11}{'false alarms':>14}"
    )
    for tool in (OURS[0], "unprotected loader", TORCH[1], *SCANNERS):
        attacks = _verdicts(tool, folder, "attacks", rivals)
        honest = _verdicts(tool, folder, "honest", rivals)
        _print_verdicts(tool, attacks, honest, calls)


def _extension(title: str, data: bytes) -> str:
    """The name that such a file has by custom, since scanners go by it; one attack is a pickle called .pt."""
    if title == "pickle_named_as_torch_file" or MAGIC_BYTES in data[:32]:
        return ".pt"
    if data[:2] == b"PK":
        return ".zip" if b"policy.pth" in data and b"archive/" not in data[:64] else ".pt"
    if data[8:9] == b"{":
        return ".safetensors"
    return ".pkl"


def _verdicts(tool: str, folder: Path, which: str, rivals: Path) -> dict[str, dict[str, Any]]:
    work = folder / "work"
    work.mkdir()
    python = str(rivals) if tool in SCANNERS else sys.executable
    flags = ["-I", "-S"] if tool in OURS else ["-I"]
    command = [
        python,
        *flags,
        str(WORKER),
        "verdicts",
        str(ROOT),
        tool,
        str(folder / which),
        str(folder / "answers.json"),
    ]
    subprocess.run(
        command, cwd=work, capture_output=True, check=True, timeout=3_000, env={"PATH": os.defpath}
    )
    shutil.rmtree(work)
    return dict(json.loads((folder / "answers.json").read_text()))


def _print_verdicts(
    tool: str, attacks: dict[str, dict[str, Any]], honest: dict[str, dict[str, Any]], calls: set[str]
) -> None:
    ran = [name for name, answer in attacks.items() if answer["executed"]]
    clean = [name for name, answer in attacks.items() if answer["answer"] == "clean" and name not in ran]
    missed = [name for name in clean if name in calls]
    silent = [name for name, answer in attacks.items() if answer["answer"] == "none"]
    alarms = [name for name, answer in honest.items() if answer["answer"] == "flagged"]
    unread = [name for name, answer in honest.items() if answer["answer"] == "none"]
    counts = (len(ran), len(missed), len(clean) - len(missed), len(silent), len(alarms), len(unread))
    print(f"{tool:32}" + "".join(f"{count:>{width}}" for count, width in zip(counts, WIDTHS, strict=True)))
    is_loader = tool in ("unprotected loader", TORCH[1])
    told = {
        "calls missed": [] if is_loader else missed,
        "no answer": silent,
        "false alarms": alarms,
        "honest, no answer": unread,
    }
    for title, names in told.items():
        if names:
            print(
                textwrap.fill(
                    f"{title}: {', '.join(sorted(names))}",
                    150,
                    initial_indent="    ",
                    subsequent_indent="      ",
                )
            )


if __name__ == "__main__":
    main()
