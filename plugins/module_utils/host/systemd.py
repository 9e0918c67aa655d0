"""systemd, asked and told through systemctl and journalctl."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "MainPID",
    "NRestarts",
    "Result",
    "ExecMainStatus",
    "InvocationID",
    "Job",
    "NeedDaemonReload",
    "AssertResult",
    "InactiveExitTimestampMonotonic",
    "ExecMainStartTimestampMonotonic",
    "DropInPaths",
    "ControlGroup",
)


class SystemdError(Exception):
    """A systemctl call that failed, with what it said."""


class SilentError(SystemdError):
    """A systemctl call that did not end in time: what systemd is asked next would wait as long."""


def run(argv: Sequence[str], timeout: float = 120) -> str:
    """Standard output of a command; `timeout` in seconds. Raises SystemdError: with what it said, where it fails or is silent."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise SilentError(f"{' '.join(argv)}: no end after {timeout:g} s") from None
    if done.returncode != 0:
        raise SystemdError(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()} (exit status {done.returncode})")
    return done.stdout


@dataclass(frozen=True)
class UnitState:
    """One unit as systemd sees it; unknown units have `load` "not-found". Times are seconds of CLOCK_MONOTONIC, 0 for never."""

    unit: str
    load: str
    active: str
    sub: str
    enabled: str
    main_pid: int
    restarts: int
    result: str
    exit_status: int
    invocation: str
    job: bool
    stale: bool
    asserted: bool
    since: float
    started: float = 0.0
    drop_ins: tuple[str, ...] = ()
    control_group: str = ""

    @property
    def running(self) -> bool:
        """Whether its main process runs, past any start-up; a oneshot that has ended does not."""
        return self.active == "active" and self.sub == "running"


def parse_show(text: str) -> dict[str, UnitState]:
    """`systemctl show` of several units: blocks of `Key=value` lines, an empty line between them."""
    states = {}
    for block in text.strip().split("\n\n"):
        fields = dict(line.partition("=")[::2] for line in block.splitlines())
        if "Id" in fields:
            states[fields["Id"]] = _state(fields)
    return states


def _state(fields: Mapping[str, str]) -> UnitState:
    def number(key: str) -> int:
        value = fields.get(key, "")
        return int(value) if value.isdigit() else 0

    return UnitState(
        unit=fields["Id"],
        load=fields.get("LoadState", ""),
        active=fields.get("ActiveState", ""),
        sub=fields.get("SubState", ""),
        enabled=fields.get("UnitFileState", ""),
        main_pid=number("MainPID"),
        restarts=number("NRestarts"),
        result=fields.get("Result", ""),
        exit_status=number("ExecMainStatus"),
        invocation=fields.get("InvocationID", ""),
        job=number("Job") != 0,
        stale=fields.get("NeedDaemonReload") == "yes",
        # Empty until a start was tried.
        asserted=fields.get("AssertResult") != "no",
        since=number("InactiveExitTimestampMonotonic") / 1e6,
        started=number("ExecMainStartTimestampMonotonic") / 1e6,
        drop_ins=tuple(fields.get("DropInPaths", "").split()),
        control_group=fields.get("ControlGroup", ""),
    )


def show(units: Iterable[str]) -> dict[str, UnitState]:
    """States by unit name, in one call where systemd can read them all."""
    names = sorted(set(units))
    if not names:
        return {}
    command = ["systemctl", "show", "--property", ",".join(PROPERTIES)]
    try:
        return parse_show(run([*command, *names]))
    except SilentError:
        raise
    except SystemdError:
        # One unit file that cannot be read fails the whole call; such a unit is one that does not run.
        return {name: _show_one(command, name) for name in names}


def _show_one(command: Sequence[str], name: str) -> UnitState:
    try:
        return parse_show(run([*command, name]))[name]
    except (SystemdError, KeyError):
        return _state({"Id": name, "LoadState": "error", "ActiveState": "inactive"})


def started_at(unit: str) -> float | None:
    """When a unit's process started by the clock as it was set then, in whole seconds since the epoch; None where nobody says."""
    try:
        said = run(["env", "TZ=UTC", "systemctl", "show", "--property=ExecMainStartTimestamp", unit])
        # "Sun 2026-11-29 10:49:05 UTC", in any locale; the day's name adds nothing.
        text = said.strip().partition("=")[2].partition(" ")[2]
        moment = datetime.datetime.strptime(text, "%Y-%m-%d %H:%M:%S UTC")
    except (SystemdError, ValueError, OSError):
        return None
    return moment.replace(tzinfo=datetime.timezone.utc).timestamp()


def process_environment(pid: int) -> dict[str, str] | None:
    """The environment a process was started with; empty where there is no such process, None where it may not be read."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes() if pid else b""
    except PermissionError:
        return None
    except OSError:
        return {}
    pairs = (item.partition(b"=") for item in raw.split(b"\0") if b"=" in item)
    return {key.decode(errors="replace"): value.decode(errors="replace") for key, __, value in pairs}


def process_argv(pid: int) -> tuple[str, ...]:
    """The words of a process from its `vllm serve` on; empty where it shows none (it is gone, hidden or renamed)."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes() if pid else b""
    except OSError:
        return ()
    words = [word.decode(errors="replace") for word in raw.split(b"\0")[:-1]]
    at = words.index("serve") if "serve" in words else 0
    return tuple(words[at - 1 :]) if at else ()


def journal(unit: str, invocation: str = "", lines: int = 2000) -> list[str]:
    """The messages of a unit (of one invocation of it, where given), oldest first."""
    match = [f"_SYSTEMD_INVOCATION_ID={invocation}", "+", f"INVOCATION_ID={invocation}"] if invocation else ["-u", unit]
    try:
        text = run(["journalctl", "--no-pager", "-o", "cat", "-n", str(lines), *match])
    except (SystemdError, OSError):
        return []
    return text.splitlines()
