# ruff: noqa: PLC0415, BLE001, PTH208 - each tool is imported only where it is there, and any error is an answer
"""One tool on one file, or on every file of a folder; started by inspect_checkpoint.py in a Python that has the tool.

`measure ROOT TOOL FILE` prints what one call read, took and needed. `verdicts ROOT TOOL FOLDER ANSWERS` forks for each
file: `clean`, `flagged` (a finding of medium or high severity, a refusal, or the loader's own error), or `none`
(killed by a signal, out of time, or an error that is not about the file).
"""

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

SECONDS = 5
Judge = Callable[[Path], str]


def main() -> None:
    task, root, tool, path = sys.argv[1:5]
    sys.path.insert(0, root)
    judge = TOOLS[tool]()
    if task == "measure":
        _measure(judge, Path(path))
    else:
        files = sorted(Path(path).iterdir())
        Path(sys.argv[5]).write_text(json.dumps({file.stem: _forked(judge, file) for file in files}))


def _measure(judge: Judge, path: Path) -> None:
    before, started = _read_so_far(), time.perf_counter()
    try:
        answer = judge(path)
    except Exception as error:
        answer = f"{type(error).__name__}: {str(error)[:60]}"
    seconds, after = time.perf_counter() - started, _read_so_far()
    peak = _peak_bytes()
    said = {"seconds": seconds, "bytes_read": after[0] - before[0], "reads": after[1] - before[1]}
    print(json.dumps({**said, "peak_bytes": peak, "answer": answer}))


def _read_so_far() -> tuple[int, int]:
    """Bytes and calls of this process's reads, without those of asking."""
    lines = Path("/proc/self/io").read_text().splitlines()
    values = {key: int(value) for key, _, value in (line.partition(": ") for line in lines)}
    _OWN[0] += 1
    own = sum(len(line) + 1 for line in lines)
    _OWN[1] += own
    return values["rchar"] - (_OWN[1] - own), values["syscr"] - 2 * (_OWN[0] - 1)


def _peak_bytes() -> int:
    """The largest resident memory since this program began; ru_maxrss would count the parent's too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


_OWN = [0, 0]


def _forked(judge: Judge, file: Path) -> dict[str, object]:
    """The answer of a child, and whether something was left in the working directory by it."""
    before = set(os.listdir("."))
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        _fence()
        try:
            answer = judge(file)
        except BaseException as error:
            answer = "none" if isinstance(error, (MemoryError, RecursionError, SystemExit)) else "flagged"
        os.write(write_end, answer.encode())
        os._exit(0)
    os.close(write_end)
    _, status = os.waitpid(child, 0)
    with os.fdopen(read_end, "rb") as pipe:
        answer = pipe.read().decode()
    left = [name for name in os.listdir(".") if name not in before]
    for name in left:
        os.system(f"rm -rf '{name}'")
    executed = any(name.startswith("CALIPER_CANARY") for name in left)
    return {"answer": answer if status == 0 and answer else "none", "executed": executed}


def _fence() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(2 * SECONDS)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)


def caliper() -> Judge:
    from app.checkpoint.inspect import inspect_checkpoint

    def judge(path: Path) -> str:
        report = inspect_checkpoint(path, with_sha256=False)
        return "flagged" if report.suspicious or not report.complete else "clean"

    return judge


def caliper_ranges() -> Judge:
    from app.checkpoint.inspect import inspect_checkpoint
    from app.checkpoint.source import RangeReader

    def judge(path: Path) -> str:
        file = os.open(path, os.O_RDONLY)
        reader = RangeReader(os.fstat(file).st_size, lambda offset, length: os.pread(file, length, offset))
        report = inspect_checkpoint(reader, with_sha256=False)
        return "flagged" if report.suspicious or not report.complete else "clean"

    return judge


def caliper_hashed() -> Judge:
    """What the reading takes into memory beside the hash's pass, and how much of the file is no tensor's value."""
    from app.checkpoint.inspect import inspect_checkpoint

    def judge(path: Path) -> str:
        report = inspect_checkpoint(path)
        return json.dumps({"bytes_read": report.bytes_read, "described": report.bytes.other})

    return judge


def torch_load(**options: bool) -> Judge:
    import torch

    torch.set_num_threads(1)

    def judge(path: Path) -> str:
        torch.load(path, map_location="cpu", **options)
        return "clean"

    return judge


def unprotected() -> Judge:
    """What a careless loader of this kind of file does: torch.load, Stable-Baselines3's own, or pickle."""
    import pickle
    import warnings
    import zipfile

    import torch
    from safetensors.torch import load_file
    from stable_baselines3.common.save_util import load_from_zip_file

    def judge(path: Path) -> str:
        warnings.simplefilter("ignore")
        try:
            names = zipfile.ZipFile(path).namelist()
        except Exception:
            names = []
        head = path.read_bytes()[:9]
        if "data" in names:
            load_from_zip_file(str(path), device="cpu")
        elif head[8:9] == b"{":
            load_file(path)
        else:
            try:
                torch.load(path, map_location="cpu", weights_only=False)
            except Exception:
                with path.open("rb") as file:
                    pickle.load(file)
        return "clean"

    return judge


def picklescan() -> Judge:
    from picklescan.scanner import scan_file_path

    def judge(path: Path) -> str:
        result = scan_file_path(str(path))
        if result.issues_count or result.infected_files:
            return "flagged"
        return "none" if result.scan_err else "clean"

    return judge


def modelscan() -> Judge:
    from modelscan.modelscan import ModelScan

    def judge(path: Path) -> str:
        result = ModelScan().scan(path)
        if result["summary"]["total_issues"]:
            return "flagged"
        return "none" if result["errors"] or not result["summary"]["scanned"]["total_scanned"] else "clean"

    return judge


def fickling() -> Judge:
    import zipfile

    from fickling.analysis import Severity, check_safety
    from fickling.fickle import Pickled, StackedPickle

    def judge(path: Path) -> str:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                pickles = [archive.read(name) for name in archive.namelist() if name.endswith(".pkl")]
        else:
            pickles = [path.read_bytes()]
        if not pickles:
            return "none"
        worst = Severity.LIKELY_SAFE
        for data in pickles:
            try:
                found = StackedPickle.load(data)
            except NotImplementedError:
                found = [Pickled.load(data)]
            for one in found:
                worst = max(worst, check_safety(one).severity)
        return "flagged" if worst > Severity.LIKELY_SAFE else "clean"

    def answered(path: Path) -> str:
        try:
            return judge(path)
        except Exception:
            return "none"

    return answered


TOOLS: dict[str, Callable[[], Judge]] = {
    "caliper, local file": caliper,
    "caliper, byte ranges": caliper_ranges,
    "caliper, hashed": caliper_hashed,
    "torch.load, everything": lambda: torch_load(weights_only=False),
    "torch.load, weights_only": lambda: torch_load(weights_only=True),
    "torch.load, weights_only, mmap": lambda: torch_load(weights_only=True, mmap=True),
    "unprotected loader": unprotected,
    "picklescan": picklescan,
    "modelscan": modelscan,
    "fickling": fickling,
}

if __name__ == "__main__":
    main()
