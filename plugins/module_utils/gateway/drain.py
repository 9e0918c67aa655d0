"""Which servers of a gateway serve, which are drained, and whether one more may be; pure.

HAProxy's own words come from its admin socket: `show servers state` (version 1, one line per server, also what
`server-state-file` loads) and `show stat` (CSV). Both are described in HAProxy's management guide, sections 9.3 and 9.1.
A view is {model: {host: Server}}; a pair is (model, host).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

PREFIX = "model."
_VERSION = "1"
_HEADER = (
    "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state "
    "bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr "
    "srv_agent_addr srv_agent_port"
)
_COLUMNS = _HEADER.split()[1:]
_BACKEND, _SERVER, _OPERATES, _ADMIN, _PORT = (
    _COLUMNS.index(name) for name in ("be_name", "srv_name", "srv_op_state", "srv_admin_state", "srv_port")
)
# srv_admin_state is a mask: maintenance forced, inherited, by configuration, by DNS (two kinds); drain forced, inherited.
_MAINTENANCE = 0x01 | 0x02 | 0x04 | 0x20 | 0x40
_CONFIGURED = 0x04
_DRAIN = 0x08
_DRAINED = 0x08 | 0x10

Pair = tuple[str, str]


@dataclass(frozen=True)
class Server:
    """`admin` is ready, drained or maint; `up` what health checks say; `sessions` the requests it is answering."""

    admin: str
    up: bool
    sessions: int = 0

    @property
    def serves(self) -> bool:
        """Whether new requests go to it: healthy, and neither drained nor in maintenance."""
        return self.up and self.admin == "ready"


View = Mapping[str, Mapping[str, Server]]


class StateError(ValueError):
    """A text that is no server state of HAProxy's."""


def parse_state(text: str) -> dict[str, dict[str, Server]]:
    """The models' servers in the answer to `show servers state`. Raises StateError."""
    view: dict[str, dict[str, Server]] = {}
    for fields in _rows(text):
        if not fields[_BACKEND].startswith(PREFIX):
            continue
        mask = int(fields[_ADMIN])
        admin = "maint" if mask & _MAINTENANCE else "drained" if mask & _DRAINED else "ready"
        # 0 is stopped; 1 starting, 2 running and 3 stopping all answer.
        server = Server(admin, fields[_OPERATES] != "0")
        view.setdefault(fields[_BACKEND][len(PREFIX) :], {})[fields[_SERVER]] = server
    return view


def with_sessions(view: View, statistics: str) -> dict[str, dict[str, Server]]:
    """The view with the running requests (`scur`) of `show stat`."""
    rows = csv.DictReader(io.StringIO(statistics.lstrip("# ")))
    current = {(row["pxname"], row["svname"]): int(row["scur"] or 0) for row in rows if row.get("svname")}
    return {
        model: {
            host: Server(server.admin, server.up, current.get((PREFIX + model, host), 0))
            for host, server in servers.items()
        }
        for model, servers in view.items()
    }


def parse_config(text: str) -> dict[Pair, str]:
    """The pairs that a configuration of ours holds, each with its port: what there is to drain while HAProxy is down."""
    pairs, backend = {}, ""
    for line in text.splitlines():
        words = line.split()
        if words and not line[0].isspace():
            backend = words[1] if words[0] == "backend" and len(words) > 1 else ""
        elif backend.startswith(PREFIX) and len(words) > 2 and words[0] == "server":
            pairs[backend[len(PREFIX) :], words[1]] = words[2].rpartition(":")[2]
    return pairs


def stopped(pairs: Iterable[Pair], text: str) -> dict[str, dict[str, Server]]:
    """The view while HAProxy is down: the configuration's servers, as the state file says they will come up."""
    try:
        kept = parse_state(text)
    except StateError:
        kept = {}
    view: dict[str, dict[str, Server]] = {}
    for model, host in pairs:
        found = kept.get(model, {}).get(host)
        view.setdefault(model, {})[host] = Server(found.admin if found else "ready", up=False)
    return view


