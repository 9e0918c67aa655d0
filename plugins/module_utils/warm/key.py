"""What compiled code is good for: the key of a cache, and what differs between two of them. Pure.

vLLM finds its own caches by hashes of its own (`aot_compile_hash_factors` in vllm/compilation/caching.py of 0.32.0: variables of
`compile_factors` in vllm/envs.py, every `compute_hash` of vllm/config, and the GPU's name). This key is no copy of them. It says
on which hosts a cache is worth having and safe to load, and has what their hashes leave out: on a CPU they know neither its
instructions (`CacheBase.get_system` in torch/_inductor/codecache.py is empty without a GPU, while kernels are compiled with
`-march=native`, torch/_inductor/cpp_builder.py) nor the number of threads, by which loops of the kernels are split.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

# Raised when a part changes its meaning: caches from before are then those of other hosts.
SCHEMA = 1
_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class CompiledFor:
    """What of one service compiled code depends on: release, accelerator, path and revision of its weights, by option its words,
    and its variables. What matters to none is left out (plugin_utils/warm/service.py)."""

    release: str
    accelerator: str
    weights: str
    revision: str
    options: Mapping[str, Sequence[str]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class HostFacts:
    """What of a host compiled code depends on. `machine` as uname has it, `libc` with its version; `cpu`: a digest of its model
    and instructions; `threads`: CPUs, 0 where engines have GPUs; `gpus`: names of the kinds; `driver`: branch ("580")."""

    machine: str
    libc: str
    cpu: str
    threads: int = 0
    gpus: Sequence[str] = ()
    driver: str = ""


@dataclass(frozen=True)
class EngineFacts:
    """What an engine was installed from: SHA-256 of its `lock`, its `python`, and `kernels`, a digest of those that it brings."""

    lock: str
    python: str
    kernels: str = ""


Parts = Mapping[str, str]


def parts(service: CompiledFor, host: HostFacts, engine: EngineFacts) -> dict[str, str]:
    """Everything that the key is made of, by a name for people."""
    return {
        "schema": str(SCHEMA),
        "release": service.release,
        "accelerator": service.accelerator,
        "weights": service.weights,
        "revision": service.revision,
        **{f"--{name}": json.dumps(list(words)) for name, words in service.options.items()},
        **{f"${name}": value for name, value in service.environment.items()},
        **{f"host {name}": _text(value) for name, value in asdict(host).items()},
        **{f"engine {name}": value for name, value in asdict(engine).items()},
    }


def digest(of: Parts) -> str:
    """The key: SHA-256 over the parts, 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(dict(of), sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()


def is_key(text: str) -> bool:
    """Whether a text may be a key; it is then a safe name of a directory."""
    return _KEY.fullmatch(text) is not None


def differences(before: Parts, now: Parts) -> list[str]:
    """What differs, a line each: `--max-num-seqs was 256 and is 128`."""
    return list(_differences(before, now))


def _differences(before: Parts, now: Parts) -> Iterator[str]:
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if old != new:
            yield f"{name} {_was(old)} and {_is(new)}"


def _was(value: str | None) -> str:
    return "was not there" if value is None else f"was {value or 'empty'}"


def _is(value: str | None) -> str:
    return "is gone" if value is None else f"is {value or 'empty'}"


def _text(value: object) -> str:
    return ", ".join(value) if isinstance(value, (list, tuple)) else str(value)
