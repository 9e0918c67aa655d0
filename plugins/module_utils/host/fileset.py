"""A set of files of ours and the unit that lives by them: what differs on a host, and what that asks for. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import HostFile
from ansible_collections.baremetal.vllm.plugins.module_utils.host.systemd import UnitState

UNITS = "/etc/systemd/system/"
# What a change of a file does to the unit, weakest first.
EFFECTS = ("none", "reload", "restart")
_UNIT_FILE = re.compile(r"/etc/systemd/system/[^/]+\.(service|timer|socket|path)")


@dataclass(frozen=True)
class File:
    """One file as asked for; `effect` is what its change does to the unit (`EFFECTS`); `digest` as in HostFile."""

    path: str
    content: str
    mode: int
    owner: str
    group: str
    secret: bool
    effect: str
    digest: str = ""

    def on_host(self, ids: tuple[int, int]) -> HostFile:
        """The file as it is written; `ids`: the user id and group id of its owners on this host."""
        return HostFile(self.path, self.content, self.mode, self.secret, *ids, digest=self.digest)


@dataclass(frozen=True)
class Directory:
    """A directory that is there before the files are; `only`: what lies in it and is not in the set is removed."""

    path: str
    mode: int
    owner: str
    group: str
    only: bool


@dataclass(frozen=True)
class FilesetRequest:
    """A whole set, as asked for. `unit`: the one that reads the files, "" where none does."""

    files: tuple[File, ...]
    directories: tuple[Directory, ...]
    unit: str

    @property
    def unit_files(self) -> tuple[str, ...]:
        """Names of the units whose files are in the set."""
        return tuple(file.path[len(UNITS) :] for file in self.files if _UNIT_FILE.fullmatch(file.path))

    @property
    def installable(self) -> bool:
        """Whether the unit can be enabled, as far as the set tells."""
        texts = [file.content for file in self.files if file.path == UNITS + self.unit]
        return not texts or "\n[Install]\n" in f"\n{texts[0]}\n"


class OwnedParameters(TypedDict):
    """What the module unit_files is told of a path; `mode` in octal digits."""

    path: str
    mode: str
    owner: str
    group: str


class FileParameters(OwnedParameters):
    """What it is told of a file; the content of one that is `secret` stands elsewhere."""

    content: str | None
    secret: bool
    effect: str


class DirectoryParameters(OwnedParameters):
    """What it is told of a directory."""

    only: bool


class ComparedParameters(TypedDict, total=False):
    """What is told besides of a set that is only compared; `digests`: by path SHA-256 of secret files, in place of contents."""

    digests: dict[str, str]


class SetParameters(ComparedParameters):
    """What it is told of a set; `secrets`: contents by path."""

    files: list[FileParameters]
    directories: list[DirectoryParameters]
    secrets: dict[str, str] | None
    unit: str | None


@dataclass(frozen=True)
class FilesetSeen:
    """A host before anything is done. `differing`: paths of files, `extra`: files in `only` directories that are not in
    the set, `directories`: those that are missing or have other owners or modes, `pending`: the effect of an earlier
    change that did not reach the unit, `in_force`: what the probe says, `unread`: units of the set whose file or drop-ins systemd
    has not read in yet."""

    differing: tuple[str, ...]
    extra: tuple[str, ...]
    directories: tuple[str, ...]
    state: UnitState | None
    pending: str = "none"
    in_force: bool = True
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class FilesetVerdict:
    """`verb`: what happens to the unit: "", start, reload or restart; `read_in`: units that systemd reads in though none of their
    files is written."""

    write: tuple[str, ...]
    remove: tuple[str, ...]
    directories: tuple[str, ...]
    daemon_reload: bool
    enable: bool
    verb: str
    why: str = ""
    read_in: tuple[str, ...] = ()

    @property
    def steps(self) -> list[str]:
        """What changes, in words."""
        return [
            *(f"make {path}" for path in self.directories),
            *(f"write {path}" for path in self.write),
            *(f"remove {path}" for path in self.remove),
            *(f"read in {unit}" for unit in self.read_in),
        ]


def request_of(params: SetParameters) -> FilesetRequest:
    """The module's parameters. Raises ValueError with all that is wrong, a line each."""
    wrong: list[str] = []
    secrets, digests = params["secrets"] or {}, params.get("digests") or {}
    files = []
    for given in params["files"]:
        path = given["path"]
        content = secrets.get(path) if given["secret"] else given["content"]
        digest = digests.get(path, "") if given["secret"] else ""
        if content is None and not digest:
            where = f"secrets has no {path}" if given["secret"] else "content is missing"
            wrong.append(f"{path}: {where}")
        files.append(
            File(
                path=path,
                content=content or "",
                mode=_mode(given, wrong),
                owner=given["owner"],
                group=given["group"],
                secret=given["secret"],
                effect=given["effect"],
                digest=digest,
            )
        )
    wrong += [
        f"secrets.{path}: no file of that path is marked as secret" for path in _unused({**secrets, **digests}, files)
    ]
    directories = [
        Directory(given["path"], _mode(given, wrong), given["owner"], given["group"], given["only"])
        for given in params["directories"]
    ]
    paths = [*(file.path for file in files), *(directory.path for directory in directories)]
    wrong += [
        f"{path}: not an absolute, plain path" for path in paths if path != os.path.normpath(path) or path[:1] != "/"
    ]
    wrong += [f"{path}: named twice" for path in sorted({path for path in paths if paths.count(path) > 1})]
    if wrong:
        raise ValueError("\n".join(wrong))
    return FilesetRequest(tuple(files), tuple(directories), params["unit"] or "")


def _unused(secrets: Mapping[str, str], files: Sequence[File]) -> list[str]:
    used = {file.path for file in files if file.secret}
    return sorted(path for path in secrets if path not in used)


def _mode(given: OwnedParameters, wrong: list[str]) -> int:
    if re.fullmatch(r"0?[0-7]{3}", given["mode"]):
        return int(given["mode"], 8)
    wrong.append(f'{given["path"]}: mode {given["mode"]!r} is not three octal digits, as in "0644"')
    return 0


def decide(request: FilesetRequest, seen: FilesetSeen) -> FilesetVerdict:
    """What is to be done to have the set in place and the unit running with it."""
    changed = [file for file in request.files if file.path in seen.differing]
    effects = {file.effect for file in changed} | {seen.pending}
    if seen.extra:
        effects.add("reload")
    verb, why, enable = "", "", False
    state = seen.state
    if state is not None:
        if state.active not in ("active", "reloading", "activating"):
            verb, why = "start", f"it is {state.active or 'not there'}"
        elif "restart" in effects or not seen.in_force:
            verb = "restart"
            why = "its files changed" if effects - {"none"} else "what it put in place is gone"
        elif "reload" in effects:
            verb, why = "reload", "its files changed"
        enable = request.installable and state.enabled in ("", "disabled")
    return FilesetVerdict(
        write=tuple(file.path for file in changed),
        remove=seen.extra,
        directories=seen.directories,
        daemon_reload=any(file.path.startswith(UNITS) for file in changed) or bool(seen.unread),
        enable=enable,
        verb=verb,
        why=why,
        read_in=tuple(unit for unit in seen.unread if UNITS + unit not in seen.differing),
    )


def masked(text: str, files: Collection[File]) -> str:
    """A command's words without the longer words of secret files."""
    words = {word for file in files if file.secret for word in re.split(r"[\s\"'=:,]+", file.content) if len(word) >= 8}
    for word in sorted(words, key=len, reverse=True):
        text = text.replace(word, "********")
    return text
