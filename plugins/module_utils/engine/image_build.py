"""Building an image of an engine on a host: the same lock gives the same bytes on any host with the same Python and mksquashfs.

An engine's scripts and byte code hold the path at which it will lie, which may be in use here. So the build happens in a mount
namespace of its own (mount_namespaces(7)), where a scratch directory lies over the directory of all engines: no process but those
of the build sees it, and it goes with them. What makes two builds differ was found by comparing them, and is taken out:

- byte code holds its source's time (PEP 552), and marshal writes what else its process holds: it is compiled by hash, unchecked,
  in fixed portions, each by a fresh process with a fixed seed of hashes;
- times, owners and the file system's identifier are mksquashfs's to fix, and it writes no extended attributes (SELinux's labels);
- uv leaves in `uv_cache.json` when it unpacked each wheel, and that file's hash in RECORD: both go;
- the marker's time is fixed, and of compilers only the engine's own counts.

Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypedDict

from ansible_collections.baremetal.vllm.plugins.module_utils.engine import images
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.build import (
    BuildError,
    BuildJob,
    check_room,
    close,
    finish,
    install,
    prove,
    run_in,
    unpack,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.installed import machine
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.lock import sha256_of
from ansible_collections.baremetal.vllm.plugins.module_utils.host import folders
from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import one_line, run

_NEW_NAMESPACE = 0x00020000
# Files that one process compiles: fixed, so that no number of cores changes what it holds.
_PORTION = 400
# The level that costs a tenth of the default's time and a sixth more bytes (docs/engine.md has the figures).
_SQUASH = ("-noappend", "-no-progress", "-all-root", "-all-time", "0", "-mkfs-time", "0", "-no-xattrs")
_COMPRESSION = ("-comp", "zstd", "-Xcompression-level", "3")
_LIMIT = 3600.0
# The time of an image is the lock's, which has none.
WHEN = "1970-01-01T00:00:00+00:00"


class BuiltImage(TypedDict):
    """What an image is, beside its bytes. `interpreter` is the Python on the host that it asks for ("" where it holds one),
    `python` its minor release; `tool` what wrote the file system."""

    release: str
    accelerator: str
    arch: str
    python: str
    interpreter: str
    lock_sha256: str
    digest: str
    bytes: int
    kind: str
    tool: str
    proved: list[str]


def build_image(job: BuildJob, output: Path, folder: Path = images.IMAGES) -> BuiltImage:
    """Build a release at its path, where nobody else sees it, prove it, and write its image to `output`.

    This process is in another mount namespace from then on. Raises BuildError.
    """
    tool = _tool()
    folders.make(folder)
    scratch = folder / f".building-{job.release}"
    with _alone(scratch):
        try:
            folders.make(scratch)
            folders.make(job.root)
            _lay_over(scratch, job.root)
            check_room(job)
            return _build(job, output, tool)
        except OSError as error:
            raise BuildError(f"{error.filename or scratch}: {error.strerror or error}") from error
        finally:
            _uncover(job)
            shutil.rmtree(scratch, ignore_errors=True)


def _build(job: BuildJob, output: Path, tool: str) -> BuiltImage:
    uv = unpack(job)
    version = install(job, uv)
    forget_times(job.path)
    close(job)
    finish(job, version, finished_at=WHEN)
    compile_all(job.path, version)
    close(job)
    image = job.staging / images.FILE
    run_in(["mksquashfs", str(job.path), str(image), *_SQUASH, *_COMPRESSION], "writing the image", {})
    proved = _prove(job, image)
    real = os.path.realpath(job.path / "bin" / "python")
    shutil.copyfile(image, output)
    output.chmod(0o644)
    return {
        "release": job.release,
        "accelerator": job.accelerator,
        "arch": machine(),
        "python": ".".join(version.split(".")[:2]),
        "interpreter": "" if real.startswith(f"{job.path}/") else real,
        "lock_sha256": job.lock_sha256,
        "digest": sha256_of(output),
        "bytes": output.stat().st_size,
        "kind": images.KIND,
        "tool": tool,
        "proved": proved,
    }


def _prove(job: BuildJob, image: Path) -> list[str]:
    """Show, in the image where this host can mount it, that the engine imports and that its command answers; returns what was
    shown. Nothing can be written there, and so no proof leaves a trace."""
    shown = []
    if not images.hindrance():
        run_in(
            ["mount", "-t", images.KIND, "-o", "loop,ro,nodev,nosuid", str(image), str(job.path)],
            "mounting the image",
            {},
        )
        shown.append("mounted")
    prove(job)
    python, command = (str(job.path / "bin" / name) for name in ("python", "vllm"))
    home = {
        "HOME": str(job.staging),
        "VLLM_CACHE_ROOT": str(job.staging),
        "VLLM_CONFIG_ROOT": str(job.staging),
        "HF_HUB_OFFLINE": "1",
    }
    run_in([python, "-c", "import torch, transformers, vllm"], "importing torch, transformers and vllm", home)
    said = run_in([command, "serve", "--help"], "asking `vllm serve --help`", home)
    if "vllm serve" not in said:
        raise BuildError(f"`vllm serve --help` said nothing of vllm serve, but: {one_line(said)[:200]}")
    return [*shown, "import vllm with its compiled parts", "import torch, transformers, vllm", "vllm serve --help"]


def forget_times(engine: Path) -> None:
    """Remove what uv writes of its own cache beside each distribution, and RECORD's line of it. Raises OSError."""
    for noted in sorted(engine.glob("lib/python3*/site-packages/*.dist-info/uv_cache.json")):
        noted.unlink()
        record = noted.with_name("RECORD")
        line = f"{noted.parent.name}/{noted.name},"
        kept = [
            text for text in record.read_text(encoding="utf-8").splitlines(keepends=True) if not text.startswith(line)
        ]
        record.unlink()
        record.write_text("".join(kept), encoding="utf-8")


