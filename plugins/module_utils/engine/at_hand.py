"""What the locks on the control node say of engines' kernels, for the plan. Control node only; asks no index and no host."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.engine import kernels, lock
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.kernels import Kernels
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.prepare import LOCK
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.sources import default_locks, default_wheelhouse

# The variables of a host that say which engine it gets, and from where.
ENGINE_KEYS = ("vllm_version", "vllm_accelerator", "vllm_engine_source", "vllm_engine_wheelhouse", "vllm_engine_lock")


def locks_of(hosts: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Kernels]]:
    """Return, by host, the locks that its engine may be installed from: path to what it holds.

    `hosts` are their variables. A lock that is not there yet, or cannot be read, is left out: whoever installs from it tells.
    """
    return {name: dict(_of(*_asked(declared))) for name, declared in hosts.items()}


def _asked(declared: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(declared.get(key) or "") for key in ENGINE_KEYS)


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
