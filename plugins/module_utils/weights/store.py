"""The weights of one host: what is there, what is missing, and how pushed and hand-carried models get into place."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TypedDict

from ansible_collections.baremetal.vllm.plugins.module_utils.host import folders
from ansible_collections.baremetal.vllm.plugins.module_utils.weights import manifest as mf
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.hub_fetch import staging_of

# Any of these makes a directory something that vLLM can load (the last is a LoRA adapter).
ENTRY_FILES = ("config.json", "params.json", "adapter_config.json")


# `from`, the control node's directory, is no name in Python.
_PushedFrom = TypedDict("_PushedFrom", {"from": str}, total=False)


class PlannedWeights(_PushedFrom, total=False):
    """One set of files as the plan's JSON form has it (`Weights` in plugins/plugin_utils/planned/fleet.py).

    `source` is hub (with `repo` and `revision`), pushed (with `from` and `digest`) or host; `path` is where, on the host.
    """

    source: str
    path: str
    repo: str
    revision: str
    digest: str


@dataclass(frozen=True)
class WeightsState:
    """One item of the plan as found: `state` is present, absent, damaged, unmanaged, carried (whole, and yet to be adopted) or
    refused."""

    path: str
    state: str
    detail: str = ""
    size: int = 0


def usable(directory: str) -> str | None:
    """None if vLLM could load what lies there, else what is wrong with it."""
    if not os.path.exists(directory):
        return "does not exist"
    if os.path.isfile(directory):
        return None if directory.endswith(".gguf") else "is a file and no .gguf"
    names = os.listdir(directory)
    if not any(name in ENTRY_FILES or name.endswith(".gguf") for name in names):
        return f"has none of {', '.join(ENTRY_FILES)}, *.gguf"
    for name in names:
        if name.endswith(".index.json"):
            lost = _lost_shards(directory, name)
            if lost:
                return f"lacks {lost[0]} ({len(lost)} files), which {name} lists"
    return None


def _lost_shards(directory: str, index: str) -> list[str]:
    try:
        with open(os.path.join(directory, index), encoding="utf-8") as stream:
            shards = set(json.load(stream)["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    return sorted(name for name in shards if not os.path.exists(os.path.join(directory, str(name))))


def label(item: PlannedWeights) -> str:
    """How an item is called in messages."""
    if item["source"] == "hub":
        return f"{item['repo']}@{item['revision'][:12]}"
    return str(item.get("from") or item["path"])


def look(item: PlannedWeights, verify: bool = False) -> WeightsState:
    """Compare one planned item with the disk: sizes against its manifest, and every byte with `verify`."""
    path = item["path"]
    if item["source"] == "host":
        wrong = usable(path)
        if wrong is None:
            return WeightsState(path, "present")
        return WeightsState(
            path,
            "refused",
            f"{path} {wrong}: the plan names it as a model that lies on this host; put it there, or name a hub id, "
            "or a directory of the control node to push",
        )
    if not os.path.isdir(path):
        return WeightsState(path, "absent")
    known = mf.read(path)
    if known is None:
        return WeightsState(path, "unmanaged", "has no manifest that can be believed")
    if item["source"] == "pushed" and known.digest != item["digest"]:
        return WeightsState(path, "damaged", f"its manifest says {known.digest}, the plan {item['digest']}")
    wrong_files = mf.faults(path, known.files, content=verify)
    if wrong_files:
        return WeightsState(path, "damaged", f"{next(iter(wrong_files.values()))} ({len(wrong_files)} files)")
    return WeightsState(path, "present", size=known.size)


def without_hub(item: PlannedWeights, found: WeightsState) -> WeightsState:
    """The state of an item that `look` found, where nothing is fetched: a hub's model was carried there, or is refused."""
    if item["source"] != "hub" or found.state == "present":
        return found
    wrong = usable(found.path) if found.state == "unmanaged" else found.detail or "is not there"
    if wrong is None:
        return WeightsState(found.path, "carried", "somebody copied it there")
    return WeightsState(
        found.path,
        "refused",
        f"{label(item)}: {found.path} {wrong}, and model_weights_offline is set: copy the files of exactly that revision there, "
        "or give a directory of the control node as the model",
    )