def unknown(view: View, pairs: Iterable[Pair]) -> list[str]:
    """A sentence for each pair that this gateway does not have."""
    sentences = []
    for model, host in pairs:
        if model not in view:
            known = ", ".join(sorted(view)) or "no model at all"
            sentences.append(f"this gateway does not know the model {model} (it knows {known})")
        elif host not in view[model]:
            known = ", ".join(sorted(view[model]))
            sentences.append(f"this gateway has no server {host} for the model {model} (it has {known})")
    return sentences


def left_without(view: View, servers: Iterable[Pair]) -> list[str]:
    """The models that are served now and would not be with `servers` drained.

    A server that is down or drained already takes nothing away: an engine that has died can be drained for its repair,
    and draining twice is the same as once.
    """
    leaving: dict[str, set[str]] = {}
    for model, host in servers:
        leaving.setdefault(model, set()).add(host)
    gaps = []
    for model, hosts in sorted(leaving.items()):
        serving = {host for host, server in view.get(model, {}).items() if server.serves}
        if serving and serving <= hosts:
            gaps.append(model)
    return gaps


def patch_state(text: str, pairs: Iterable[Pair], drained: bool, configured: Mapping[Pair, str]) -> str:
    """The state file with `pairs` drained or ready; what is no state file is begun anew.

    HAProxy finds a server's line by the names of backend and server. It takes the port from the line, not from its
    configuration, and passes over a line whose admin state is no single one (src/server_state.c, srv_state_srv_update):
    so a new line has the port that is `configured`, and drain takes the place of maintenance.
    """
    try:
        rows = _rows(text)
    except StateError:
        rows = []
    left = set(pairs)
    for fields in rows:
        pair = (fields[_BACKEND][len(PREFIX) :], fields[_SERVER])
        if fields[_BACKEND].startswith(PREFIX) and pair in left:
            left.discard(pair)
            fields[_ADMIN] = str(int(fields[_ADMIN]) & _CONFIGURED | (_DRAIN if drained else 0))
    for model, host in sorted(left & set(configured)):
        # Running until a health check says otherwise, as a server without a line starts.
        admin, port = _DRAIN if drained else 0, configured[model, host]
        rows.append(f"0 {PREFIX}{model} 0 {host} - 2 {admin} 1 1 0 1 0 2 6 0 0 0 - {port} - 0 0 - - 0".split())
    lines = [_VERSION, _HEADER, *(" ".join(fields) for fields in rows)]
    return "\n".join(lines) + "\n"


Record = Mapping[str, "str | None"]


def drains(view: View, records: Mapping[str, Record]) -> dict[str, Record]:
    """Who drained what: {"model/host": {"who", "why", "since"}} of exactly the servers that are drained."""
    nobody = {"who": None, "why": "not recorded: drained by hand at the admin socket", "since": None}
    return {
        f"{model}/{host}": records.get(f"{model}/{host}", nobody)
        for model, servers in sorted(view.items())
        for host, server in sorted(servers.items())
        if server.admin == "drained"
    }


def _rows(text: str) -> list[list[str]]:
    lines = text.splitlines()
    if (
        len(lines) < 2
        or lines[0].strip() != _VERSION
        or lines[1].lstrip("# ").split()[: _ADMIN + 1] != _COLUMNS[: _ADMIN + 1]
    ):
        raise StateError(f"expected HAProxy's server state, version {_VERSION}, and found {text[:60]!r}")
    rows: list[list[str]] = [line.split() for line in lines[2:] if line.strip() and not line.startswith("#")]
    short: Sequence[list[str]] = [fields for fields in rows if len(fields) <= _PORT or not fields[_ADMIN].isdigit()]
    if short:
        raise StateError(f"this line of HAProxy's server state is cut short: {' '.join(short[0])!r}")
    return rows
