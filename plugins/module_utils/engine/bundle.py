"""What is sent to a host in one piece: a tar of everything an installation needs. Control node only."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.engine import lock, wheels
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.prepare import (
    LOCK,
    exclusive,
    fetch_uv_wheel,
    read_manifest,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.resolve import check, resolve
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.sources import Target, request
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.tools import uv_compile

BUNDLE = "bundle.tar"


def _pack(directory: Path, files: list[tuple[Path, str]]) -> Path:
    """Write the tar unless it is there; one file goes to a host many times faster than a hundred and fifty."""
    target = directory / BUNDLE
    if not target.exists():
        partial = directory / f".{BUNDLE}.partial"
        with tarfile.open(partial, "w") as archive:
            for path, name in files:
                archive.add(path, arcname=name, recursive=False)
        partial.replace(target)
    return target


def from_wheelhouse(directory: Path) -> tuple[Path, str]:
    """Return the bundle of a finished wheelhouse, made at first use, and its lock's digest."""
    manifest = read_manifest(directory)
    files = [(directory / name, name) for name in [LOCK, *manifest["files"]]]
    with exclusive(directory):
        return _pack(directory, files), manifest["lock_sha256"]


def for_index(
    target: Target,
    lock_path: Path,
    directory: Path,
    arguments: Sequence[str],
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Path, str]:
    """Return a bundle without the wheels that an index has: uv, the lock, and the CPU build's alias.

    The lock is resolved at first use and then obeyed: it is the operator's to keep and to change. `say` takes what the operator
    should know of it.
    """
    with exclusive(directory):
        local = directory / "wheels"
        local.mkdir(exist_ok=True)
        files: list[tuple[Path, str]] = []
        if target.accelerator == "cpu":
            alias = wheels.write_alias(local, target.release)
            files.append((alias, f"wheels/{alias.name}"))
        if not lock_path.exists():
            lock_path.parent.mkdir(parents=True, exist_ok=True)
            resolved = directory / "resolved.lock"
            resolved.unlink(missing_ok=True)
            resolve(
                target, request(target), directory, resolved, ["--find-links", str(local), *arguments], uv_compile, say
            )
            # Whole or not at all: what is there is obeyed from then on.
            shutil.copyfile(resolved, lock_path)
        text = lock_path.read_text(encoding="utf-8")
        check(lock.parse_lock(text), target.release, target.accelerator)
        digest = lock.digest(text)
        uv = fetch_uv_wheel(target, directory / "tools")
        mark = directory / "bundle.json"
        state = json.dumps({"lock": digest, "uv": uv.name})
        if not mark.exists() or mark.read_text() != state:
            (directory / BUNDLE).unlink(missing_ok=True)
        packed = _pack(directory, [*files, (uv, f"tools/{uv.name}"), (lock_path, LOCK)])
        mark.write_text(state)
        return packed, digest
