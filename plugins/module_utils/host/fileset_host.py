"""A set of files of ours on one host: looked at, tried, put in place, taken up by its unit; or put back."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.host import folders, systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.host.fileset import (
    EFFECTS,
    Directory,
    File,
    FilesetRequest,
    FilesetSeen,
    FilesetVerdict,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.host.fileset_restore import (
    Before,
    as_it_is,
    forget,
    note,
    noted,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import HostFile

_PATIENCE = 900.0


class UnitError(Exception):
    """A unit that did not take its files; what it said, and what serves now."""


def look(request: FilesetRequest, probe: Sequence[str]) -> FilesetSeen:
    """How a host differs from the set. `probe`: a command that succeeds where a running unit has its files in force."""
    states = systemd.show([request.unit, *request.unit_files]) if request.unit else {}
    state = states.get(request.unit)
    return FilesetSeen(
        differing=tuple(file.path for file in request.files if _differs(file)),
        extra=tuple(extra(request)),
        directories=tuple(d.path for d in request.directories if _directory_differs(d)),
        state=state,
        pending=noted(request.unit) if request.unit else "none",
        in_force=not probe or state is None or state.active != "active" or _succeeds(probe),
        unread=tuple(unit for unit, found in states.items() if found.stale),
    )


def extra(request: FilesetRequest) -> list[str]:
    """Files in `only` directories, at any depth, that are not in the set."""
    wanted = {file.path for file in request.files}
    found = []
    for directory in request.directories:
        if directory.only:
            for base, __, names in os.walk(directory.path):
                found += [os.path.join(base, name) for name in names]
    return sorted(set(found) - wanted)


def present(request: FilesetRequest) -> list[str]:
    """Paths of the set that are on the host."""
    files = [file.path for file in request.files if os.path.lexists(file.path)]
    return [*files, *(path for path in extra(request) if path not in files)]


def ids(owner: str, group: str) -> tuple[int, int]:
    """User and group numbers; KeyError where one is not known on this host."""
    return pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid


def on_host(files: Sequence[File]) -> list[HostFile]:
    """Raises UnitError, naming the owners that the host does not know."""
    try:
        return [file.on_host(ids(file.owner, file.group)) for file in files]
    except KeyError:
        owners = sorted({f"{file.owner}:{file.group}" for file in files if not _known(file.owner, file.group)})
        raise UnitError(f"No such user or group on this host: {', '.join(owners)}") from None


def make_directories(request: FilesetRequest, verdict: FilesetVerdict) -> None:
    """Those that are asked for, and those in which files of the set lie.

    Raises UnitError: naming the owner that the host does not know.
    """
    for directory in request.directories:
        if directory.path in verdict.directories:
            _make(directory)
    for file in request.files:
        folders.make(os.path.dirname(file.path), 0o700 if file.secret else folders.PUBLIC)


def apply(request: FilesetRequest, seen: FilesetSeen, verdict: FilesetVerdict) -> None:
    """Do what was decided. Raises UnitError where the unit does not take it; the earlier files are back then, where the
    unit ran with them."""
    wanted = [file for file in request.files if file.path in verdict.write]
    files = on_host(wanted)
    before = [as_it_is(path) for path in (*verdict.write, *verdict.remove)]
    if request.unit and (wanted or verdict.remove):
        note(request.unit, max((*(file.effect for file in wanted), "none"), key=EFFECTS.index), seen.pending)
    for file in files:
        file.write()
    for path in verdict.remove:
        Path(path).unlink(missing_ok=True)
    if verdict.daemon_reload:
        systemd.run(["systemctl", "daemon-reload"])
    if verdict.enable:
        systemd.run(["systemctl", "enable", "--quiet", request.unit])
    if verdict.verb:
        _take_up(request.unit, seen, verdict, before)
    if request.unit:
        forget(request.unit)


def _take_up(unit: str, seen: FilesetSeen, verdict: FilesetVerdict, before: Sequence[Before]) -> None:
    ran = seen.state is not None and seen.state.active == "active"
    try:
        if seen.state is not None and seen.state.active == "failed":
            systemd.run(["systemctl", "reset-failed", unit])
        command = {"start": "start", "reload": "reload-or-restart", "restart": "restart"}[verdict.verb]
        systemd.run(["systemctl", command, unit], timeout=_PATIENCE)
    except systemd.SystemdError as error:
        said = _last_words(unit) or str(error)
        if not ran or not before:
            # It would try again and again.
            _attempt(["systemctl", "stop", unit])
            raise UnitError(f"{unit} does not start with these files and is stopped: {said}") from error
        for item in before:
            item.put_back()
        systemd.run(["systemctl", "daemon-reload"])
        _attempt(["systemctl", "reset-failed", unit])
        back = _attempt(["systemctl", "reload-or-restart", unit])
        forget(unit)
        after = (
            "the earlier files are back and it runs with them"
            if back
            else "it does not run with the earlier ones either"
        )
        raise UnitError(f"{unit} did not take the new files ({verdict.verb}): {said}; {after}") from error


def remove(request: FilesetRequest, paths: Sequence[str]) -> None:
    """Units stopped and disabled, then files, then directories that are empty. Others' files in them stay.

    Raises SystemdError: where a unit does not stop; its files are still there then.
    """
    units = [unit for unit in dict.fromkeys((request.unit, *request.unit_files)) if unit]
    known = [unit for unit, state in systemd.show(units).items() if state.load not in ("not-found", "")]
    if known:
        # Timers before what they start.
        order = sorted(known, key=lambda unit: unit.endswith(".service"))
        systemd.run(["systemctl", "disable", "--now", "--quiet", *order], timeout=_PATIENCE)
    for path in paths:
        Path(path).unlink(missing_ok=True)
    for directory in sorted(request.directories, key=lambda each: each.path, reverse=True):
        below = (
            [base for base, __, __ in os.walk(directory.path, topdown=False)] if directory.only else [directory.path]
        )
        for base in below:
            if os.path.isdir(base) and not os.listdir(base):
                os.rmdir(base)
    if known:
        systemd.run(["systemctl", "daemon-reload"])
        _attempt(["systemctl", "reset-failed", *known])
    if request.unit:
        forget(request.unit)


def _last_words(unit: str) -> str:
    lines = [line for line in systemd.journal(unit, lines=30) if line.strip() and "systemd" not in line]
    return " / ".join(lines[-6:])


def _differs(file: File) -> bool:
    return not _known(file.owner, file.group) or file.on_host(ids(file.owner, file.group)).differs()


def _known(owner: str, group: str) -> bool:
    try:
        ids(owner, group)
    except KeyError:
        return False
    return True


def _directory_differs(directory: Directory) -> bool:
    try:
        found = os.stat(directory.path)
        numbers = ids(directory.owner, directory.group)
    except (FileNotFoundError, KeyError):
        return True
    return (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) != (directory.mode, *numbers)


def _make(directory: Directory) -> None:
    if not _known(directory.owner, directory.group):
        raise UnitError(f"No such user or group on this host: {directory.owner}:{directory.group}")
    folders.make(directory.path)
    os.chown(directory.path, *ids(directory.owner, directory.group))
    os.chmod(directory.path, directory.mode)


def _succeeds(argv: Sequence[str]) -> bool:
    try:
        return (
            subprocess.run(argv, capture_output=True, timeout=60, check=False, stdin=subprocess.DEVNULL).returncode == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def _attempt(argv: Sequence[str]) -> bool:
    try:
        systemd.run(argv, timeout=_PATIENCE)
    except systemd.SystemdError:
        return False
    return True
