"""How much one step of an engine takes on, and the graphs it captures: vLLM's defaults, by release and GPU.

Sources: `get_batch_defaults` (vllm/engine/arg_utils.py; within `_set_default_args` up to 0.11) and `_set_cudagraph_sizes`
(vllm/config/vllm.py), for a server of the OpenAI API.
"""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.gpus import KnownGpu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.sizes import size

_GIB = 2**30
_LARGE, _LARGEST = 70 * _GIB, 160 * _GIB
_LARGEST_SINCE = (0, 28)
# A100s count as small GPUs from here on, a GB10 from 0.33.0 on.
_A100_SMALL_SINCE, _GB10_SMALL_SINCE = (0, 9), (0, 33)
_GB10, _BLACKWELL = (12, 1), 10
_GRAPHS, _GRAPHS_BLACKWELL = 512, 1024
_BLACKWELL_GRAPHS_SINCE = (0, 28)
# Sizes of every eighth batch up to the greatest; later every sixteenth above 256.
_EVERY_EIGHTH_BEFORE = (0, 11, 1)
_DECODE_GRAPHS_SINCE = (0, 11)


def batched(args: Values, gpu: KnownGpu | None, version: tuple[int, ...] | None) -> int:
    """Tokens of one step (max-num-batched-tokens). `version` None: a release that is newer than the catalogue."""
    written = size(args.get("max-num-batched-tokens"))
    if written is not None:
        return min(written, 2**30)
    if gpu is not None and gpu.memory >= _LARGEST and (version is None or version >= _LARGEST_SINCE):
        return 16384
    return 8192 if _large(gpu, version) else 2048


def seqs(args: Values, gpu: KnownGpu | None, version: tuple[int, ...] | None) -> int:
    """Requests of one step (max-num-seqs)."""
    written = size(args.get("max-num-seqs"))
    if written is not None:
        return max(1, min(written, 2**20))
    return 1024 if _large(gpu, version) else 256


def graphs(args: Values, requests: int, gpu: KnownGpu | None, version: tuple[int, ...] | None) -> int:
    """How many CUDA graphs are captured: one for each size of mixed batches, and one for each of decoding ones."""
    compilation = args.get("compilation-config")
    compilation = compilation if isinstance(compilation, Mapping) else {}
    mode = str(compilation.get("cudagraph_mode") or args.get("compilation-config.cudagraph_mode") or "").upper()
    if args.get("enforce-eager") is True or mode == "NONE":
        return 0
    sizes = _sizes(args, compilation, requests, gpu, version)
    decoding = [number for number in sizes if number <= requests]
    if mode == "PIECEWISE" or (version is not None and version < _DECODE_GRAPHS_SINCE):
        return len(sizes)
    return len(decoding) if mode in ("FULL", "FULL_DECODE_ONLY") else len(sizes) + len(decoding)


def _sizes(
    args: Values,
    compilation: Mapping[str, object],
    requests: int,
    gpu: KnownGpu | None,
    version: tuple[int, ...] | None,
) -> list[int]:
    listed = args.get("cudagraph-capture-sizes") or compilation.get("cudagraph_capture_sizes")
    if isinstance(listed, (list, tuple)):
        return [number for number in map(size, listed) if number]
    blackwell = gpu is not None and gpu.capability is not None and gpu.capability[0] == _BLACKWELL
    most = _GRAPHS
    if blackwell and (version is None or version >= _BLACKWELL_GRAPHS_SINCE):
        most = _GRAPHS_BLACKWELL
    written = size(args.get("max-cudagraph-capture-size") or compilation.get("max_cudagraph_capture_size"))
    greatest = min(2 * requests, most) if written is None else min(written, 2**16)
    step = 8 if version is not None and version < _EVERY_EIGHTH_BEFORE else 16
    found = [1, 2, 4, *range(8, 256, 8), *range(256, greatest + 1, step)]
    return [number for number in found if number <= greatest]


def _large(gpu: KnownGpu | None, version: tuple[int, ...] | None) -> bool:
    if gpu is None or gpu.memory < _LARGE:
        return False
    if "A100" in gpu.name and (version is None or version >= _A100_SMALL_SINCE):
        return False
    return not (gpu.capability == _GB10 and (version is None or version >= _GB10_SMALL_SINCE))
