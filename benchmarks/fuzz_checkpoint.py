# ruff: noqa: E402 - what is fuzzed is imported under instrumentation
"""Fuzz the checkpoint reader, guided by coverage: `python benchmarks/fuzz_checkpoint.py --seconds 300`.

Every input must end in a report that is plain JSON or in an error of Caliper's own, within the budgets; anything
else is a crash, and atheris writes the input to the working directory. The first byte chooses how the rest
reaches the reader: as the file itself, or as the data.pkl of a sound zip, so that checksums do not stop it.
Needs atheris (dev extra); the seeds are every attack file, honest ones of all containers, and what earlier runs
of this process found.
"""

import argparse
import io
import json
import platform
import sys
import tempfile
import time
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

with atheris.instrument_imports(include=["app.checkpoint"]):
    from app.checkpoint.inspect import inspect_checkpoint
    from app.checkpoint.limits import ReadLimits
from app.errors import CaliperError
from tests.attacks.builders import ATTACKS, honest_pickle, honest_zip, torch_zip, zipped
from tests.attacks.every_attack import FAMILIES

LIMITS = ReadLimits(max_file_bytes=1 << 20, max_opcodes=50_000, max_seconds=2.0, max_read_bytes=8 << 20)
_MOST_SEED = 16_384


def make_corpus(folder: Path) -> int:
    """Write the seeds: each file as it is, and each pickle by itself; returns how many."""
    assert FAMILIES, "the attack modules register what they build"
    seeds = [b"\0" + data for data in (honest_zip(), zipped([("data", b"{}"), ("policy.pth", honest_zip())]))]
    seeds += [b"\1" + honest_pickle()]
    seeds += [b"\0" + attack.build() for attack in ATTACKS]
    seeds += [b"\1" + pickle for seed in list(seeds) for pickle in _pickles(seed)]
    kept = {seed for seed in seeds if len(seed) <= _MOST_SEED}
    for number, seed in enumerate(sorted(kept)):
        (folder / f"seed{number:04}").write_bytes(seed)
    return len(kept)


def _pickles(seed: bytes) -> list[bytes]:
    at, end = seed.find(b"data.pkl"), seed.find(b"PK", 60)
    return [seed[at + 8 : end]] if seed[1:3] == b"PK" and 0 < at < end else []


def one_input(data: bytes) -> None:
    """Read one file; every exception but Caliper's own is a finding of the fuzzer."""
    file = torch_zip(data[1:]) if data[:1] == b"\1" else data[1:]
    try:
        report = inspect_checkpoint(io.BytesIO(file), limits=LIMITS, with_sha256=False)
    except CaliperError as error:
        json.dumps(error.problem(), allow_nan=False)
        return
    json.dumps(report.plain(), allow_nan=False)
    if not all(finding.explanation.isprintable() for finding in report.findings):
        raise AssertionError("a finding is not printable")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--corpus", type=Path, help="a folder to keep what is found; else a temporary one")
    asked, rest = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temporary:
        seeds, kept = Path(temporary, "seeds"), asked.corpus or Path(temporary, "kept")
        seeds.mkdir()
        kept.mkdir(parents=True, exist_ok=True)
        print(f"{platform.platform()}, Python {platform.python_version()}, {make_corpus(seeds)} seeds")
        print(f"started {time.strftime('%Y-%m-%d %H:%M:%S')}", flush=True)
        options = [
            f"-max_total_time={asked.seconds}",
            "-timeout=10",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
        ]
        atheris.Setup([sys.argv[0], *options, *rest, str(kept), str(seeds)], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
