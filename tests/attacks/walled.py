"""Reads every file of a folder in a child process of the sandbox each; prints answers, events and what each took as JSON.

`python walled.py ROOT FOLDER MEMORY SECONDS [HONEST]`: what runs is `app.checkpoint.__main__.main`, the sandbox's child, with its
own fence, standard input and standard output. Only the interpreter is started once and then forked, a few at once, so
that 300 files cost 300 forks and not 300 starts. An audit hook of the fork tells what the fence would hide: whatever is
imported, compiled, run, opened or started while a file is read.
"""

import json
import os
import selectors
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, sys.argv[1])

from app.checkpoint.__main__ import main
from app.checkpoint.limits import ReadLimits

AT_ONCE, WALL_SECONDS = 2, 30
QUIET = frozenset({"builtins.id"})


def request(path: Path) -> str:
    told = {"limits": asdict(ReadLimits()), "name": path.name, "with_sha256": True, "with_statistics": True}
    return json.dumps({**told, "max_memory_bytes": int(sys.argv[3]), "max_cpu_seconds": int(sys.argv[4])})


def start(path: Path) -> tuple[int, int]:
    """The child's process id, and the pipe that its answer and then its events come from."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child:
        os.close(write_end)
        return child, read_end
    os.dup2(os.open(path, os.O_RDONLY), 0)
    os.dup2(write_end, 1)
    signal.alarm(WALL_SECONDS)
    asked, seen = request(path), []
    sys.stdout = os.fdopen(1, "w")
    sys.addaudithook(lambda event, args: seen.append(told(event, args)) if event not in QUIET else None)
    status = main([asked])
    events = sorted(set(seen))
    sys.stdout.write(f"\n{json.dumps(events)}")
    sys.stdout.flush()
    os._exit(status)


def told(event: str, args: tuple) -> str:
    return f"{event} {args[0]}"[:120] if event in ("open", "import") and args else event


def collect(files: list[Path]) -> dict:
    """Run a few at once; whatever way a child ends, its usage is asked for."""
    found, waiting, running = {}, list(reversed(files)), {}
    with selectors.DefaultSelector() as selector:
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                path = waiting.pop()
                child, pipe = start(path)
                running[pipe] = (path, child, time.monotonic(), bytearray())
                selector.register(pipe, selectors.EVENT_READ)
            for key, _ in selector.select():
                path, child, begun, said = running[key.fd]
                data = os.read(key.fd, 1 << 16)
                said += data
                if not data:
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    del running[key.fd]
                    found[path.stem] = ended(child, begun, bytes(said))
    return found


def ended(child: int, begun: float, said: bytes) -> dict:
    _, status, usage = os.wait4(child, 0)
    answer, _, events = said.decode().partition("\n")
    return {
        "answer": json.loads(answer) if answer else None,
        "events": json.loads(events) if events else None,
        "status": os.waitstatus_to_exitcode(status),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
        "wall_seconds": round(time.monotonic() - begun, 3),
        "peak_mib": usage.ru_maxrss // 1024,
    }


if __name__ == "__main__":
    if len(sys.argv) > 5:  # an honest file, read here: what the reader imports as it goes is imported
        from app.checkpoint.inspect import inspect_checkpoint

        for honest in sorted(Path(sys.argv[5]).iterdir()):
            json.dumps(inspect_checkpoint(honest).plain())
        b"a".decode("cp437")  # odd names
        "a".encode("unicode_escape")
    json.dump(collect(sorted(Path(sys.argv[2]).iterdir())), sys.stdout)