def compile_all(engine: Path, version: str) -> None:
    """Compile every module, by hash and unchecked: what a service reads is never stale, whatever the times of files are.

    A file that is none of this Python's (templates, another release's syntax) is passed over, as compileall does.
    Raises BuildError.
    """
    for left in sorted(engine.rglob("__pycache__")):
        shutil.rmtree(left)
    sources = sorted(str(path) for path in engine.rglob("*.py") if not path.is_symlink())
    portions = [sources[start : start + _PORTION] for start in range(0, len(sources), _PORTION)]
    with ThreadPoolExecutor(os.cpu_count() or 1) as beside:
        list(beside.map(lambda portion: _compile(engine, portion), portions))
    if portions and not any(engine.rglob("*.pyc")):
        raise BuildError(f"no module of {engine} could be compiled by its Python {version}")


_COMPILE = """
import py_compile, sys
for source in sys.stdin.read().split("\\0"):
    try:
        py_compile.compile(source, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    except (py_compile.PyCompileError, ValueError, RecursionError):
        pass
"""


def _compile(engine: Path, portion: Sequence[str]) -> None:
    python = str(engine / "bin" / "python")
    run_in([python, "-S", "-c", _COMPILE], "compiling modules", {"PYTHONHASHSEED": "0"}, "\0".join(portion))


def _tool() -> str:
    """What writes the image, such as `mksquashfs 4.5.1`; raises BuildError where it is not there."""
    status, out, err = run(["mksquashfs", "-version"])
    found = re.search(r"mksquashfs version (\S+)", f"{out}{err}")
    if not found:
        raise BuildError(
            f"mksquashfs is not on this host ({one_line(out, err)[:120] or status}): install squashfs-tools"
        )
    return f"mksquashfs {found[1]}"


@contextlib.contextmanager
def _alone(scratch: Path) -> Iterator[None]:
    """Wait until nobody else builds an image of this release here."""
    with open(f"{scratch}.lock", "w", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        shutil.rmtree(scratch, ignore_errors=True)
        yield


def _lay_over(scratch: Path, root: Path) -> None:
    """Enter a mount namespace of our own, where `scratch` lies over `root`. Raises BuildError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NAMESPACE) != 0:
        raise BuildError(f"no mount namespace of its own can be had here: {os.strerror(ctypes.get_errno())}")
    run_in(["mount", "--make-rprivate", "/"], "closing the mount namespace", {})
    run_in(["mount", "--bind", str(scratch), str(root)], f"laying a build directory over {root}", {})


def _uncover(job: BuildJob) -> None:
    """End the mounts of this namespace, the newest first, so that the scratch directory can go."""
    for place in (job.path, job.root):
        run(["umount", "--quiet", str(place)])
