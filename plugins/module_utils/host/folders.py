"""Directories on a host, whose modes are what is asked for, whatever the umask of the one who makes them.

A hardened host has UMASK 077 for everybody (login.defs(5), pam_umask(8)), and sudo joins it to its own (sudoers(5), `umask`):
what mkdir(2) makes is then closed to the engines' user, of whom root notices nothing.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

# Of those that everybody may enter and list.
PUBLIC = 0o755


def make(path: str | os.PathLike[str], mode: int = PUBLIC) -> None:
    """Make a directory with exactly `mode`, and those above it that are missing as public ones. What is there stays as it is.

    Raises OSError, with the name of the directory.
    """
    missing, place = [], Path(path)
    while not place.exists():
        missing.append(place)
        place = place.parent
    for directory in reversed(missing):
        try:
            directory.mkdir(mode=0o700)
        except FileExistsError:
            continue
        directory.chmod(mode if directory == Path(path) else PUBLIC)
    if not missing and not place.is_dir():
        raise NotADirectoryError(20, os.strerror(20), str(path))


def is_public(path: str | os.PathLike[str]) -> bool:
    """Whether everybody may enter and list a directory; one that is not there is nothing to complain of."""
    try:
        return stat.S_IMODE(os.stat(path).st_mode) & 0o055 == 0o055
    except FileNotFoundError:
        return True


def publish(path: str | os.PathLike[str]) -> None:
    """Let everybody enter and list a directory that holds something for them."""
    os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) | PUBLIC)


def closed_above(path: str | os.PathLike[str]) -> str:
    """The first directory on the way to `path` that others may not enter, such as `/srv (mode 0700)`; "" for none."""
    for directory in reversed(Path(path).parents):
        try:
            mode = stat.S_IMODE(os.stat(directory).st_mode)
        except OSError:
            return ""
        if not mode & 0o001:
            return f"{directory} (mode {mode:04o})"
    return ""
