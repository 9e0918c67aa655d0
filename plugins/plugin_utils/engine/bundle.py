"""What is sent to a host in one piece: a tar of everything an installation needs. Control node only."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.engine import lock
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.manifest import Manifest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.faults import fault
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.manifest import BundleError
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.use import wheelhouse_part, write_command
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import rocm, wheels
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.prepare import (
    LOCK,
    exclusive,
    fetch_uv_wheel,
    read_manifest,
    told_for_rocm,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.resolve import check, resolve
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.rocm_wheel import bundled_wheel
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.sources import Target, build_for, request
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.suits import unsuited
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.tools import ToolError, uv_compile
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import cache_directory

BUNDLE = "bundle.tar"
_OTHERS = "Name indexes that have it for {}"


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
    """Return the bundle of a finished wheelhouse, made at first use, and its lock's digest.

    Raises ToolError: where the wheelhouse was carried here and is not what it was when it was written.
    """
    manifest = read_manifest(directory)
    files = [(directory / name, name) for name in [LOCK, *manifest["files"]]]
    place = _place(directory)
    with exclusive(place):
        return _pack(place, files), manifest["lock_sha256"]


def _place(house: Path) -> Path:
    """Where a wheelhouse is packed: in it; one of a bundle, which may be read-only, is left as it is and packed in the cache."""
    try:
        carried = wheelhouse_part(house)
    except BundleError as error:
        raise ToolError(str(error)) from None
    if carried is None:
        return house
    whole, part = carried
    place = cache_directory("carried") / Manifest(part.files).digest
    if not (place / BUNDLE).exists():
        wrong = [f"{entry.path}: {why}" for entry in part.files if (why := fault(house / entry.path, entry))]
        if wrong:
            told = "; ".join(wrong)
            raise ToolError(
                f"{house} is not what was written: {told}. Nothing of it is used. Write it again: {write_command(whole)}"
            )
    return place


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

    Raises ToolError: where uv or pip fails; LockError and WheelError: for a lock or a wheel that is none.
    """
    with exclusive(directory):
        local = directory / "wheels"
        local.mkdir(exist_ok=True)
        files: list[tuple[Path, str]] = []
        if target.accelerator == "cpu":
            alias = wheels.write_alias(local, target.release)
            files.append((alias, f"wheels/{alias.name}"))
        build = build_for(target.release, target.accelerator, target.indexes, target.build)
        if build and build.bundled:
            with told_for_rocm(build, "vllm_engine_index_urls", target):
                index = dict(zip(arguments, arguments[1:])).get("--default-index", "")
                own = bundled_wheel(target, build, local, directory / ".rocm", index)
            files.append((own, f"wheels/{own.name}"))
        if not lock_path.exists():
            lock_path.parent.mkdir(parents=True, exist_ok=True)
            # Whole or not at all: a file that is there is obeyed from then on.
            draft = lock_path.with_name(f".{lock_path.name}.draft")
            draft.unlink(missing_ok=True)
            options = ["--find-links", str(local), *arguments]
            with told_for_rocm(build, "vllm_engine_index_urls", target):
                resolve(target, request(target), directory, draft, options, uv_compile, say)
            _check(target, draft, "vllm_engine_index_urls: what was resolved", _OTHERS.format(target.accelerator))
            draft.replace(lock_path)
        _check(target, lock_path, f"vllm_engine_lock: {lock_path}", rocm.MADE_ANEW)
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


def _check(target: Target, path: Path, where: str, remedy: str) -> None:
    pins = lock.parse_lock(path.read_text(encoding="utf-8"))
    if why := unsuited(pins, target.release, target.accelerator, target.build):
        raise lock.LockError(f"{where} does not suit: {why}. {remedy}")
