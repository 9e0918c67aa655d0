"""Whether a release, a GPU, and what a model asks for go together: wheel, data types, quantisation, attention.

Only what vLLM's sources state is refused, each with the release and file that say it; CUDA above all, of ROCm what is certain.
"""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import numbers
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import HOSTS, Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit import cuda, dtypes, limits
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.driver import check_driver
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.gpus import KnownGpu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import whole
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.jsontext import as_mapping
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release

# Up to here `dtype: auto` does not fall back to float16 (_resolve_auto_dtype, vllm/config/model.py).
_NO_FALLBACK = (0, 9)
# From here on the Triton backend refuses an 8-bit cache below this (vllm/v1/attention/backends/triton_attn.py).
_CACHE_8_SINCE, _CACHE_8 = (0, 24), 89
# Backends of one platform by their first letters, and the release from which the other platform refuses them.
_OF_CUDA = ("FLASHINFER", "FLASHMLA", "CUTLASS_MLA", "FLASH_ATTN_MLA", "TOKENSPEED_MLA")
_OF_ROCM = ("ROCM_",)
_BACKENDS_CHECKED = (0, 14)
# Methods that read one kind of checkpoint, and another one not (_verify_quantization, vllm/config/model.py).
_FAMILIES = {
    "awq": ("awq", "awq_marlin", "auto_awq"),
    "gptq": ("gptq", "gptq_marlin", "auto_gptq", "gptq_bitblas", "gptq_marlin_24", "marlin"),
    "fp8": ("fp8",),
    "compressed-tensors": ("compressed-tensors",),
    "bitsandbytes": ("bitsandbytes",),
    "torchao": ("torchao",),
    "mxfp4": ("mxfp4", "gpt_oss_mxfp4"),
    "modelopt": ("modelopt", "modelopt_fp4", "modelopt_mxfp8", "modelopt_mixed", "nvfp4"),
    # These quantise while they load, and only what is not quantised yet.
    "online": (
        *("ptpc_fp8", "experts_int8", "rtn", "fp8_per_tensor", "fp8_per_block"),
        *("fp8_per_channel", "int8_per_channel_weight_only"),
    ),
}


def check_support(
    at: str,
    args: Values,
    facts: ModelFacts | None,
    gpu: KnownGpu | None,
    driver: str,
    release: Release | None,
    problems: Problems,
    accelerator: str = "cuda",
    host: str = "",
) -> None:
    """Refuse what cannot run. `at`: the entry's key; `args` by canonical option names (their `.written`, where there is one,
    says how the operator spelled them); `gpu`, `driver` ("" unknown) and `accelerator` of the host named `host`."""
    said = _Said(at, getattr(args, "written", {}), problems, host)
    if facts is not None:
        _check_parallel(args, facts, said)
        _check_method(args, facts, said)
    if accelerator == "cuda" and release is not None:
        _check_backend(args, release, said, _OF_ROCM, "ROCm", "CUDA")
    if accelerator == "rocm" and release is not None:
        _check_rocm(args, facts, release, said)
    if accelerator != "cuda":
        return
    check_release(gpu, driver, release, problems, host)
    if gpu is None or gpu.capability is None:
        return
    if release is not None:
        _check_quantisation(args, facts, gpu, release, said)
        _check_attention(args, facts, gpu, release, said)
    _check_dtype(args, facts, gpu, release, said)


def check_release(
    gpu: KnownGpu | None, driver: str, release: Release | None, problems: Problems, host: str = ""
) -> None:
    """Refuse a release whose wheel a host with CUDA cannot run, whatever the model: for its driver, or for its GPUs."""
    check_driver(driver, gpu, release, problems, host)
    if gpu is not None and release is not None:
        _check_wheel(gpu, release, _Said("", {}, problems, host))


class _Said:
    """Tells problems of one entry on one host."""

    def __init__(self, at: str, written: Mapping[str, str], problems: Problems, host: str) -> None:
        self._at, self._written, self._problems, self._host = at, written, problems, host

    def refuse(self, option: str, reason: str, remedy: str) -> None:
        self._problems.add(self._key(option), reason, remedy, self._host)

    def refuse_host(self, key: str, reason: str, remedy: str) -> None:
        self._problems.add(f"{HOSTS}.{key}", reason, remedy, self._host)

    def warn(self, option: str, reason: str, remedy: str) -> None:
        self._problems.warn(self._key(option), reason, remedy, self._host)

    def _key(self, option: str) -> str:
        return f"{self._at}.args.{self._written.get(option, option)}" if option else self._at


