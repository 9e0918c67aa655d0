"""A stand-in for systemd and nftables: units in memory over real unit files, as far as engines, canary and firewall meet them.

It behaves as systemd 252 was seen to: what it has not read in again runs on as it was read, and `systemctl restart` asks nobody
who waits. Nothing of a unit is carried out but what this host's other halves look at: a process's environment and command line
below /proc, and a table of nftables.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitfile import read_unit

UNITS, PROC = Path("/etc/systemd/system"), Path("/proc")
FIREWALL, TABLE = "firewall-vllm.service", Path("/etc/vllm/firewall.nft")
SECRETS = Path("/etc/vllm/secrets/api_key.env")
_LINE = re.compile(r'^(\w+)="(.*)"$', re.MULTILINE)


@dataclass
class Unit:
    """One unit: its text and drop-ins as systemd has read them in, and how it runs. `pid` is 0 where nothing does."""

    text: str | None = None
    beside: dict[str, str] = field(default_factory=dict)
    active: str = "inactive"
    sub: str = "dead"
    enabled: bool = False
    pid: int = 0
    restarts: int = 0
    started: float = 0.0
    invocation: str = ""


class Machine:
    """All units, the loaded table's chains, and the programs and packages that are there."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """A machine that was just installed."""
        for unit in getattr(self, "units", {}).values():
            self._end(unit)
        self.units: dict[str, Unit] = {}
        self.chains: set[str] = set()
        self.programs = {"systemctl", "nft"}
        self._pid = 100

    def unit(self, name: str) -> Unit:
        """A unit; one that systemd meets for the first time is read in."""
        if name not in self.units:
            self.units[name] = Unit(_text(name), _drop_ins(name))
        elif self.units[name].text is None:
            # What was not found is looked for again.
            self.units[name].text, self.units[name].beside = _text(name), _drop_ins(name)
        return self.units[name]

    def reload(self) -> None:
        """daemon-reload."""
        for name, unit in self.units.items():
            unit.text, unit.beside = _text(name), _drop_ins(name)

    def start(self, name: str) -> None:
        """Start a unit anew as it was read in. Raises LookupError where there is none."""
        unit = self.unit(name)
        if unit.text is None:
            raise LookupError(f"Unit {name} not found.")
        self._end(unit)
        self._pid += 1
        unit.active, unit.sub, unit.restarts = "active", "running", 0
        unit.started, unit.invocation = time.clock_gettime(time.CLOCK_MONOTONIC), f"{self._pid:032x}"
        if name == FIREWALL:
            unit.sub = "exited"
            self.chains = set(re.findall(r"^  chain (\S+) \{", TABLE.read_text(), re.MULTILINE))
        elif name.endswith(".timer"):
            unit.sub = "waiting"
        else:
            unit.pid = self._pid
            self._process(unit)

    def stop(self, name: str, active: str = "inactive", sub: str = "dead") -> None:
        """Stop a unit, or let it be found in another state that has no process."""
        unit = self.unit(name)
        self._end(unit)
        unit.active, unit.sub = active, sub
        if name == FIREWALL:
            self.chains = set()

    def _process(self, unit: Unit) -> None:
        file = read_unit(unit.text or "")
        environment = {**file.environment}
        digest = re.search(r'Environment="(BAREMETAL_VLLM_DIGEST=\w*)"', unit.text or "")
        lines = [f"{name}={value}" for name, value in environment.items()] + ([digest[1]] if digest else [])
        if SECRETS.exists():
            lines += [f"{name}={value}" for name, value in _LINE.findall(SECRETS.read_text(errors="replace"))]
        folder = PROC / str(unit.pid)
        folder.mkdir()
        (folder / "environ").write_bytes(b"".join(line.encode() + b"\0" for line in lines))
        (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in ["python", *file.command]))
        (folder / "maps").write_text("")

    def _end(self, unit: Unit) -> None:
        if unit.pid:
            shutil.rmtree(PROC / str(unit.pid))
        unit.pid = 0

    def show(self, name: str) -> str:
        """What `systemctl show` prints of a unit; a start that is under way has come to its end by the next time."""
        unit = self.unit(name)
        shown = {
            "Id": name,
            "LoadState": "not-found" if unit.text is None else "loaded",
            "ActiveState": unit.active,
            "SubState": unit.sub,
            "UnitFileState": "" if unit.text is None else "enabled" if unit.enabled else _off(unit.text),
            "MainPID": unit.pid,
            "NRestarts": unit.restarts,
            "Result": "exit-code" if unit.active == "failed" else "success",
            "ExecMainStatus": 1 if unit.active == "failed" else 0,
            "InvocationID": unit.invocation,
            "Job": "",
            "NeedDaemonReload": "yes" if unit.text is not None and self._stale(name, unit) else "no",
            "AssertResult": "yes",
            "InactiveExitTimestampMonotonic": int(unit.started * 1e6),
            "ExecMainStartTimestampMonotonic": int(unit.started * 1e6) if unit.pid else 0,
            "DropInPaths": " ".join(sorted(unit.beside)),
            "ControlGroup": "",
        }
        if (unit.active, unit.sub) == ("activating", "start-post"):
            unit.active, unit.sub = "active", "running"
        return "".join(f"{key}={value}\n" for key, value in shown.items())

    def _stale(self, name: str, unit: Unit) -> bool:
        return (unit.text, unit.beside) != (_text(name), _drop_ins(name))

    def systemctl(self, words: Sequence[str]) -> str:
        """Raises LookupError: with what systemctl says."""
        verb, options = words[0], [word for word in words[1:] if word.startswith("-")]
        names = [word for word in words[1:] if "." in word]
        if verb == "--version":
            return "systemd 252 (252.39-1~deb12u1)\n"
        if verb == "is-active":
            # Nothing but firewalld is asked for like this, and there is none.
            raise LookupError("inactive")
        if verb == "daemon-reload":
            self.reload()
        elif verb == "show":
            return "\n".join(self.show(name) for name in names)
        for name in names:
            if verb == "enable":
                self.unit(name).enabled = True
            elif verb == "disable":
                self.unit(name).enabled = False
                if "--now" in options:
                    self.stop(name)
            elif verb in ("restart", "start", "reload-or-restart"):
                self.start(name)
            elif verb == "stop" or (verb == "reset-failed" and self.unit(name).active == "failed"):
                self.stop(name)
        return ""

    def nft(self, words: Sequence[str]) -> str:
        """Raises LookupError where a chain that is asked for is not loaded."""
        if words[0] == "list" and words[-1] not in self.chains:
            raise LookupError("Error: No such file or directory")
        return ""

    def run(self, argv: Sequence[str]) -> tuple[int, str, str]:
        """Exit status, output, errors of one of the programs that are simulated."""
        name, words = argv[0], list(argv[1:])
        if name == "env":
            return 0, "ExecMainStartTimestamp=\n", ""
        try:
            if name == "systemctl":
                return 0, self.systemctl(words), ""
            if name == "nft":
                return 0, self.nft(words), ""
        except LookupError as error:
            return 1, "", str(error.args[0])
        if name == "systemd-sysusers":
            add_user()
        # A trial in a namespace of its own (fileset_trial.py) finds nothing wrong; nobody has said anything in a journal.
        return 0, "", ""


