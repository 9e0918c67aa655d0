"""A kept cache: a directory named by its key, with one archive and a manifest that says what is in it and what it is for.

`<ROOT>/<key>/cache.tar` has regular files below the caches' directory, and `manifest.json` beside it: {"schema", "key", "parts"
(by name what the key is made of), "digest" (SHA-256 of the archive), "size" (its bytes), "files" (how many), "made" (ISO 8601),
"model", "host" (the inventory's name of where it was made)}. Both are root's: the engines that made the files cannot change them
there. Two files, whatever is in the archive, so that a cache of a thousand kernels is sent and checked as one.
"""

from __future__ import annotations

import json
import os
import stat
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.engine.lock import sha256_of
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.key import SCHEMA, Parts, digest, is_key

ROOT = Path("/var/lib/vllm/warm")
ARCHIVE, MANIFEST = "cache.tar", "manifest.json"
# The caches of all engines of a host: what units have as HOME (plugin_utils/plan/service.py), and whose they are.
CACHES, USER = Path("/var/cache/vllm"), "vllm"
# Below it, by a service's own hashes: graphs. A service's log names those that are its own.
GRAPHS = "vllm/torch_compile_cache"
# Below it, whole: kernels by hashes of what they do, and what else vLLM finds out at a first start.
SHARED = (
    ".cache/flashinfer",
    ".cache/tvm-ffi",
    ".humming/cache",
    ".tilelang/cache",
    "torchinductor",
    "triton",
    "vllm/deep_gemm",
    "vllm/flashinfer_autotune_cache",
    "vllm/modelinfos",
    "vllm/startup_plan",
)
# Bytes of one archive. Caches are tens of megabytes on a CPU, some hundred on a GPU.
LIMIT = 4 << 30


class CacheError(ValueError):
    """A cache that is none of ours, or not whole: refused, with its name and why."""


@dataclass(frozen=True)
class Manifest:
    """What a cache is, and what it is for."""

    key: str
    parts: Mapping[str, str]
    digest: str
    size: int
    files: int
    made: str
    model: str = ""
    host: str = ""

    def text(self) -> str:
        """The JSON of `manifest.json`."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1, sort_keys=True) + "\n"


def read_manifest(text: str, name: str) -> Manifest:
    """The manifest of the cache `name`. Raises CacheError: where it is none, of another form, or of another cache."""
    try:
        data: dict[str, Any] = json.loads(text)
        if data.pop("schema") != SCHEMA:
            raise CacheError(f"cache {name}: its form is of another release of this collection")
        made = Manifest(**data)
        parts: Parts = dict(made.parts)
        whole = isinstance(made.size, int) and isinstance(made.digest, str) and digest(parts) == made.key
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, CacheError):
            raise
        raise CacheError(f"cache {name}: its {MANIFEST} cannot be read ({type(error).__name__})") from None
    if not whole or made.key != name:
        raise CacheError(f"cache {name}: its {MANIFEST} is of another cache")
    return made


def kept(root: Path = ROOT) -> list[str]:
    """The keys of the caches in a store."""
    try:
        return sorted(entry.name for entry in root.iterdir() if is_key(entry.name))
    except OSError:
        return []


def manifest(directory: Path) -> Manifest:
    """What a kept cache says of itself; its archive is not read. Raises CacheError."""
    try:
        text = (directory / MANIFEST).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CacheError(f"cache {directory.name}: its {MANIFEST} cannot be read ({type(error).__name__})") from None
    return read_manifest(text, directory.name)


def check(directory: Path, owner: int = 0) -> Manifest:
    """A kept cache, read whole: nobody but its owner can have changed it, and it is what it says.

    Raises CacheError: otherwise, with the reason.
    """
    for path in (directory.parent, directory, directory / MANIFEST, directory / ARCHIVE):
        try:
            found = path.lstat()
        except OSError as error:
            raise CacheError(f"cache {directory.name}: {path}: {error.strerror}") from None
        if found.st_uid != owner or found.st_mode & 0o022 or stat.S_ISLNK(found.st_mode):
            raise CacheError(f"cache {directory.name}: {path} belongs to somebody else, or others may write to it")
    made = manifest(directory)
    if sha256_of(directory / ARCHIVE) != made.digest:
        raise CacheError(
            f"cache {directory.name}: {ARCHIVE} is not what its manifest says (SHA-256 {made.digest[:12]})"
        )
    return made


def is_ours(member: tarfile.TarInfo) -> bool:
    """Whether a member of an archive is a regular file below a directory of caches."""
    name = member.name
    inside = any(name.startswith(f"{place}/") for place in (GRAPHS, *SHARED))
    return member.isreg() and inside and os.path.normpath(name) == name and "\0" not in name
