#!/usr/bin/python3
"""A STAND-IN for `vllm serve`, for what needs no model: argv, unit states, many endpoints on one host, faults to order.

Started by systemd like the engine, from the same command line. It answers like vLLM 0.32.0 (standin_server.py and
standin_answers.py beside it) after `--stand-in-start` seconds, or dies as `--stand-in-die CAUSE` says. A stream has
`max_tokens` tokens, the first after `--stand-in-first` seconds, then `--stand-in-rate` of them a second.

What a *release* is like stands in standin.json beside this file: {"start": s, "first": s, "rate": n, "faults": [...]},
overruled by the command line. Faults (`NAME_after:S` begins S seconds after the start):

    does_not_start, bad_option   exit 1 and 2, with the lines that vLLM writes
    wrong_answer, wrong_shape    HTTP 200 with nonsense, HTTP 200 with another shape; both from the first proof on
    slow                         the first token takes `slow` times as long (key "slow", default 20)
    hangs_after:S, dies_after:S  completions hang while /health says 200; the engine process is killed
    health_503_after:S           /health says 503
    cuts_streams                 the connection breaks in the middle of every stream

What a sandbox may refuse it tries on demand, and says in its log how that ended: `--stand-in-calls NAME…` system calls,
`--stand-in-connect HOST:PORT` a connection; `--stand-in-listen PORT` listens on a second port, on every address.

SIGUSR1 makes it hang, and go on again. Its engine is a child process of its own, named VLLM::EngineCore, to be killed.
Each request that reaches it is a line in its log: `request: METHOD PATH model=… bytes=… mark=<the body's `user`, or header X-Mark>`.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from standin_answers import Served
from standin_server import Server

FAULTS = {
    *("does_not_start", "bad_option", "wrong_answer", "wrong_shape", "slow", "cuts_streams"),
    *("hangs_after", "dies_after", "health_503_after"),
}


def words(name: str) -> list[str]:
    """What follows an option, up to the next one."""
    joined = [word.partition("=")[2] for word in sys.argv if word.startswith(f"{name}=")]
    if joined or name not in sys.argv:
        return joined
    rest = sys.argv[sys.argv.index(name) + 1 :]
    return rest[: next((i for i, word in enumerate(rest) if word.startswith("--")), len(rest))]


def option(name: str, default: str = "") -> str:
    return next(iter(words(name)), default)


def release_settings() -> dict[str, object]:
    file = Path(__file__).resolve().parent / "standin.json"
    settings: dict[str, object] = json.loads(file.read_text()) if file.exists() else {}
    return {"start": 0.5, "first": 0.02, "rate": 100.0, "slow": 20.0, "faults": [], **settings}


def parse_faults(named: list[str]) -> dict[str, float]:
    """Each fault with the second after the start at which it begins."""
    faults = {name: float(after or 0) for name, __, after in (fault.partition(":") for fault in named)}
    unknown = set(faults) - FAULTS
    return faults if not unknown else sys.exit(f"stand-in: no such fault: {', '.join(sorted(unknown))}")


def refuse(line: str, status: int) -> None:
    print(line, file=sys.stderr, flush=True)
    sys.exit(status)


def fail(cause: str) -> None:
    print("(EngineCore pid=1) ERROR 11-23 10:07:44 [core.py:842] EngineCore failed to start.", file=sys.stderr)
    print(f"(EngineCore pid=1) {cause}", file=sys.stderr)
    refuse("RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}", 1)


# By machine, from the kernel's tables; every argument but the first is 0.
CALLS = {
    "x86_64": {"pidfd_getfd": 438, "perf_event_open": 298, "mincore": 27, "ptrace": 101, "chown": 92, "getpid": 39},
    "aarch64": {"pidfd_getfd": 438, "perf_event_open": 241, "mincore": 232, "ptrace": 117, "fchown": 55, "getpid": 172},
}


def try_sandbox() -> list[socket.socket]:
    """Say how calls and a connection end; the sockets of `--stand-in-listen`, to be kept."""
    library = ctypes.CDLL(None, use_errno=True)
    for name in words("--stand-in-calls"):
        ctypes.set_errno(0)
        library.syscall(CALLS[platform.machine()][name], 0, 0, 0, 0, 0)
        print(f"tried: {name} {errno.errorcode.get(ctypes.get_errno(), 'OK')}", file=sys.stderr, flush=True)
    for target in words("--stand-in-connect"):
        host, __, port = target.rpartition(":")
        started = time.monotonic()
        try:
            socket.create_connection((host, int(port)), 10).close()
            how = "OK"
        except OSError as error:
            how = errno.errorcode.get(error.errno or 0, str(error))
        print(f"tried: connect {how} {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return [socket.create_server(("", int(port))) for port in words("--stand-in-listen")]


def main() -> None:
    settings = release_settings()
    faults = parse_faults([str(fault) for fault in settings["faults"]])  # type: ignore[attr-defined]
    if "--not-an-option" in sys.argv:
        refuse("vllm: error: unrecognized arguments: --not-an-option", 2)
    if "bad_option" in faults:
        given = next((word for word in sys.argv[::-1] if word.startswith("--")), "")
        refuse(f"vllm: error: unrecognized arguments: {given}", 2)
    time.sleep(float(option("--stand-in-start", str(settings["start"]))))
    if option("--stand-in-die") or "does_not_start" in faults:
        fail(option("--stand-in-die", "ValueError: No available memory for the cache blocks (stand-in)."))
    slow = float(str(settings["slow"])) if "slow" in faults else 1.0
    served = Served(
        names=words("--served-model-name"),
        kind=option("--stand-in-kind", "chat"),
        adapters=[word.partition("=")[0] for word in words("--lora-modules")],
        key=os.environ.get("VLLM_API_KEY"),
        release=Path(__file__).resolve().parents[1].name,
        first=float(option("--stand-in-first", str(settings["first"]))) * slow,
        rate=float(option("--stand-in-rate", str(settings["rate"]))),
        faults=faults,
    )
    kept = try_sandbox()
    asyncio.run(run(served))
    del kept


async def run(served: Served) -> None:
    # cat ends with this process, by its standard input.
    engine = subprocess.Popen(["VLLM::EngineCore"], executable="/bin/cat", stdin=subprocess.PIPE)
    server = Server(served, engine, int(option("--shutdown-timeout", "0")), int(option("--max-num-seqs", "100000")))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, server.stop)
    loop.add_signal_handler(signal.SIGINT, server.stop)
    loop.add_signal_handler(signal.SIGUSR1, server.toggle_hang)
    await server.listen(option("--host") or "0.0.0.0", int(option("--port", "8000")))
    print(f"INFO: Starting vLLM server on http://{option('--host')}:{option('--port')}", file=sys.stderr)
    print("INFO: Application startup complete.", file=sys.stderr, flush=True)
    await server.ended.wait()
    # A worker that is left behind would keep the GPU: systemd ends it with the unit.
    engine.kill()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
