"""The control node's store of compile caches: `<directory>/<key>/`, in the form in which hosts keep them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.warm import cache
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.keep import take_in
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.key import Parts, differences
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import cache_directory

# Parts that only a host knows.
_OF_HOSTS = ("host ", "engine ")


def directory_of(given: str, environment: Mapping[str, str]) -> Path:
    """Where caches are kept: the given directory, else `$XDG_CACHE_HOME/baremetal-vllm/warm`."""
    if given:
        return Path(given).expanduser()
    return cache_directory("warm", environment)


def of_service(parts: Parts) -> dict[str, str]:
    """The parts that are known before a host is asked."""
    return {name: value for name, value in parts.items() if not name.startswith(_OF_HOSTS)}


class WarmStore:
    """Caches that hosts gave, for other hosts."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def caches(self) -> Iterator[cache.Manifest]:
        """What is kept, newest first; what is no cache is passed over."""
        found = []
        for key in cache.kept(self.directory):
            try:
                found.append(cache.manifest(self.directory / key))
            except cache.CacheError:
                continue
        yield from sorted(found, key=lambda kept: (kept.made, kept.key), reverse=True)

    def fitting(self, service: Parts) -> list[cache.Manifest]:
        """Caches of exactly this service, of whatever hosts, newest first."""
        return [kept for kept in self.caches() if of_service(kept.parts) == dict(service)]

    def nearest(self, service: Parts) -> cache.Manifest | None:
        """The newest cache of the same weights' path or, where there is none, revision; None where there is none either."""
        caches = list(self.caches())
        for part in ("weights", "revision"):
            for kept in caches:
                if kept.parts.get(part) == service[part]:
                    return kept
        return None

    def miss(self, parts: Parts) -> str:
        """Why nothing is brought for these parts, in a line; "" where no cache of that model was ever made."""
        near = self.nearest(parts)
        if near is None:
            return ""
        against = near.parts if any(name.startswith(_OF_HOSTS) for name in parts) else of_service(near.parts)
        return "; ".join(differences(against, parts))

    def checked(self, key: str) -> cache.Manifest:
        """A cache of which every byte was read. Raises CacheError: where it is not what it says, or others may write to it."""
        return cache.check(self.directory / key, os.geteuid())

    def add(self, told: cache.Manifest, fetch: Callable[[Path], None], replace: bool = False) -> bool:
        """Have `fetch` write an archive, and keep it; False where it is kept already (and is not to be replaced), or another host
        is giving it just now.

        Raises CacheError: where the archive is not what its manifest says; what `fetch` raises; OSError.
        """
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o755)
        with self._claim(told.key) as mine:
            if not mine or ((self.directory / told.key).exists() and not replace):
                return False
            take_in(told, self.directory, fetch)
            return True

    @contextmanager
    def _claim(self, key: str) -> Iterator[bool]:
        """Whether this process is the one to fetch a cache; Ansible serves each host by a process of its own."""
        path = self.directory / f".{key}.lock"
        with path.open("w") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            try:
                yield True
            finally:
                path.unlink(missing_ok=True)
