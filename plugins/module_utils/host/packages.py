"""Packages of the distribution, with apt-get or dnf: nobody is asked, no engine is restarted by it.

Sources: apt-get(8), dpkg-query(1), dnf(8), rpm(8). Standard library, Python 3.9: this runs on hosts.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

# Files that the operator changed stay as they are; whoever holds apt's lock (unattended upgrades) is waited for.
_APT = (
    *("apt-get", "-y", "-o", "DPkg::Lock::Timeout=600"),
    *("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"),
)
_LISTS = Path("/var/lib/apt/lists")
# Seconds that apt's lists count as fresh.
FRESH = 3600
# needrestart's hook of apt ends at once where this is not empty (its apt-pinvoke, 3.5 to 3.11): it would restart engines.
ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1", "LC_ALL": "C"}

# Runs a command; its exit status and what it said.
Run = Callable[[Sequence[str]], "tuple[int, str]"]


class PackageError(RuntimeError):
    """Packages that could not be changed; the text is for the person at the terminal."""


def manager_of(family: str, there: Callable[[str], object]) -> str:
    """apt-get or dnf, "" where the host has neither. `family`: its distribution's (debian, rhel, fedora); `there` finds programs.

    A host may have both, and only its own knows its packages.
    """
    order = ("dnf", "apt-get") if family in ("rhel", "fedora") else ("apt-get", "dnf")
    return next((name for name in order if there(name)), "")


def installed(manager: str, names: Sequence[str], run: Run) -> set[str]:
    """Those of `names` that are installed; `NAME=VERSION` (apt) and `NAME-VERSION` (dnf) in that version."""
    if manager == "dnf":
        return {name for name in names if run(("rpm", "-q", "--whatprovides", name))[0] == 0}
    bare = [name.partition("=")[0] for name in names]
    form = "${Package}\t${Package}:${Architecture}\t${Version}\t${db:Status-Status}\n"
    rows = [line.split("\t") for line in run(("dpkg-query", "--show", f"--showformat={form}", *bare))[1].splitlines()]
    found = {key: row[2] for row in rows if len(row) == 4 and row[3] == "installed" for key in row[:2]}
    return {name for name, key in zip(names, bare) if key in found and name.partition("=")[2] in ("", found[key])}


def change(
    manager: str,
    names: Sequence[str],
    run: Run,
    *,
    absent: bool = False,
    recommended: bool = False,
    lists: Path = _LISTS,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Install or remove packages as one transaction. `manager`: apt-get or dnf; `recommended`: with what they recommend.

    apt's lists are read anew where they are older than an hour, or do not have the packages. Raises PackageError.
    """
    if manager == "dnf":
        weak = f"--setopt=install_weak_deps={recommended}"
        _must(
            run, ("dnf", "-y", "remove", "--noautoremove", *names) if absent else ("dnf", "-y", weak, "install", *names)
        )
        return
    if absent:
        _must(run, (*_APT, "remove", *names))
        return
    install = (*_APT, "--install-recommends" if recommended else "--no-install-recommends", "install", *names)
    stale = _age(lists) > FRESH
    if not stale and run(install)[0] == 0:
        return
    # A source that fails is told by apt-get install, if it is one that is needed.
    status, text = run(("apt-get", "-o", "DPkg::Lock::Timeout=600", "update"))
    if status:
        say(f"apt-get update failed: {_end(text)}")
    _must(run, install)


def _must(run: Run, command: Sequence[str]) -> None:
    status, text = run(command)
    if status:
        raise PackageError(f"{' '.join(command)} failed ({status}):\n{_end(text)}")


def _end(text: str) -> str:
    # Progress and the advice of apt beside what it complains of.
    told = [
        line for line in text.splitlines() if line.strip() and not re.match(r"(Get|Hit|Ign|Reading|Building)\b", line)
    ]
    return "\n".join(told[-8:])


def _age(path: Path) -> float:
    """Seconds since apt's lists were last read; endless where they never were."""
    try:
        return time.time() - path.stat().st_mtime if any(path.glob("*_*")) else float("inf")
    except OSError:
        return float("inf")
