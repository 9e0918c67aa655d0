"""Building one engine on a host. Standard library only: this runs on the host's own Python, 3.9 and newer."""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import re
import shutil
import stat
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ansible_collections.baremetal.vllm.plugins.module_utils.engine import indexes, kernel_proof, kernels, lock
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.installed import (
    BUILDING,
    MARKER,
    STAGING,
    Marker,
    free_bytes,
    is_ours,
    is_whole,
    read_marker,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.host import folders, labels
from ansible_collections.baremetal.vllm.plugins.module_utils.text.urls import without_users

# Imports what a service imports first. vLLM itself only warns when its compiled part cannot be loaded and fails much
# later with an AttributeError, so the proof is that the part is mapped into memory; where not, loading it says why.
_PROOF = r"""
import ctypes, glob, importlib, importlib.metadata, os, sys
import torch, vllm
from vllm.platforms import current_platform
load = getattr(current_platform, "import_kernels", None)
try:
    load() if load else __import__("vllm._custom_ops")
except ImportError as error:
    sys.exit(f"vLLM's compiled part: {error}")
root = os.path.dirname(os.path.abspath(vllm.__file__))
with open("/proc/self/maps") as maps:
    mapped = any(f"{root}/_C" in line for line in maps)
if not mapped:
    for part in sorted(glob.glob(f"{root}/_C*.so"), key=len, reverse=True):
        try:
            ctypes.CDLL(part)
        except OSError as error:
            sys.exit(f"vLLM's compiled part: {error}")
# What a start goes on to import. Which of these a release has, and can import without a device, is not the question here:
# they are compiled on the way, in place of all 20,000 files, most of which no start ever reads.
for module in (
    "entrypoints.cli.serve", "entrypoints.openai.api_server", "v1.engine.core", "v1.engine.async_llm",
    "v1.executor.multiproc_executor", "v1.worker.gpu_worker", "v1.worker.cpu_worker", "model_executor.model_loader",
    "model_executor.models.registry",
):
    try:
        importlib.import_module(f"vllm.{module}")
    except Exception:
        pass
print(importlib.metadata.version("vllm"))
"""

_REMEDIES = (
    ("libcuda.so.1", "the NVIDIA driver is not installed on this host: the role nvidia_driver comes first"),
    ("libnuma.so.1", "libnuma1 (Debian, Ubuntu) or numactl-libs (RHEL) is missing: see vllm_engine_packages"),
    ("libgomp.so.1", "libgomp1 (Debian, Ubuntu) or libgomp (RHEL) is missing: see vllm_engine_packages"),
    ("GLIBC_", "the wheels ask for a newer glibc: prepare them with wheelhouse_glibc, or use a newer system"),
    ("Python.h", "Python's C headers are missing: python3.x-dev (Debian, Ubuntu), python3.x-devel (RHEL)"),
    (
        "no version of vllm==",
        "no index that this host asks has the build that the lock names: see vllm_engine_index_urls",
    ),
    ("ash mismatch", "a file differs from the lock: prepare the wheelhouse again, and find out how the file got there"),
    ("No space left", "the disk is full: free some space; nothing of this release is used before it is complete"),
)

_NO_KERNELS = (
    f"name in vllm_engine_kernels_index a mirror of {kernels.INDEX} that this host reaches, or have these files on the index that"
    f" it installs from; or write {kernels.NONE} there and remove the lock (vllm_engine_lock): the next one is made without them"
)


class BuildError(RuntimeError):
    """An installation that failed; the text is for the person at the terminal."""


@dataclass(frozen=True)
class BuildJob:
    """What to build and from what.

    `path` is the release's directory, whose parent holds all releases; `python` an absolute path, '' for the Python in
    the bundle, or a version for uv to fetch; `indexes` are asked by uv where `offline` is false, and `kernels_index` for
    FlashInfer's compiled kernels ('': its own index, for what no other has; 'none': no further one). `image`: it is
    to become an image, and nothing that it needs lies elsewhere but what any host of its kind has.
    """

    release: str
    accelerator: str
    path: Path
    bundle: Path
    lock_sha256: str
    python: str
    offline: bool = True
    need_bytes: int = 0
    default_index: str = ""
    indexes: Sequence[str] = field(default=())
    environment: Sequence[str] = field(default=())
    kernels_index: str = ""
    image: bool = False

    @property
    def pythons(self) -> Path:
        """Where a Python lies that is not the host's: beside the releases, which share it, or in the release itself."""
        return (self.path if self.image else self.root) / "python"

    @property
    def root(self) -> Path:
        """The directory of all releases."""
        return self.path.parent

    @property
    def staging(self) -> Path:
        """Where files lie until the installation is complete: on the same file system, so that uv can link them."""
        return self.root / f"{STAGING}{self.release}"


def remedy_for(text: str) -> str:
    """Return what to do about a failure whose text is known, '' otherwise."""
    return next((remedy for sign, remedy in _REMEDIES if sign in text), "")


def run_in(command: Sequence[str], what: str, environment: dict[str, str], given: str | None = None) -> str:
    """Run a command in an environment of its own and return what it wrote; `given` is its standard input.

    Raises BuildError: with its last words, `what` it was to do, and what to do about it.
    """
    foreign = ("PYTHON", "VIRTUAL_ENV", "UV_", "PIP_")
    base = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    words, places = indexes.in_environment(command)
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        # An empty one where nothing is given.
        input=given or "",
        env={**base, **environment, **places},
    )
    if done.returncode != 0:
        told = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()][-12:]
        text = without_users("\n".join(told))
        remedy = remedy_for(text)
        raise BuildError(f"{what} failed ({done.returncode}): {text}" + (f"\nWhat to do: {remedy}" if remedy else ""))
    return done.stdout


