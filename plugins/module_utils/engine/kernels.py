"""Which kernels an engine brings, and which it would have to compile at its first start. Standard library only.

From 0.21.0 on vLLM samples with FlashInfer unless it is told not to (`VLLM_USE_FLASHINFER_SAMPLER` in vllm/envs.py of 0.19.0
and 0.21.0 to 0.33.0), already while it profiles memory, and asks whether the GPU can, never whether a compiler is there
(vllm/v1/sample/ops/topk_topp_sampler.py; vllm-project/vllm issue 49497). Without a compiled kernel FlashInfer calls nvcc and
ninja (flashinfer/jit/cpp_ext.py), and an engine on a host without them ends. So an engine needs one of three things:

- FlashInfer's compiled kernels: `flashinfer-jit-cache` of flashinfer-python's own version and the engine's CUDA.
  (`flashinfer-cubin` has other kernels, of attention and mixtures of experts, which would be fetched at run time instead.)
- A compiler. pip's nvcc comes with the lock from 0.24.0 on, yet of CUDA's newest release, and FlashInfer's headers refuse it
  beside CUDA 13.0's ("CUDA compiler and CUDA toolkit headers are incompatible": tried with 0.33.0's lock).
  `cuda-toolkit[nvcc,cccl]` at torch's own pin makes them one toolkit, with which FlashInfer's sampling kernel was compiled.
- Neither, and the variable: vLLM then samples with kernels of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypedDict

from ansible_collections.baremetal.vllm.plugins.module_utils.text.urls import without_users

FLASHINFER, CUBIN, JIT_CACHE = "flashinfer-python", "flashinfer-cubin", "flashinfer-jit-cache"
NVCC, CUOBJDUMP, TOOLKIT = "nvidia-cuda-nvcc", "nvidia-cuda-cuobjdump", "cuda-toolkit"
SAMPLER = "VLLM_USE_FLASHINFER_SAMPLER"
DEEP_GEMM = "VLLM_USE_DEEP_GEMM"
# What names a compiler to FlashInfer, DeepGEMM and torch; an operator who sets either has one of his own.
CUDA_HOME = ("CUDA_HOME", "CUDA_PATH")
# The first release that samples with FlashInfer by default.
SINCE = (0, 21, 0)
# Below an engine's directory: a toolkit as FlashInfer expects one, made of links to pip's packages.
HOME = "cuda"
# FlashInfer's own index: flashinfer-cubin at its root, flashinfer-jit-cache below the CUDA it is for
# (`_build_jit_cache_index_url` in flashinfer/__main__.py of 0.7.2; scripts/update_whl_index.py of its repository).
INDEX = "https://flashinfer.ai/whl"
# Of `vllm_engine_kernels_index`: look nowhere.
NONE = "none"
_ADDRESS = re.compile(r"(https?|file)://\S+", re.IGNORECASE)
# What is lost without kernels and without a compiler.
LOSS_OF_SAMPLING = (
    "engines sample top-k and top-p with vLLM's own kernels (VLLM_USE_FLASHINFER_SAMPLER=0), which is slower at large"
    " batches,"
)
LOSS = "multiply FP8 blocks without DeepGEMM (VLLM_USE_DEEP_GEMM=0), and cannot use FlashInfer's attention and expert kernels"


class KernelRecord(TypedDict, total=False):
    """What is known of an engine's kernels: flashinfer, cubin and jit_cache (versions, "" for none), compiler (a directory with
    bin/nvcc that compiled, "" for none), cuobjdump (whether that one, beside it, tells symbols in DeepGEMM's words), and why in
    words, "" where nothing is lacking."""

    flashinfer: str
    cubin: str
    jit_cache: str
    compiler: str
    cuobjdump: bool
    why: str


class Pinned(Protocol):
    """A distribution with one version, such as `lock.Pin`."""

    @property
    def name(self) -> str:
        """The distribution's name, as its lock writes it."""

    @property
    def version(self) -> str:
        """Its one version, as written, with a local part (`+cu130`) where it has one."""


@dataclass(frozen=True)
class Kernels:
    """What a lock holds, versions as written, '' for what it lacks. `cuda` and `nvcc` are major.minor, such as 13.0."""

    flashinfer: str = ""
    cubin: str = ""
    jit_cache: str = ""
    cuda: str = ""
    nvcc: str = ""

    @property
    def compiler(self) -> bool:
        """Whether nvcc and the headers beside it are of one CUDA: with two, CCCL's headers refuse to be compiled."""
        return bool(self.nvcc) and self.nvcc == self.cuda


def wanted(release: str, accelerator: str) -> bool:
    """Tell whether a release samples with FlashInfer unless it is told not to."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", release)[:3])
    return accelerator == "cuda" and numbers >= SINCE


def read(pins: Iterable[Pinned]) -> Kernels:
    """Return what a lock says of kernels and of what would compile them."""
    versions = {pin.name: pin.version for pin in pins}
    return Kernels(
        flashinfer=versions.get(FLASHINFER, ""),
        cubin=versions.get(CUBIN, ""),
        jit_cache=versions.get(JIT_CACHE, ""),
        cuda=cuda_of(versions),
        nvcc=_series(versions.get(NVCC, "") or versions.get(f"{NVCC}-cu12", "")),
    )


def _series(version: str) -> str:
    return ".".join(version.split(".")[:2]) if version else ""


# Of these distributions an engine's CUDA is read.
CUDA_NAMES = ("torch", "nvidia-cuda-runtime", "nvidia-cuda-runtime-cu12")


def cuda_of(versions: Mapping[str, str]) -> str:
    """Return the CUDA of an engine, such as 13.0, from versions by distribution ('' where they do not tell): as torch's local
    version has it, else that of the runtime library which torch pins."""
    label = re.search(r"\+cu(\d+)$", versions.get("torch", ""))
    if label:
        return f"{label[1][:-1]}.{label[1][-1]}"
    runtime = versions.get("nvidia-cuda-runtime") or versions.get("nvidia-cuda-runtime-cu12") or ""
    return _series(runtime)


def labels(cuda: str) -> list[str]:
    """Return the names that a CUDA's builds may have on FlashInfer's index, best first: 13.2 gives cu132, cu131, cu130.

    A build for an older CUDA of the same major version does (`_resolve_jit_cache_cuda_version`, flashinfer/__main__.py of 0.7.2).
    """
    if not re.fullmatch(r"\d+\.\d", cuda):
        return []
    major, minor = cuda.split(".")
    # FlashInfer has built for no CUDA before 12.6.
    oldest = 6 if major == "12" else 0
    return [f"cu{major}{number}" for number in range(int(minor), oldest - 1, -1)]


def public(version: str) -> str:
    """Return a version without its local part."""
    return version.partition("+")[0]


def mismatches(kernels: Kernels) -> list[str]:
    """Return what in a lock does not go together, a sentence each.

    FlashInfer up to 0.6.8 refuses to be imported with kernels of another version, and 0.7.2 passes over them and compiles or
    fetches others at the first start (flashinfer/jit/env.py).
    """
    told = []
    for name, version in ((CUBIN, kernels.cubin), (JIT_CACHE, kernels.jit_cache)):
        if version and kernels.flashinfer and public(version) != public(kernels.flashinfer):
            told.append(
                f"{name} is {version} and {FLASHINFER} {kernels.flashinfer}: FlashInfer takes its own version's only"
            )
    label = kernels.jit_cache.partition("+")[2]
    if label and kernels.cuda and label not in labels(kernels.cuda):
        fitting = labels(kernels.cuda)
        goes = f"{fitting[0]} goes with it" if fitting else "none goes with it"
        told.append(
            f"{JIT_CACHE} {kernels.jit_cache} is built for another CUDA than the engine's {kernels.cuda} ({goes})"
        )
    return told


def lacking(kernels: Kernels) -> str:
    """Return why an engine from this lock has to do without FlashInfer's sampler; '' where it need not."""
    if not kernels.flashinfer or kernels.jit_cache or kernels.compiler:
        return ""
    compiler = f"{NVCC} {kernels.nvcc} does not go with CUDA {kernels.cuda}" if kernels.nvcc else f"no {NVCC}"
    return f"it has no {JIT_CACHE} and {compiler}"


def toolkit(pins: Iterable[Pinned]) -> tuple[str, ...]:
    """Return the requirements that make a toolkit of torch's own CUDA; none where torch pins none, or one of CUDA 12, whose
    packages lie apart.

    They are what vLLM's own image has for kernels that are compiled at run time (docker/Dockerfile of 0.33.0); nvrtc, curand and
    cublas come with torch. cuobjdump reads what older compilers wrote, and pip has none of 13.0 and 13.1. DeepGEMM reads its
    list of symbols (STT_FUNC, STO_ENTRY), which has other words from 13.5 on (FUNC, ENTRY: tried, 13.2.51 to 13.5.37).
    """
    version = next((pin.version for pin in pins if pin.name == TOOLKIT), "")
    major = version.partition(".")[0]
    if not major.isdigit() or int(major) < 13:
        return ()
    return (f"{TOOLKIT}[nvcc,cccl]=={version}", f"{CUOBJDUMP}>={major},<13.5" if major == "13" else CUOBJDUMP)


def is_kernel(name: str) -> bool:
    """Tell whether a distribution is one of FlashInfer's compiled ones: from 0.7.0 on there is one for each kind of GPU."""
    return name in (CUBIN, JIT_CACHE) or name.startswith(f"{JIT_CACHE}-")


def index_error(value: object) -> str:
    """Return what is wrong with a value of `vllm_engine_kernels_index`; '' where nothing is."""
    if value is None or value in ("", NONE) or (isinstance(value, str) and _ADDRESS.fullmatch(value)):
        return ""
    return f"{without_users(repr(value))} is no address of a package index"


def index_urls(asked: str, jit_cache: str) -> list[str]:
    """Return where a lock's compiled kernels are: the directory of its CUDA, and the index itself for those of no CUDA."""
    base = (asked or INDEX).rstrip("/")
    if base == NONE:
        return []
    label = jit_cache.partition("+")[2]
    return [f"{base}/{label}", base] if label else [base]


def environment(release: str, accelerator: str, record: KernelRecord) -> dict[str, str]:
    """Return what a unit is told of an engine's kernels; `record` is `kernels` of its marker, {} for none."""
    if not record.get("flashinfer") or not wanted(release, accelerator):
        return {}
    if record.get("compiler"):
        # FlashInfer, DeepGEMM and tilelang look there first; ninja and g++ are on every unit's PATH.
        told = {CUDA_HOME[0]: str(record["compiler"])}
        # With a CUDA_HOME DeepGEMM can be imported, and ends the engine where it lacks this tool (csrc/jit/kernel_runtime.hpp).
        return told if record.get("cuobjdump") else {**told, DEEP_GEMM: "0"}
    # DeepGEMM compiles every kernel at run time. Without a toolkit it could not be imported, so vLLM did without it; from 0.32.0
    # on it looks for one when it first compiles (third-party/deep_jit, in cmake/external_projects/deepgemm.cmake).
    return {DEEP_GEMM: "0"} if record.get("jit_cache") else {SAMPLER: "0", DEEP_GEMM: "0"}
