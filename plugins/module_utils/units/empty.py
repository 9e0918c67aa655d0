"""Everything that the toolkit puts on a host, as it is found there: what emptying it removes, and what it leaves.

Drivers, their settings and system packages are not among it: other programs may use them.
"""

from __future__ import annotations

import errno
import os
import pwd
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.engine.installed import foreign, used_by_processes
from ansible_collections.baremetal.vllm.plugins.module_utils.host import labels, systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.units import surroundings
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import MARK
from ansible_collections.baremetal.vllm.plugins.module_utils.units.surroundings import Surroundings

UNITS = "etc/systemd/system"
_OURS = re.compile(r"vllm-.+\.service|(haproxy|keepalived|canary|firewall)-vllm(-[a-z]+)?\.(service|timer|path)")
# These may be stopped at any time; models and gateways have clients.
_GUARDS = re.compile(r"(canary|firewall)-vllm(-[a-z]+)?\.(service|timer)|haproxy-vllm-certificate\.(service|path)")
DIRECTORIES = (
    *("opt/vllm", "var/lib/vllm", "var/cache/vllm", "etc/vllm"),
    *("etc/haproxy/vllm", "var/lib/haproxy-vllm"),
)
FILES = (
    *("etc/haproxy/vllm.cfg", "etc/keepalived/vllm.conf", "etc/sysusers.d/vllm.conf", "etc/tmpfiles.d/vllm.conf"),
    *("etc/needrestart/conf.d/vllm-engines.conf", "etc/needrestart/conf.d/vllm-gateway.conf"),
)
# Made for files of ours where their package has not: they go where nothing else is in them.
SHELVES = ("etc/needrestart/conf.d", "etc/needrestart")
PROGRAMS = "usr/local/libexec"
ENGINES = "/opt/vllm"
TABLE = ("inet", "vllm_endpoints")
# Of the roles endpoint_firewall and gateway.
OPENINGS = ("engines", "gateway")
# As sysusers.d/vllm.conf makes it: a user of that name that somebody else made stays.
USER, HOME = "vllm", "/var/cache/vllm"


@dataclass(frozen=True)
class Leftovers:
    """What of ours is there. `drop_ins` are the operator's; `running` has clients; `emptied` are directories that are, or
    hold, a mount or are reached through a link: their content goes, they stay."""

    units: tuple[str, ...]
    drop_ins: tuple[str, ...]
    files: tuple[str, ...]
    directories: tuple[str, ...]
    emptied: tuple[str, ...]
    user: bool
    table: bool
    running: tuple[str, ...]
    surroundings: tuple[str, ...] = ()

    def lines(self, drop_ins: bool) -> list[str]:
        """What is removed, for a diff; with the operator's drop-ins or without."""
        paths = [f"/{UNITS}/{unit}" for unit in self.units]
        paths += [*self.files, *self.directories, *(f"{path}/*" for path in self.emptied)]
        paths += self.drop_ins if drop_ins else ()
        table = [f"nftables table {' '.join(TABLE)}"] if self.table else []
        return [*paths, *table, *self.surroundings, *([f"user {USER}"] if self.user else [])]


def look(root: Path = Path("/")) -> Leftovers:
    """What there is. Units are known by their names and their first line; the rest by its place.

    Raises OpeningError: where a firewall that is on cannot be asked.
    """
    units = [path.name for path in sorted((root / UNITS).glob("*vllm*")) if _ours(path)]
    drop_ins = [
        str(path)
        for directory in sorted((root / UNITS).glob("*vllm*.d"))
        if _OURS.fullmatch(directory.name[:-2])
        for path in sorted(directory.glob("*.conf"))
    ]
    parts = [path for directory in DIRECTORIES for path in _own_part(root / directory)]
    there = [path for path in parts if path.is_dir()]
    own = [path for path in there if not path.is_symlink() and not _mounts(path)]
    programs = [path for path in sorted((root / PROGRAMS).glob("*vllm*")) if path.is_file() and _marked(path)]
    files = [path for path in (*(root / file for file in FILES), *programs, *parts) if path.is_file()]
    return Leftovers(
        units=tuple(units),
        drop_ins=tuple(drop_ins),
        files=tuple(map(str, files)),
        directories=tuple(str(path) for path in own),
        emptied=tuple(str(path) for path in there if path not in own and any(files for *__, files in os.walk(path))),
        user=_user(),
        table=_table(),
        running=tuple(_running(units)),
        surroundings=tuple(step for asked in around() for step in surroundings.surplus(asked).steps),
    )


def _own_part(directory: Path) -> list[Path]:
    """A directory of ours; what is ours of the one with the engines, where somebody else has put a release of theirs into it."""
    if f"/{directory}".endswith(ENGINES) and not directory.is_symlink() and foreign(directory):
        others = foreign(directory)
        return [path for path in sorted(directory.iterdir()) if path.name not in others]
    return [directory]


def around() -> list[Surroundings]:
    """What the host's firewall and SELinux may have been told of us, by any of our roles."""
    return [Surroundings(labels=labels.noted()), *(Surroundings(name=name) for name in OPENINGS)]


def _ours(path: Path) -> bool:
    if not _OURS.fullmatch(path.name) or path.is_symlink() or not path.is_file():
        return False
    return path.read_text(errors="replace").startswith(MARK)


def _marked(path: Path) -> bool:
    """Whether a program of ours says so where its first lines are."""
    return MARK[2:] in path.read_text(errors="replace")[:1000]


def _mounts(directory: Path) -> bool:
    """Whether something is mounted at a directory or below it."""
    lines = Path("/proc/self/mounts").read_text(errors="replace").splitlines()
    points = [line.split(" ")[1] for line in lines]
    return any(point == str(directory) or point.startswith(f"{directory}/") for point in points)


def clear(directory: Path) -> None:
    """Remove all that lies in a directory, and itself where it is no mount or link and holds none."""
    for folder, names, files in os.walk(directory, topdown=False):
        for name in files:
            os.unlink(os.path.join(folder, name))
        for name in names:
            _remove(os.path.join(folder, name))
    if not directory.is_symlink():
        _remove(str(directory))


def clear_shelves(root: Path = Path("/")) -> None:
    """Remove the directories that only files of ours needed, where they are empty now."""
    for shelf in SHELVES:
        if (root / shelf).is_dir():
            _remove(str(root / shelf))


def _remove(path: str) -> None:
    if os.path.islink(path):
        os.unlink(path)
        return
    try:
        os.rmdir(path)
    except OSError as error:
        # A mount, or what one lies in.
        if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
            raise


def _user() -> bool:
    try:
        return pwd.getpwnam(USER).pw_dir == HOME
    except KeyError:
        return False


def _table() -> bool:
    try:
        done = subprocess.run(["nft", "list", "table", *TABLE], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def _running(units: Sequence[str]) -> Iterator[str]:
    """Units with clients that are not stopped, and processes that run from an engine beside any unit of ours."""
    states: Mapping[str, systemd.UnitState] = systemd.show(unit for unit in units if not _GUARDS.fullmatch(unit))
    busy = [unit for unit, state in states.items() if state.active not in ("inactive", "failed") or state.job]
    yield from busy
    if not busy and os.path.isdir(ENGINES):
        for release, users in used_by_processes(Path(ENGINES)).items():
            yield from (f"{user} of {ENGINES}/{release}" for user in users)