def check_room(job: BuildJob) -> None:
    """Raise BuildError when the disk has less room than the installation needs at its peak."""
    free = free_bytes(job.root)
    if free < job.need_bytes:
        raise BuildError(
            f"not enough room for vLLM {job.release} in {job.root}: it needs {job.need_bytes / 1e9:.1f} GB while it is"
            f" installed, and {free / 1e9:.1f} GB are free. Free some space, or put {job.root} on a larger disk"
        )


def _safe_members(archive: tarfile.TarFile, target: Path) -> None:
    """Unpack below `target` only; the file comes from the control node, links inside a Python are wanted."""
    if hasattr(tarfile, "tar_filter"):
        archive.extractall(target, filter="tar")
        return
    for member in archive.getmembers():
        if member.name.startswith("/") or ".." in Path(member.name).parts:
            raise BuildError(f"an archive with a path outside itself: {member.name}")
    archive.extractall(target)  # noqa: S202 - checked above; older Pythons have no filter


def alone(root: Path, release: str) -> IO[str]:
    """Wait until nobody else brings this release to its place here, and return the file that holds the lock.

    A build goes on when the run that began it loses its connection: the next run waits for it and takes its result.
    """
    folders.make(root)
    stream = os.fdopen(os.open(root / f"{BUILDING}{release}", os.O_WRONLY | os.O_CREAT, 0o600), "w")
    fcntl.flock(stream, fcntl.LOCK_EX)
    return stream


def unpack(job: BuildJob) -> Path:
    """Unpack the bundle into the staging directory and return the uv binary out of its wheel.

    Raises BuildError, or tarfile.TarError: for a bundle that would write outside of the staging directory.
    """
    shutil.rmtree(job.staging, ignore_errors=True)
    folders.make(job.staging, 0o700)
    with tarfile.open(job.bundle, "r:") as archive:
        _safe_members(archive, job.staging)
    job.bundle.unlink()
    wheel = next((job.staging / "tools").glob("uv-*.whl"))
    binary = job.staging / "uv"
    with zipfile.ZipFile(wheel) as archive:
        name = next(entry for entry in archive.namelist() if re.fullmatch(r"uv-[^/]+\.data/scripts/uv", entry))
        binary.write_bytes(archive.read(name))
    binary.chmod(0o700)
    return binary


def _interpreter_in(directory: Path) -> Path:
    found = sorted(path for path in directory.glob("**/bin/python3*") if re.fullmatch(r"python3\.\d+", path.name))
    if not found:
        raise BuildError(f"the Python that came along has no bin/python3.x below {directory}")
    return found[0]


def bundled_python(job: BuildJob) -> Path:
    """Install the Python that came with the bundle below the root, once for all releases, and return its path.

    Raises BuildError: where the bundle has none, or one that holds no interpreter.
    """
    archive = next((job.staging / "python").iterdir(), None) if (job.staging / "python").is_dir() else None
    if archive is None:
        raise BuildError("the wheelhouse has no Python of its own")
    # By content, so that another archive of the same name never changes a Python that engines lead to.
    stem = re.sub(r"\.(tar(\.\w+)?|tgz)$", "", archive.name)
    home = job.pythons / f"{stem}-{lock.sha256_of(archive)[:12]}"
    if not home.is_dir():
        partial = home.with_name(f".{home.name}")
        shutil.rmtree(partial, ignore_errors=True)
        folders.make(partial)
        with tarfile.open(archive) as packed:
            _safe_members(packed, partial)
        _own(partial)
        partial.replace(home)
    return _interpreter_in(home)


