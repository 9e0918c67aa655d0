"""What a host is sent to build an engine from: one file. On the control node."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import bundle, sources
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.prepare import LOCK
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments


def pack(asked: Arguments, warn: Callable[[str], None]) -> tuple[Path, str]:
    """The file to send and the digest of the lock in it; `asked` are the task's arguments, `warn` is told what is worth it.

    Raises ToolError, LockError, WheelError, NoBuildError, OSError.
    """
    source = asked["source"]
    if source["wheelhouse"]:
        return bundle.from_wheelhouse(Path(source["wheelhouse"]))
    accelerator = asked["accelerator"]
    exclude = asked.get("exclude")
    urls = indexes(asked)
    build = sources.build_for(asked["release"], accelerator, asked.get("index_urls") or (), asked.get("rocm") or "")
    target = sources.Target(
        release=asked["release"],
        accelerator=accelerator,
        python=source["minor"],
        arch=source["arch"],
        glibc=sources.oldest_glibc(accelerator, build),
        exclude=tuple(sources.EXCLUDED[accelerator] if exclude is None else exclude),
        extra=tuple(asked.get("extra_requirements") or ()),
        indexes=urls,
        build=build.name if build else "",
        kernels_index=asked.get("kernels_index") or "",
    )
    home = sources.default_locks()
    lock_path = Path(source["lock"] or home / f"{target.name}.lock").expanduser()
    # Without an index of the operator's own, uv itself knows where torch for CPU is.
    own_index = ["--default-index", asked["index_url"]] if asked.get("index_url") else []
    backend = ["--torch-backend", "cpu"] if accelerator == "cpu" and not urls and not own_index else []
    return bundle.for_index(target, lock_path, home / target.name, [*own_index, *backend], warn)


def lock_text(packed: Path) -> str:
    """The lock in a packed file. Raises OSError, tarfile.TarError."""
    with tarfile.open(packed, "r:") as archive:
        read = archive.extractfile(LOCK)
        return read.read().decode("utf-8") if read else ""


def indexes(asked: Arguments) -> tuple[str, ...]:
    """The package indexes beside the default one, those of a build for ROCm too."""
    named, rocm = asked.get("index_urls") or (), asked.get("rocm") or ""
    return sources.indexes_for(asked["release"], asked["accelerator"], named, rocm)