def _check_parallel(args: Values, facts: ModelFacts, said: _Said) -> None:
    # verify_with_parallel_config (vllm/config.py in 0.8.5, vllm/config/model.py in 0.33.0); QKVParallelLinear
    # (vllm/model_executor/layers/linear.py) divides heads of keys among GPUs, or GPUs among them.
    size = whole(args.get("tensor-parallel-size")) or 1
    if size < 2 or not facts.heads:
        return
    latent = any(cache.heads == 0 for cache in facts.caches)
    kept = facts.kv_heads if facts.caches and not latent else 0
    fitting = [
        n for n in range(1, facts.heads + 1) if facts.heads % n == 0 and (not kept or kept % n == 0 or n % kept == 0)
    ]
    if size not in fitting:
        also = f" and {kept} for keys and values" if kept and facts.heads % size == 0 else ""
        said.refuse(
            "tensor-parallel-size",
            f"{size} GPUs cannot share the model's {facts.heads} attention heads{also} evenly",
            f"Write one of: {', '.join(str(n) for n in fitting if n <= 64)}",
        )


def _check_method(args: Values, facts: ModelFacts, said: _Said) -> None:
    wanted, held = args.get("quantization"), facts.quantisation.method if facts.quantisation else None
    family, other = (next((f for f, names in _FAMILIES.items() if one in names), None) for one in (wanted, held))
    if family and other and other != family:
        said.refuse(
            "quantization",
            f"{wanted} does not read this checkpoint, which is quantised with {held}",
            "Leave it out (the checkpoint says it itself), or choose a checkpoint without quantisation",
        )


def _check_rocm(args: Values, facts: ModelFacts | None, release: Release, said: _Said) -> None:
    # verify_quantization, vllm/platforms/interface.py.
    _check_backend(args, release, said, _OF_CUDA, "CUDA", "ROCm")
    method, option = _method(args, facts)
    known = limits.rocm_methods(release.version)
    if method and known is not None and method not in known and limits.least_capability(method, release.version):
        said.refuse(
            option,
            f"vLLM {release.version} does not run quantisation {method} on ROCm ({HOSTS})",
            f"Choose a checkpoint of another kind: {', '.join(known)}",
        )


def _check_backend(args: Values, release: Release, said: _Said, foreign: tuple[str, ...], of: str, on: str) -> None:
    # get_attn_backend_cls, vllm/platforms/rocm.py and cuda.py: before, some of them were passed over without a word.
    backend, option = _backend(args)
    if backend.startswith(foreign) and numbers(release.version) >= _BACKENDS_CHECKED:
        said.refuse(
            option,
            f"{backend} is a backend for {of}, and {HOSTS} has {on}",
            "Leave it out: vLLM chooses one that runs",
        )


def _check_wheel(gpu: KnownGpu, release: Release, said: _Said) -> None:
    built = sorted(cuda.pair(text) for text in release.capabilities)
    if gpu.capability is None or not built:
        return
    if gpu.capability < built[0]:
        said.refuse_host(
            "gpu_name",
            f"{gpu.name} has compute capability {_text(gpu.capability)}, and the kernels of vLLM {release.version} begin with "
            f"{_text(built[0])}",
            "Run an older release on it (vllm_version), or place the model elsewhere",
        )
        return
    for capability, toolkit in cuda.read().generations.items():
        if gpu.capability >= capability and cuda.pair(release.cuda) < toolkit:
            said.refuse_host(
                "gpu_name",
                f"{gpu.name} needs CUDA {cuda.told(toolkit)} or newer, and the wheel of vLLM {release.version} is built for CUDA "
                f"{release.cuda}",
                "Run a newer release on it (vllm_version)",
            )


def _check_dtype(args: Values, facts: ModelFacts | None, gpu: KnownGpu, release: Release | None, said: _Said) -> None:
    if gpu.capability is None or gpu.capability >= dtypes.BFLOAT16:
        return
    dtype = str(args.get("dtype") or "auto").lower()
    early = release is not None and numbers(release.version) < _NO_FALLBACK
    if dtype == "bfloat16" or (dtype == "auto" and early and facts is not None and facts.dtype == "bfloat16"):
        what = "bfloat16" if dtype == "bfloat16" else "bfloat16, which the model is made for,"
        left = dtypes.allowed(args, facts, release, gpu.capability) if release is not None else ["float16"]
        said.refuse(
            "dtype",
            f"{what} needs compute capability 8.0, and {gpu.name} ({HOSTS}) has {_text(gpu.capability)}",
            dtypes.remedy(left),
        )


