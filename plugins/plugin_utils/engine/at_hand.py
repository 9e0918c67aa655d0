"""What engines could be installed from on the control node, and what its locks say of kernels, for the plan.

Control node only; asks no index and no host.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.engine import kernels, lock
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.kernels import Kernels
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import HOSTS, Problems, did_you_mean
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import forms, store
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.prepare import LOCK, acceptable
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.sources import (
    ACCELERATORS,
    default_locks,
    default_wheelhouse,
    wheelhouse_command,
)

# The variables of a host that say which engine it gets, and from where.
ENGINE_KEYS = (
    *("vllm_version", "vllm_accelerator", "vllm_engine_source", "vllm_engine_wheelhouse", "vllm_engine_lock"),
    *("vllm_engine_rocm", "vllm_engine_form", "vllm_engine_images"),
)
SOURCES = ("wheelhouse", "index")
ARCHES = ("x86_64", "aarch64")


def locks_of(hosts: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, Kernels]]:
    """Return, by host, the locks that its engine may be installed from: path to what it holds.

    `hosts` are their variables. A lock that is not there yet, or cannot be read, is left out: whoever installs from it tells.
    """
    return {name: dict(_of(*_asked(declared)[:5])) for name, declared in hosts.items()}


def _asked(declared: Values) -> tuple[str, ...]:
    return tuple(str(declared.get(key) or "") for key in ENGINE_KEYS)


def check_sources(hosts: Mapping[str, Mapping[str, object]], problems: Problems) -> dict[str, str]:
    """Refuse sources that no engine could be installed from: misspelt, or with a lock that does not suit.

    Returns by host what is missing, and the remedy, where the source is a wheelhouse and none is finished. A host that has its
    engine needs none, and only a look at it tells.
    """
    missing: dict[str, str] = {}
    # A thousand hosts have a handful of sources.
    judged: dict[tuple[str, ...], tuple[str, str, str]] = {}
    for name, declared in hosts.items():
        source = declared.get("vllm_engine_source")
        if source not in (*SOURCES, None):
            reason = f"{source!r} is not a source of engines"
            problems.add(f"{HOSTS}.vllm_engine_source", reason, did_you_mean(str(source), SOURCES), name)
            continue
        form = declared.get("vllm_engine_form")
        if form not in (*forms.FORMS, "", None):
            reason = f"{form!r} is not a form of engines"
            problems.add(f"{HOSTS}.vllm_engine_form", reason, did_you_mean(str(form), forms.FORMS), name)
            continue
        asked = _asked(declared)
        if not asked[0] or asked[1] not in ACCELERATORS:
            continue
        if asked not in judged:
            judged[asked] = _source(*asked)
        reason, remedy, gap = judged[asked]
        if reason:
            key = "vllm_engine_lock" if source == "index" else "vllm_engine_wheelhouse"
            problems.add(f"{HOSTS}.{key}", reason, remedy, name)
        if gap:
            missing[name] = gap
    return missing


def _source(
    release: str, accelerator: str, source: str, wheelhouse: str, named: str, rocm: str, form: str, images: str
) -> tuple[str, str, str]:
    """What is wrong with a source and the remedy, or what is missing of it."""
    index = source == "index"
    kept = {"release": release, "accelerator": accelerator, "rocm": rocm, "images": images}
    image = form != forms.PACKAGES and any(forms.images_for(kept, arch) for arch in ARCHES)
    if form == forms.IMAGE and not image:
        place, command = store.directory_of(kept), store.command(release, accelerator)
        return "", "", f"there is no image of {release} for {accelerator} in {place}. Build it: {command}"
    if index and accelerator == "rocm":
        # engine/rocm.py judges these.
        return "", "", ""
    lock_path = str(Path(named).expanduser()) if named else ""
    asked = {"release": release, "accelerator": accelerator, "rocm": rocm, "source": source or SOURCES[0]}
    asked.update(wheelhouse=wheelhouse, lock=lock_path)
    try:
        houses = [house for arch in ARCHES for house in acceptable(asked, arch)[0]]
    except (lock.LockError, OSError, UnicodeDecodeError) as error:
        reason, __, remedy = str(error).removeprefix("vllm_engine_lock: ").partition(". ")
        what = f"{lock_path}: " if index and lock_path not in reason else ""
        return f"{what}{reason}", remedy or "Name another lock, or a file that is not there yet, and one is made", ""
    if houses or index or image:
        return "", "", ""
    directory = Path(wheelhouse or default_wheelhouse()).expanduser()
    begun = sorted(directory.glob(f"{release}-{rocm or accelerator}*-py*/wheels"))
    none = f"there is no wheelhouse of {release} for {accelerator} in {directory}"
    command = wheelhouse_command(release, accelerator, rocm=rocm, directory=directory)
    state = f"the wheelhouse {begun[0].parent} is unfinished" if begun else none
    return "", "", f"{state}. Prepare it: {command}; or set vllm_engine_source: index"


# A thousand hosts have a handful of engines.
@cache
def _read(path: Path, modified: int) -> Kernels | None:
    try:
        return kernels.read(lock.parse_lock(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, lock.LockError):
        return None


def _of(release: str, accelerator: str, source: str, wheelhouse: str, named: str) -> list[tuple[str, Kernels]]:
    if not kernels.wanted(release, accelerator):
        return []
    stem = f"{release}-{accelerator}-py*"
    if source == "index":
        paths = [Path(named).expanduser()] if named else sorted(default_locks().glob(f"{stem}.lock"))
    else:
        directory = Path(wheelhouse or default_wheelhouse()).expanduser()
        paths = [directory / LOCK] if directory.name.startswith(stem[:-1]) else sorted(directory.glob(f"{stem}/{LOCK}"))
    found = []
    for path in paths:
        try:
            held = _read(path, path.stat().st_mtime_ns)
        except OSError:
            continue
        if held is not None:
            found.append((str(path), held))
    return found
