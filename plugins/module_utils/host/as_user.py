"""Doing a piece of work as another user than root, where that user could turn root's own steps against the host.

Whoever owns a directory can put a link to /etc/shadow into it, or exchange a part of a path between two looks: root must neither
read nor write below it. The kernel keeps a process of that user from both.
"""

from __future__ import annotations

import os
import pwd
import sys
import traceback
from typing import BinaryIO, Callable

# Of a child that failed; what it says comes through a pipe of its own.
_FAILED = 1


class AsUserError(OSError):
    """The work failed, or its user is not on this host."""


def as_user(user: str, work: Callable[[BinaryIO], None], read: Callable[[BinaryIO], None]) -> None:
    """Run `work` in a process of `user`, with umask 077; what it writes to its stream `read` gets here, until it ends.

    A process that is not root's stays what it is. Raises AsUserError: with the work's own words; and what `read` raises, and then
    the work ends by its next write.
    """
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise AsUserError(f"this host has no user {user}") from None
    output, write = os.pipe()
    errors, complain = os.pipe()
    child = os.fork()
    if not child:
        os.close(output)
        os.close(errors)
        _work(entry, work, write, complain)
    os.close(write)
    os.close(complain)
    try:
        with open(output, "rb") as stream:
            read(stream)
    finally:
        with open(errors, "rb") as stream:
            said = stream.read().decode(errors="replace").strip()
        status = os.waitpid(child, 0)[1]
    if status:
        raise AsUserError(said or f"a process of {user} ended with status {status}")


def _work(entry: pwd.struct_passwd, work: Callable[[BinaryIO], None], write: int, complain: int) -> None:
    """The child; it never returns into the code of its parent."""
    status = _FAILED
    try:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
        os.umask(0o077)
        with open(write, "wb") as stream:
            work(stream)
        status = 0
    except OSError as error:
        os.write(complain, f"{error.filename or entry.pw_name}: {error.strerror or error}".encode())
    except BaseException:
        os.write(complain, traceback.format_exc(limit=-1).encode())
    finally:
        sys.stderr.flush()
        os._exit(status)