def install(job: BuildJob, uv: Path) -> str:
    """Make the environment and fill it from the lock, hashes checked; returns the full version of its Python.

    Raises BuildError: with uv's last words and what to do; LockError: for a lock that is no lock.
    """
    shutil.rmtree(job.path, ignore_errors=True)
    environment = {
        "UV_CACHE_DIR": str(job.staging / "cache"),
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_INSTALL_DIR": str(job.pythons),
        "UV_PYTHON_INSTALL_BIN": "0",
        **dict(entry.split("=", 1) for entry in job.environment),
    }
    if job.offline or job.python.startswith("/"):
        environment["UV_PYTHON_DOWNLOADS"] = "never"
    python = job.python or str(bundled_python(job))
    # Its own Python lies there already.
    there = ["--allow-existing"] if job.image else []
    venv = [str(uv), "venv", "--no-project", *there, "--python", python, str(job.path)]
    run_in(venv, "making the environment", environment)
    options = ["--require-hashes", "--python", str(job.path / "bin" / "python"), "--only-binary", ":all:"]
    command = [str(uv), "pip", "sync", *options, "--find-links", str(job.staging / "wheels")]
    locked = job.staging / "requirements.lock"
    if not job.offline:
        locked = _without_kernels(job, locked)
    if job.offline:
        command += ["--offline", "--no-index"]
    else:
        for index in job.indexes:
            command += ["--index", index]
        if job.default_index:
            command += ["--default-index", job.default_index]
        elif job.accelerator == "cpu" and not job.indexes:
            # uv itself knows where torch for CPU is.
            command += ["--torch-backend", "cpu"]
    run_in([*command, str(locked)], f"installing vLLM {job.release}", environment)
    if not job.offline:
        install_kernels(job, [str(uv), "pip", "install", *options, "--no-deps"], environment)
    asked = [str(job.path / "bin" / "python"), "-I", "-c", "import platform; print(platform.python_version())"]
    return run_in(asked, "asking the new environment", {}).strip()


def _without_kernels(job: BuildJob, locked: Path) -> Path:
    """Write the lock in two, and return the part without FlashInfer's compiled kernels: they may have an index of their own."""
    pins = lock.parse_lock(locked.read_text(encoding="utf-8"))
    own = [pin for pin in pins if kernels.is_kernel(pin.name)]
    if not own:
        return locked
    (job.staging / "kernels.lock").write_text(lock.render_lock(tuple(own)), encoding="utf-8")
    rest = job.staging / "engine.lock"
    rest.write_text(lock.render_lock(tuple(pin for pin in pins if pin not in own)), encoding="utf-8")
    return rest


def install_kernels(job: BuildJob, command: Sequence[str], environment: dict[str, str]) -> None:
    """Install the compiled kernels of a lock, by their hashes, from whichever index has them. Raises BuildError.

    A named index is asked first. FlashInfer's own is asked last: a host may reach none but the operator's, and where its lock
    has kernels of no CUDA (flashinfer-cubin up to 0.6.13) the package index has them as well.
    """
    locked = job.staging / "kernels.lock"
    if not locked.exists():
        return
    pins = lock.parse_lock(locked.read_text(encoding="utf-8"))
    places = kernels.index_urls(job.kernels_index, kernels.read(pins).jit_cache)
    usual = ["--index-strategy", "unsafe-best-match", *(word for index in job.indexes for word in ("--index", index))]
    usual += ["--default-index", job.default_index] if job.default_index else []
    # By their CUDA, such as 0.7.2+cu130: each kind lies in a directory of its own.
    built = tuple(pin for pin in pins if "+" in pin.version)
    plain = tuple(pin for pin in pins if pin not in built)
    for some, own in ((plain, places[-1:]), (built, places[:1])):
        if not some:
            continue
        listed = job.staging / "some-kernels.lock"
        listed.write_text(lock.render_lock(some), encoding="utf-8")
        # One after the other: uv gives up at an index that cannot be reached or refuses, whatever the others have.
        attempts = [["--default-index", index] for index in own]
        attempts.insert(len(attempts) if job.kernels_index else 0, usual)
        _first_of([[*command, *index, "-r", str(listed)] for index in attempts], environment)


def _first_of(commands: Sequence[Sequence[str]], environment: dict[str, str]) -> None:
    failed = []
    for command in commands:
        try:
            run_in(command, "installing FlashInfer's compiled kernels", environment)
            return
        except BuildError as error:
            failed.append(str(error))
    raise BuildError("\n".join([*failed, f"What to do: {_NO_KERNELS}"]))


