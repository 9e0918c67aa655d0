"""Trying a set of files before it is in place: a command sees the new ones at their final paths, and nobody else does.

The command runs in a mount namespace of its own (unshare(1), mount_namespaces(7)), in which the directories of the files
are covered by copies with the new files in them. Nothing of it reaches the host, whatever happens to the command.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import HostFile

_COVER = """n=$1; shift
while [ "$n" -gt 0 ]; do mount --bind "$1" "$2" || exit 120; shift 2; n=$((n - 1)); done
exec "$@"
"""
_PATIENCE = 120


class TrialError(Exception):
    """The command refused the files; its words."""


def covers(paths: Iterable[str]) -> tuple[list[Path], list[Path]]:
    """The directories of `paths`: those that are there, outermost only, which can be covered; and those that are not."""
    directories = {Path(path).parent for path in paths}
    there = {directory for directory in directories if directory.is_dir()}
    outermost = [path for path in sorted(there) if not any(above in there for above in path.parents)]
    return outermost, sorted(directories - there)


def run(argv: Sequence[str], files: Sequence[HostFile], remove: Sequence[str], scratch: str = "/run") -> None:
    """Raises TrialError where the command does not end with status 0. All directories of `files` are there."""
    over, __ = covers([file.path for file in files])
    stage = Path(tempfile.mkdtemp(prefix="vllm-trial-", dir=scratch))
    try:
        pairs = []
        for number, directory in enumerate(over):
            copy = stage / str(number)
            # All kinds of files, with owners, modes and labels; shutil stumbles over sockets.
            _said(["cp", "-a", "--", str(directory), str(copy)])
            pairs += [str(copy), str(directory)]
        for path in remove:
            _staged(path, over, stage).unlink(missing_ok=True)
        for file in files:
            replace(file, path=str(_staged(file.path, over, stage))).write()
        cover = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", _COVER, "sh"]
        _said([*cover, str(len(over)), *pairs, *argv])
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _staged(path: str, over: Sequence[Path], stage: Path) -> Path:
    number, base = next((n, base) for n, base in enumerate(over) if base in Path(path).parents)
    return stage / str(number) / Path(path).relative_to(base)


def _said(argv: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise TrialError(f"no end after {_PATIENCE} s") from None
    if done.returncode != 0:
        raise TrialError((done.stderr + done.stdout).strip() or f"exit status {done.returncode}")