def _check_quantisation(args: Values, facts: ModelFacts | None, gpu: KnownGpu, release: Release, said: _Said) -> None:
    # VllmConfig._get_quantization_config (vllm/config/vllm.py): less than the method's least capability is an error.
    method, option = _method(args, facts)
    if not method or gpu.capability is None:
        return
    have = gpu.capability[0] * 10 + gpu.capability[1]
    needs = [limits.least_capability(method, release.version)]
    if method == "compressed-tensors" and facts is not None and facts.quantisation is not None:
        needs += [limits.least_capability(s, release.version) for s in map(_scheme, facts.quantisation.schemes) if s]
    need = max((n for n in needs if n is not None), default=0)
    if have < need:
        said.refuse(
            option,
            f"quantisation {method} needs compute capability {need // 10}.{need % 10} in vLLM {release.version}, and {gpu.name} "
            f"({HOSTS}) has {_text(gpu.capability)}",
            "Choose a checkpoint of another kind, or place the model elsewhere",
        )
    elif not option and limits.gone_since(method, release.version):
        said.warn(
            "",
            f"the checkpoint is quantised with {method}, which vLLM {release.version} has no more under this name",
            "Choose a checkpoint of another kind, or an older release",
        )


def _check_attention(args: Values, facts: ModelFacts | None, gpu: KnownGpu, release: Release, said: _Said) -> None:
    if gpu.capability is None:
        return
    have = gpu.capability[0] * 10 + gpu.capability[1]
    backend, option = _backend(args)
    said_yes = limits.backend_capabilities(backend, release.version)
    if said_yes is not None and limits.asked(have) and have not in said_yes:
        said.refuse(
            option,
            f"{backend} of vLLM {release.version} does not run on {gpu.name} ({HOSTS}; compute capability "
            f"{_text(gpu.capability)})",
            "Leave it out: vLLM chooses one that does",
        )
        return
    cache = str(args.get("kv-cache-dtype") or "auto").lower()
    latent = facts is not None and any(kept.heads == 0 for kept in facts.caches)
    if not cache.startswith("fp8") or numbers(release.version) < _CACHE_8_SINCE or have >= _CACHE_8 or latent:
        return
    other = limits.backend_capabilities("FLASHINFER", release.version)
    if backend == "TRITON_ATTN" or (not backend and other is not None and have not in other):
        said.refuse(
            "kv-cache-dtype",
            f"{cache} needs compute capability 8.9 in vLLM {release.version}, or FlashInfer with 8.0; {gpu.name} ({HOSTS}) has "
            f"{_text(gpu.capability)}",
            "Write kv-cache-dtype: auto",
        )


def _backend(args: Values) -> tuple[str, str]:
    """The attention backend that is written, in capitals, and the option that says it."""
    written = args.get("attention-backend")
    if written:
        return str(written).upper(), "attention-backend"
    return str(as_mapping(args.get("attention-config") or {}).get("backend") or "").upper(), "attention-config"


def _method(args: Values, facts: ModelFacts | None) -> tuple[str, str]:
    """The quantisation in force, and the option that says so ("" where the checkpoint does)."""
    written = args.get("quantization")
    if isinstance(written, str) and written not in ("", "None"):
        return written, "quantization"
    return (facts.quantisation.method, "") if facts is not None and facts.quantisation else ("", "")


def _scheme(scheme: str) -> str:
    """The row of `data/support.yml` for what compressed-tensors does to the weights; "" where there is none."""
    if scheme.startswith(("w4a16-", "w8a16-int")):
        return "compressed-tensors/wNa16"
    if scheme == "w8a8-int":
        return "compressed-tensors/w8a8-int"
    # Below 8.9 weights in fp8 are kept, and activations are not quantised.
    return "compressed-tensors/w8a16-fp" if scheme in ("w8a8-fp", "w8a16-fp") else ""


def _text(pair: tuple[int, int]) -> str:
    return f"{pair[0]}.{pair[1]}"
