"""One rollout at a time: the record on a keeper, and whether its holder still lives.

The record is JSON: {"id", "who" (user@control node), "what", "since" (ISO 8601 by the holder's clock: shown, never
compared), "pid", "started", "node", "boot"}. `node` names a control node and its process namespace, `boot` its boot,
`started` the start of process `pid`: together they tell a process from a later one of the same number.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.host import folders
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values

KEYS = ("id", "who", "what", "since", "pid", "started", "node", "boot")
PATH = Path("/var/lib/vllm/rollout.lock")
# The id by which a record that nobody can read is taken over.
UNREADABLE = "unreadable"
Record = dict[str, object]


def read(path: Path) -> Record | None:
    """The record, None where nobody holds the lock."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        text = ""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, dict) and isinstance(found.get("id"), str):
        return {key: found.get(key, "") for key in KEYS}
    return {**dict.fromkeys(KEYS, ""), "id": UNREADABLE, "who": "somebody (its record cannot be read)"}


def hold(path: Path, mine: Mapping[str, object], take_over: str = "", check: bool = False) -> tuple[bool, Record]:
    """Take the lock where it is free, or where the holder's id is `take_over`.

    Returns whether something was (in check mode: would be) written, and who held it before, or holds it: `mine` itself
    where it was free. Of two at once exactly one gets it: they queue for the directory.
    """
    with _alone(path, check):
        found = read(path)
        if found is not None and found["id"] == mine["id"]:
            return False, found
        if found is not None and found["id"] != take_over:
            return False, found
        if not check:
            _write(path, mine)
        return True, found or dict(mine)


def release(path: Path, identity: str, check: bool = False) -> tuple[bool, Record | None]:
    """Give the lock back where `identity` holds it; whether it did, and who holds it otherwise."""
    with _alone(path, check):
        found = read(path)
        if found is None or found["id"] != identity:
            return False, found
        if not check:
            path.unlink()
        return True, None


def dead(record: Values, mine: Mapping[str, object], started: str | None) -> bool:
    """Whether the holder's process is known to be gone: only its own control node can know.

    `started`: the start of the process that has the record's pid now, None where there is none. No clock is asked.
    """
    if not record["node"] or record["node"] != mine["node"]:
        return False
    return bool(record["boot"] != mine["boot"] or started is None or started != record["started"])


def refusal(record: Values) -> str:
    """What the operator who comes second reads."""
    since = f", since {record['since']} by the clock there" if record["since"] else ""
    what = f": {record['what']}" if record["what"] else ""
    return (
        f"{record['who']} holds the rollout{since}{what} (process {record['pid'] or 'unknown'}). Wait until it ends. "
        f"Where that run is dead for certain, take over with -e rollout_take_over={record['id']}"
    )


@contextmanager
def _alone(path: Path, check: bool) -> Iterator[None]:
    """Alone with the record. The kernel gives the directory's lock back when a process dies, however it dies."""
    if check:
        yield
        return
    folders.make(path.parent)
    place = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def _write(path: Path, record: Values) -> None:
    """Whole or not at all, and on the disk: a keeper that loses power keeps the record."""
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump({key: record[key] for key in KEYS}, file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(draft, 0o644)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