def adopt_carried(item: PlannedWeights) -> None:
    """Take over a hub model that somebody copied to its place by hand, and that is usable."""
    path = item["path"]
    entries = []
    for name, state in mf.walk(path):
        entries.append(mf.FileEntry(name, state.st_size, mf.hash_file(os.path.join(path, name))[0]))
    _open_to_all(path)
    mf.write(path, mf.Manifest(tuple(entries), f"carried:{item['repo']}@{item['revision']}"))


def prepare(item: PlannedWeights, whole: mf.Manifest, owner: int) -> tuple[str, list[str]]:
    """Make the directory into which the control node sends; returns it with the files that are still to be sent.

    What lies at the target damaged, and what an earlier attempt sent, is kept as far as the sizes fit. `owner` is the
    user id under which files arrive, for connections that do not log in as root.
    """
    path, staging = item["path"], staging_of(item["path"])
    folders.make(os.path.dirname(path))
    if os.path.isdir(path):
        shutil.rmtree(staging, ignore_errors=True)
        os.rename(path, staging)
    below = {staging} | {os.path.dirname(os.path.join(staging, entry.path)) for entry in whole.files}
    for folder in sorted(below):
        folders.make(folder)
        os.chown(folder, owner, -1)
    missing = list(mf.faults(staging, whole.files))
    for name in missing:
        # The user under which files arrive may not be allowed to write into an old one.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(staging, name))
    return staging, missing


def adopt_pushed(item: PlannedWeights, whole: mf.Manifest) -> list[str]:
    """Check every byte that was sent and rename the model into place; returns what was wrong and is now removed."""
    path, staging = item["path"], staging_of(item["path"])
    # Nobody but root can change a file between its check and the rename.
    _open_to_all(staging, root=True)
    wrong = mf.faults(staging, whole.files, content=True)
    if wrong:
        for name in wrong:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(staging, name))
        return list(wrong.values())
    wanted = {entry.path for entry in whole.files}
    for folder, _names, files in os.walk(staging):
        for name in files:
            full = os.path.join(folder, name)
            if os.path.relpath(full, staging) not in wanted:
                os.unlink(full)
    mf.write(staging, whole)
    os.rename(staging, path)
    return []


def _open_to_all(directory: str, root: bool = False) -> None:
    """Let every user read what lies below `directory`; with `root`, nobody else may own it any longer."""
    for folder, _names, files in os.walk(directory):
        for path, mode in [(folder, mf.FOLDER_MODE), *((os.path.join(folder, n), mf.FILE_MODE) for n in files)]:
            if os.path.islink(path):
                continue
            if root:
                os.chown(path, os.geteuid(), os.getegid())
            os.chmod(path, mode)


def closed(place: str) -> list[str]:
    """Of the directory with all weights and the one above it, those of root's that other users, engines too, may not enter."""
    found = []
    for path in (os.path.dirname(place), place):
        try:
            own = os.stat(path).st_uid == os.geteuid()
        except OSError:
            continue
        if own and not folders.is_public(path):
            found.append(path)
    return found


def write_secret(path: str, value: str, dry: bool) -> bool:
    """Keep `value` in a file that only root can read; returns whether it was (or would be) changed."""
    try:
        with open(path, encoding="utf-8") as stream:
            same = stream.read().strip() == value.strip()
        same = same and os.stat(path).st_mode & 0o777 == 0o600
    except (OSError, UnicodeDecodeError):
        same = False
    if same or dry:
        return not same
    folders.make(os.path.dirname(path), 0o700)
    descriptor = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), 0o600)
        stream.write(value.strip() + "\n")
    os.rename(path + ".new", path)
    return True


def summary(states: Sequence[WeightsState]) -> list[dict[str, object]]:
    """States as plain data for a module's result."""
    return [asdict(state) for state in states]
