"""Figures in an engine's log: what it loaded, measured and compiled.

The messages are those of vLLM 0.19.0 to 0.33.0: vllm/v1/worker/gpu_worker.py, gpu_model_runner.py and gpu/model_runner.py,
vllm/v1/core/kv_cache_utils.py, vllm/v1/engine/core.py, vllm/compilation/monitor.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_GIB = 2**30
_NUMBER = r"(-?[\d.,]+)"
# Name, pattern, and what one unit of it is in bytes, tokens or seconds. Of several ranks' lines all are kept.
_FIGURES: tuple[tuple[str, str, float], ...] = (
    ("weights_bytes", rf"Model loading took {_NUMBER} (?:GiB|GB)", _GIB),
    ("loading_seconds", rf"Model loading took .* and {_NUMBER} s", 1),
    ("initial_free_bytes", rf"Initial free memory:? {_NUMBER} GiB", _GIB),
    ("requested_bytes", rf"Requested memory: [\d.]+ \(util\), {_NUMBER} GiB", _GIB),
    ("available_kv_bytes", rf"Available KV cache memory: {_NUMBER} (?:GiB|GB)", _GIB),
    ("kv_tokens", rf"KV cache size: {_NUMBER} tokens", 1),
    ("concurrency", rf"Maximum concurrency for [\d,]+ tokens per request: {_NUMBER}x", 1),
    ("graph_seconds", rf"Graph capturing finished in {_NUMBER} secs", 1),
    ("graph_bytes", rf"Graph capturing finished in .*, took {_NUMBER} GiB", _GIB),
    ("compile_seconds", rf"torch\.compile took {_NUMBER} s in total", 1),
    ("init_seconds", rf"init engine \(profile, create kv cache, warmup model\) took {_NUMBER} s", 1),
)
_BACKEND = re.compile(r"Using (\S+) (?:attention )?backend|Using (\S+) for top-p & top-k sampling")
# What says that something was compiled on the machine, or could not be.
_COMPILED = re.compile(r"ninja|nvcc|\bJIT\b|jit[-_ ]?compil|Compiling|cubin|autotun", re.IGNORECASE)


def figures(lines: Sequence[str]) -> dict[str, list[float]]:
    """Every figure with its values in the log's order: bytes, seconds or tokens, as its name ends.

    >>> figures(["INFO [gpu_worker.py:773] Available KV cache memory: 6.5 GiB"])
    {'available_kv_bytes': [6979321856.0]}
    """
    found: dict[str, list[float]] = {}
    for line in lines:
        for name, pattern, unit in _FIGURES:
            match = re.search(pattern, line)
            number = match[1].replace(",", "").rstrip(".") if match else ""
            if re.fullmatch(r"-?\d+(\.\d+)?", number):
                found.setdefault(name, []).append(float(number) * unit)
    return found


def summary(lines: Sequence[str]) -> dict[str, Any]:
    """`figures`, `backends` as named, `compiling`: lines that tell of kernels made on the machine (60 at most)."""
    backends = [match[1] or match[2] for match in map(_BACKEND.search, lines) if match]
    return {
        "figures": figures(lines),
        "backends": sorted(set(backends)),
        "compiling": [line.strip()[:300] for line in lines if _COMPILED.search(line)][:60],
    }
