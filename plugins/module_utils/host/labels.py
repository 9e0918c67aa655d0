"""What SELinux must know of our files, where it is on: types of paths, and switches of its policy.

Ansible writes as an unconfined user, and a file gets its directory's type. Below /opt and /usr/local that is usr_t, which
systemd (init_t) does not execute; from bin_t it goes over into unconfined_service_t, where an engine may do what it has to.
Below /opt the policy knows `bin` and `lib` by their names, so that restorecon is enough; the rest is said here. All of it was
read in Fedora's policy, from which RHEL's is made (github.com/fedora-selinux/selinux-policy at fd1d996: kernel/corecommands.fc,
kernel/files.fc, system/init.te, system/unconfined.te, contrib/rhcs.te and .fc, contrib/keepalived.te).

What is asked for lies in files that need no tool to be read; what is changed goes through setsebool and semanage.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.host import folders

ROOT = Path("/")
# What was said here and nowhere else: the only thing that is taken back. By the directory of locks, which goes when it is empty.
NOTE = "var/lib/vllm/selinux.json"
_LIMIT = 300.0


class LabelError(OSError):
    """A tool of SELinux that failed: its command as `filename`, what it said as `strerror`.

    A file that got no type was not written as it should be, so that whoever can go on without a file can without its type.
    """

    def __init__(self, command: Sequence[str], said: str) -> None:
        super().__init__(errno.EIO, said, " ".join(command))

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


@dataclass(frozen=True)
class Labels:
    """What is asked for: `contexts` types by semanage's pattern of paths, `booleans` to be on, `restored` paths whose files get
    the types that the policy has for them."""

    contexts: Mapping[str, str] = field(default_factory=dict)
    booleans: Sequence[str] = ()
    restored: Sequence[str] = ()


@dataclass(frozen=True)
class Lack:
    """What of it is missing on a host."""

    contexts: Mapping[str, str] = field(default_factory=dict)
    booleans: Sequence[str] = ()

    @property
    def steps(self) -> list[str]:
        """What is missing, a sentence each, in the order in which it is done."""
        return [
            *(f"SELinux: give {pattern} the type {kind}" for pattern, kind in self.contexts.items()),
            *(f"SELinux: switch {name} on" for name in self.booleans),
        ]


def enabled(root: Path = ROOT) -> bool:
    """Whether SELinux is on, enforcing or permissive: what it would refuse is right in either."""
    return (root / "sys/fs/selinux/enforce").exists()


def look(wanted: Labels, root: Path = ROOT) -> Lack:
    """What is missing; nothing where SELinux is off."""
    if not enabled(root):
        return Lack()
    said, on = _contexts(root), _booleans(root)
    return Lack(
        {pattern: kind for pattern, kind in wanted.contexts.items() if said.get(pattern) != kind},
        tuple(name for name in wanted.booleans if name not in on),
    )


def tools(lack: Lack) -> list[str]:
    """Programs that the host needs for it and lacks."""
    needed = [*(["semanage"] if lack.contexts else []), *(["setsebool"] if lack.booleans else [])]
    return [program for program in needed if not shutil.which(program)]


def apply(wanted: Labels, lack: Lack, root: Path = ROOT) -> None:
    """Say what is missing, for good, and give the files that are there their types. Raises LabelError."""
    if not enabled(root):
        return
    known = _contexts(root)
    for pattern, kind in lack.contexts.items():
        _run(["semanage", "fcontext", "--modify" if pattern in known else "--add", "--type", kind, pattern])
    if lack.booleans:
        _run(["setsebool", "-P", *(f"{name}=on" for name in lack.booleans)])
    if lack.contexts or lack.booleans:
        note = noted(root)
        _note(
            Labels(
                {**note.contexts, **lack.contexts},
                list(dict.fromkeys([*note.booleans, *lack.booleans])),
            ),
            root,
        )
    restore([*wanted.restored, *(base(pattern) for pattern in lack.contexts)], root)


def restore(paths: Sequence[str], root: Path = ROOT) -> None:
    """Give paths and what lies below them the types that the policy has for them.

    Raises LabelError: with what restorecon says.
    """
    there = sorted({path for path in paths if os.path.lexists(root / path.lstrip("/"))})
    if there and enabled(root) and shutil.which("restorecon"):
        _run(["restorecon", "-R", *there])


def surplus(wanted: Labels, root: Path = ROOT) -> Lack:
    """What was said here of `wanted` and is still so: what taking it back would change."""
    note = noted(root)
    return Lack(
        {pattern: kind for pattern, kind in note.contexts.items() if pattern in wanted.contexts},
        tuple(name for name in note.booleans if name in wanted.booleans),
    )


def take_back(gone: Lack, root: Path = ROOT) -> None:
    """Raises LabelError."""
    if enabled(root):
        known = _contexts(root)
        for pattern in gone.contexts:
            if pattern in known and shutil.which("semanage"):
                _run(["semanage", "fcontext", "--delete", pattern])
        if gone.booleans and shutil.which("setsebool"):
            _run(["setsebool", "-P", *(f"{name}=off" for name in gone.booleans)])
    note = noted(root)
    left = Labels(
        {pattern: kind for pattern, kind in note.contexts.items() if pattern not in gone.contexts},
        [name for name in note.booleans if name not in gone.booleans],
    )
    _note(left, root)


def noted(root: Path = ROOT) -> Labels:
    """All that was said here."""
    try:
        said = json.loads((root / NOTE).read_text(encoding="utf-8"))
        return Labels(dict(said["contexts"]), list(said["booleans"]))
    except (OSError, ValueError, LookupError, TypeError):
        return Labels()


def base(pattern: str) -> str:
    """The path that a pattern begins with."""
    return re.sub(r"\(/\.\*\)\?$", "", pattern).replace("\\", "")


def _note(labels: Labels, root: Path) -> None:
    path = root / NOTE
    if not labels.contexts and not labels.booleans:
        path.unlink(missing_ok=True)
        if path.parent.is_dir() and not any(path.parent.iterdir()):
            path.parent.rmdir()
        return
    folders.make(path.parent)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(json.dumps({"contexts": labels.contexts, "booleans": labels.booleans}) + "\n", encoding="utf-8")
    draft.chmod(0o644)
    os.replace(draft, path)


def _policy(root: Path) -> str:
    """The name of the policy: targeted, unless somebody chose another one."""
    try:
        found = re.search(r"^SELINUXTYPE=(\S+)", (root / "etc/selinux/config").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else "targeted"


def _contexts(root: Path) -> dict[str, str]:
    """The types that were said on this host, by pattern, out of file_contexts.local (file_contexts(5)):
    /srv/x(/.*)?    system_u:object_r:bin_t:s0
    """
    path = root / "etc/selinux" / _policy(root) / "contexts/files/file_contexts.local"
    found = {}
    for line in _lines(path):
        words = line.split()
        parts = words[-1].split(":") if len(words) >= 2 else []
        if len(parts) >= 3:
            found[words[0]] = parts[2]
    return found


def _booleans(root: Path) -> set[str]:
    """Switches that were put on for good. What setsebool does without -P is not among them."""
    policy = _policy(root)
    places = (root / "var/lib/selinux" / policy, root / "etc/selinux" / policy)
    lines = [line for place in places for line in _lines(place / "active/booleans.local")]
    return {line.partition("=")[0].strip() for line in lines if line.partition("=")[2].strip() in ("1", "on", "true")}


def _lines(path: Path) -> list[str]:
    try:
        return [
            line for line in path.read_text(errors="replace").splitlines() if line.strip() and not line.startswith("#")
        ]
    except OSError:
        return []


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(list(command), capture_output=True, text=True, check=False, timeout=_LIMIT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabelError(command, str(error)) from error
    if done.returncode != 0:
        raise LabelError(command, " ".join((done.stderr or done.stdout).split()) or f"status {done.returncode}")
