"""Settings of this computer's kernel that the machines need, and what they were before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

ROOT = Path("/proc/sys")
# The least that each must be. All machines count as one user towards inotify(7)'s limit, 128 by Debian's kernel, and the
# first processes of one take 8: with 16 machines path units and networkd's wait begin to fail.
WANTED = {"net/ipv4/ip_forward": 1, "fs/inotify/max_user_instances": 1024}


def read() -> dict[str, str]:
    return {name: (ROOT / name).read_text().strip() for name in WANTED}


def suffices(values: Mapping[str, str]) -> bool:
    return all(int(values[name]) >= least for name, least in WANTED.items())


def raise_all() -> None:
    """Nothing is lowered."""
    for name, value in read().items():
        if int(value) < WANTED[name]:
            write(name, str(WANTED[name]))


def write(name: str, value: str) -> None:
    (ROOT / name).write_text(value)


def dotted(name: str) -> str:
    """As sysctl(8) calls it."""
    return name.replace("/", ".")
