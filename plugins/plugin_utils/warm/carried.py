"""Compile caches that came in a bundle: taken into the control node's own store, where only its owner may write."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.warm.cache import ARCHIVE, CacheError
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.key import Parts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.warm.store import WarmStore


def take(store: WarmStore, directory: Path, services: Mapping[str, Parts]) -> dict[str, str]:
    """Take what fits the services from the caches below `directory`; by service why one was not taken.

    Each archive is compared with its manifest on the way; one that is there already is left alone. Raises OSError.
    """
    carried = WarmStore(directory)
    refused = {}
    for name, parts in services.items():
        for found in carried.fitting(parts):
            if (store.directory / found.key).is_dir():
                continue
            store.directory.mkdir(parents=True, exist_ok=True, mode=0o755)
            # Ansible serves each host by a process of its own: the others wait for the one that copies.
            with (store.directory / ".bundle.lock").open("w") as held:
                fcntl.flock(held, fcntl.LOCK_EX)
                try:
                    store.add(found, lambda path: _copy(directory / found.key / ARCHIVE, path))  # noqa: B023 (called at once)
                except CacheError as error:
                    refused[name] = str(error)
    return refused


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