def prove(job: BuildJob) -> str:
    """Import the engine with its compiled parts and return the version that it calls itself; raises BuildError.

    A service may not write beside the modules, and would compile them at every start: what it imports is compiled here.
    """
    environment = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CONFIG_ROOT": str(job.staging),
        "VLLM_CACHE_ROOT": str(job.staging),
        "HOME": str(job.staging),
    }
    python = str(job.path / "bin" / "python")
    version = run_in([python, "-c", _PROOF], f"importing vLLM {job.release}", environment).strip().splitlines()[-1]
    compiler = shutil.which("g++") or shutil.which("gcc")
    if compiler:
        # torch.compile and triton do the same while a model loads; without a compiler the operator has said so.
        source = job.staging / "headers.c"
        source.write_text("#include <Python.h>\n", encoding="utf-8")
        code = "import sysconfig; print(sysconfig.get_path('include'))"
        include = run_in([python, "-I", "-c", code], "asking for Python's C headers", {}).strip()
        run_in([compiler, "-fsyntax-only", f"-I{include}", str(source)], "compiling against Python's C headers", {})
    return version


def _own(directory: Path) -> None:
    """Give everything below to root and take writing from all others; links are left alone."""
    for place, _folders, files in os.walk(directory):
        for path in [place, *(os.path.join(place, name) for name in files)]:
            held = os.lstat(path)
            if stat.S_ISLNK(held.st_mode):
                continue
            if (held.st_uid, held.st_gid) != (0, 0) and os.geteuid() == 0:
                os.chown(path, 0, 0)
            wanted = (held.st_mode | 0o444 | (0o111 if held.st_mode & 0o100 else 0)) & ~0o7022
            if stat.S_IMODE(held.st_mode) != stat.S_IMODE(wanted):
                os.chmod(path, stat.S_IMODE(wanted))


def close(job: BuildJob) -> None:
    """Close the tree for writing, give its programs and libraries SELinux's types where that is on, and have it on the disk
    and not only in memory.

    Raises LabelError: where SELinux's tool cannot give the types.
    """
    _own(job.path)
    labels.restore([str(job.path), str(job.pythons)])
    os.sync()


def finish(job: BuildJob, python: str, finished_at: str) -> Marker:
    """Write, last of all, the marker that makes it an installation. `finished_at` in ISO 8601."""
    marker: Marker = {
        "release": job.release,
        "accelerator": job.accelerator,
        "lock_sha256": job.lock_sha256,
        "python": python,
        "finished_at": finished_at,
    }
    if kernels.wanted(job.release, job.accelerator):
        marker["kernels"] = kernel_proof.prove(job.path, job.staging, own=job.image)
        _own(job.path / kernels.HOME)
    shutil.copyfile(job.staging / "requirements.lock", job.path / "requirements.lock")
    partial = job.path / f"{MARKER}.partial"
    partial.write_text(json.dumps(marker) + "\n", encoding="utf-8")
    partial.chmod(0o644)
    # What the import and the proof of kernels wrote; the rest is on the disk already.
    os.sync()
    partial.replace(job.path / MARKER)
    return marker


def build(job: BuildJob) -> tuple[Marker, dict[str, float]]:
    """Install a release from its bundle; returns its marker and the seconds of each step.

    The staging directory goes in any case. Raises BuildError.
    """
    old_umask = os.umask(0o022)
    held: IO[str] | None = None
    seconds: dict[str, float] = {}

    def timed(step: str, since: float) -> float:
        now = time.monotonic()
        seconds[step] = round(now - since, 1)
        return now

    try:
        clock = time.monotonic()
        check_room(job)
        if job.path.exists() and not is_ours(job.path):
            raise BuildError(f"{job.path} is there and not an installation of this collection: move it away")
        held = alone(job.root, job.release)
        clock = timed("wait", clock)
        already = read_marker(job.path)
        if already.get("lock_sha256") == job.lock_sha256 and is_whole(job.path):
            return already, seconds
        uv = unpack(job)
        clock = timed("unpack", clock)
        version = install(job, uv)
        clock = timed("install", clock)
        # Closing concerns the files that uv wrote, the import adds compiled ones: side by side, they take the longer's time.
        with ThreadPoolExecutor(1) as beside:
            proof = beside.submit(prove, job)
            close(job)
            proof.result()
        marker = finish(job, version, datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"))
        timed("import and close", clock)
        return marker, seconds
    except (OSError, labels.LabelError) as error:
        remedy = remedy_for(str(error))
        raise BuildError(f"{error}" + (f"\nWhat to do: {remedy}" if remedy else "")) from error
    finally:
        os.umask(old_umask)
        if held is not None:
            shutil.rmtree(job.staging, ignore_errors=True)
            held.close()


def unused_pythons(root: Path) -> list[Path]:
    """Return the Pythons below the root that no environment leads to any more."""
    place = root / "python"
    if not place.is_dir():
        return []
    used = {os.path.realpath(link) for link in root.glob("*/bin/python")}
    return [
        home
        for home in sorted(place.iterdir())
        if home.is_dir() and not home.is_symlink() and not any(path.startswith(f"{home}/") for path in used)
    ]