SIMULATED = ("systemctl", "journalctl", "nft", "env", "unshare", "systemd-sysusers", "apt-config")


def standing_in(machine: Machine, real: Callable[..., Any]) -> Callable[..., Any]:
    """`subprocess.run` on this machine: the simulated programs in memory, all others for real."""

    def run(argv: Sequence[str], **more: Any) -> Any:
        name = argv[0]
        if name not in SIMULATED:
            return real(argv, **more)
        if name == "nft" and name not in machine.programs:
            raise FileNotFoundError(2, "No such file or directory", name)
        code, out, err = machine.run(argv)
        said = (out, err) if more.get("text") else (out.encode(), err.encode())
        return subprocess.CompletedProcess(argv, code, *said)

    return run


def add_user() -> None:
    """The engines' user, as the file of systemd-sysusers(8) has it."""
    for file, line in (
        ("/etc/passwd", "vllm:x:970:970::/var/cache/vllm:/usr/sbin/nologin\n"),
        ("/etc/group", "vllm:x:970:\n"),
    ):
        path = Path(file)
        text = path.read_text()
        if "\nvllm:" not in text:
            path.write_text(text + line)


def _text(name: str) -> str | None:
    try:
        return (UNITS / name).read_text(errors="replace")
    except OSError:
        return None


def _drop_ins(name: str) -> dict[str, str]:
    return {str(path): path.read_text() for path in sorted((UNITS / f"{name}.d").glob("*.conf"))}


def _off(text: str) -> str:
    return "disabled" if "\n[Install]\n" in text else "static"
