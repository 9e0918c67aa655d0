"""What makes a change of files safe to break off: paths as they were, and notes of what a unit has yet to take up."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.host import folders
from ansible_collections.baremetal.vllm.plugins.module_utils.host.fileset import EFFECTS

# A note per unit, from before its files are replaced until it has taken them up: a run that is cut off in between
# leaves files that are right and a process that has not read them. A reboot settles that by itself.
NOTES = Path("/run/baremetal-vllm")


@dataclass(frozen=True)
class Before:
    """A path as it was: content, mode, owners; content None where there was nothing."""

    path: str
    content: bytes | None
    mode: int = 0
    uid: int = 0
    gid: int = 0

    def put_back(self) -> None:
        """Make the path as it was, whole at once: content, mode and owners, or gone. Raises OSError."""
        path = Path(self.path)
        if self.content is None:
            path.unlink(missing_ok=True)
            return
        draft = path.with_name(f".{path.name}.draft")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(self.content)
        os.chown(draft, self.uid, self.gid)
        draft.chmod(self.mode)
        os.replace(draft, path)


def as_it_is(path: str) -> Before:
    """The path now, to be put back later. Raises OSError: where it is there and cannot be read."""
    try:
        found = os.stat(path)
        return Before(path, Path(path).read_bytes(), stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)
    except FileNotFoundError:
        return Before(path, None)


def note(unit: str, effect: str, pending: str) -> None:
    """Remember until the next boot what a unit has yet to take up: the stronger of two effects (EFFECTS)."""
    folders.make(NOTES)
    (NOTES / unit).write_text(max(effect, pending, key=EFFECTS.index))


def noted(unit: str) -> str:
    """What a unit has yet to take up; "none" without a note, "restart" where the note is of no known effect."""
    try:
        word = (NOTES / unit).read_text()
    except FileNotFoundError:
        return "none"
    return word if word in EFFECTS else "restart"


def forget(unit: str) -> None:
    """The unit has taken up its files; nothing happens where no note is."""
    (NOTES / unit).unlink(missing_ok=True)
