"""One gateway's HAProxy: asked and told through its admin socket, with what it must remember kept beside it.

`<directory>/server-state` is what HAProxy loads at its start, `<directory>/drains.json` who drained what and why.
"""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.gateway import drain, lifetime
from ansible_collections.baremetal.vllm.plugins.module_utils.gateway.drain import Pair, Record, Server
from ansible_collections.baremetal.vllm.plugins.module_utils.host import folders

# Where a gateway of this collection has them.
ADMIN, DIRECTORY, CONFIG = "/run/haproxy-vllm/admin.sock", "/var/lib/haproxy-vllm", "/etc/haproxy/vllm.cfg"
TIMEOUT = 10.0
# A worker that starts in a reload has read the state file before it takes the socket over; in this time it has taken it.
SETTLED = 0.5
ATTEMPTS = 5


class GatewayError(Exception):
    """HAProxy answered something else than was asked for; the text is for a person."""


class NotRunning(Exception):
    """Nobody listens at the admin socket."""


@dataclass(frozen=True)
class GatewaySight:
    """What was found: `view` as drain.View, `process` the worker's id, None while HAProxy is down."""

    view: Mapping[str, Mapping[str, Server]]
    records: Mapping[str, Record]
    process: str | None

    @property
    def drains(self) -> dict[str, Record]:
        """Drained servers by `model/host`, with who drained each and why."""
        return drain.drains(self.view, self.records)


@dataclass(frozen=True)
class Gateway:
    """Where one gateway's HAProxy keeps its socket, its memory and its configuration."""

    admin: Path
    directory: Path
    config: Path

    @property
    def state_file(self) -> Path:
        """The states of servers that a starting HAProxy takes up."""
        return self.directory / "server-state"

    @property
    def records_file(self) -> Path:
        """Who drained which server and why, as JSON: HAProxy itself remembers no reason."""
        return self.directory / "drains.json"

    def ask(self, command: str) -> str:
        """The answer to one command. Raises NotRunning and GatewayError."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT)
            try:
                connection.connect(str(self.admin))
            except (FileNotFoundError, ConnectionRefusedError):
                raise NotRunning from None
            pieces = []
            try:
                connection.sendall(f"{command}\n".encode())
                while piece := connection.recv(65536):
                    pieces.append(piece)
            except socket.timeout:
                raise GatewayError(
                    f"HAProxy gave no answer to `{command}` within {TIMEOUT:.0f} s at {self.admin}"
                ) from None
            except ConnectionError:
                raise NotRunning from None
        return b"".join(pieces).decode(errors="replace")

    def look(self) -> GatewaySight:
        """The gateway now, or as it will come up.

        Raises GatewayError: where HAProxy runs and answers something else; while it is down, files tell.
        """
        records = _read_records(self.records_file)
        try:
            process = self._process()
            view = drain.parse_state(self.ask("show servers state"))
            # The servers' lines of all backends: ids -1, type 4.
            return GatewaySight(drain.with_sessions(view, self.ask("show stat -1 4 -1")), records, process)
        except NotRunning:
            pairs = drain.parse_config(_read(self.config))
            return GatewaySight(drain.stopped(pairs, _read(self.state_file)), records, None)
        except drain.StateError as error:
            raise GatewayError(f"{self.admin}: {error}") from None

    def change(self, pairs: Sequence[Pair], drained: bool, who: str, why: str) -> GatewaySight:
        """Drain `pairs` or make them ready, now and for the next start; the gateway afterwards.

        The state file says so first, so that a HAProxy that dies meanwhile comes up as asked. A worker that a reload
        brings in meanwhile may know nothing of it: until two looks at one worker agree, it is said again.

        Raises GatewayError: where HAProxy refuses, or does not keep what it was told.
        """
        wanted = "drained" if drained else "ready"
        self._remember(self.look(), pairs, drained, who, why)
        configured = drain.parse_config(_read(self.config))
        _write(self.state_file, drain.patch_state(_read(self.state_file), pairs, drained, configured))
        for _attempt in range(ATTEMPTS):
            try:
                process = self._process()
                for model, host in pairs:
                    answer = self.ask(
                        f"set server {drain.PREFIX}{model}/{host} state {'drain' if drained else 'ready'}"
                    )
                    if answer.strip():
                        raise GatewayError(f"HAProxy refused to make {model}/{host} {wanted}: {answer.strip()}")
                self.keep()
                time.sleep(SETTLED)
            except NotRunning:
                process = None
            sight = self.look()
            if sight.process == process and all(sight.view[model][host].admin == wanted for model, host in pairs):
                return sight
        raise GatewayError(
            f"HAProxy did not keep {', '.join('/'.join(pair) for pair in pairs)} {wanted} in {ATTEMPTS} attempts. "
            "Is somebody reloading it, or changing its servers, at the same time?"
        )

    def certificate(self) -> dict[str, object]:
        """How long the certificate that it shows is good for, as `lifetime.lifetime`; {} without TLS or while HAProxy is down.

        Raises GatewayError: where HAProxy gives no answer in time.
        """
        path = lifetime.loaded_path(_read(self.config))
        if not path:
            return {}
        try:
            said = self.ask(f"show ssl cert {path}")
        except NotRunning:
            return {}
        return lifetime.lifetime(path, said, datetime.datetime.now(datetime.timezone.utc))

    def keep(self) -> None:
        """Write down the servers' states as they are, for HAProxy's next start.

        Raises NotRunning, GatewayError and StateError: the file is then as it was.
        """
        text = self.ask("show servers state")
        drain.parse_state(text)
        _write(self.state_file, text)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One change at a time, and none while a reload is under way (haproxy-vllm-state takes the same lock)."""
        folders.make(self.directory, 0o700)
        with open(self.directory / "lock", "w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _process(self) -> str:
        answer = self.ask("show info")
        for line in answer.splitlines():
            if line.startswith("Pid:"):
                return line.partition(":")[2].strip()
        raise GatewayError(f"{self.admin} is no admin socket of HAProxy: to `show info` it answers {answer[:80]!r}")

    def forget(self, sight: GatewaySight) -> None:
        """Drop the records of servers that are no longer drained, or no longer there."""
        if not set(sight.records) <= set(sight.drains):
            self._remember(sight, (), False, "", "")

    def _remember(self, sight: GatewaySight, pairs: Sequence[Pair], drained: bool, who: str, why: str) -> None:
        # Of a server that somebody made ready by hand, the record is history; of one drained by hand, there is none.
        records = {key: record for key, record in sight.drains.items() if key in sight.records}
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        for model, host in pairs:
            if drained:
                records.setdefault(f"{model}/{host}", {"who": who, "why": why, "since": now})
            else:
                records.pop(f"{model}/{host}", None)
        _write(self.records_file, json.dumps(records, indent=2, sort_keys=True) + "\n")


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""


def _read_records(path: Path) -> dict[str, Record]:
    try:
        found = json.loads(_read(path) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, text: str) -> None:
    """Replace the file whole, and on the disk: a power cut leaves the old one or the new one."""
    draft = path.with_name(f".{path.name}.draft")
    with open(draft, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(draft, path)
