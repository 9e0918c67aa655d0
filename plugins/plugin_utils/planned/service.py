"""One planned service: what a unit runs, where, with what, and what its endpoint must prove."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import OPTIONAL


@dataclass(frozen=True)
class Proofs:
    """What endpoint_check must show, beyond the kind itself.

    `key`: whether requests without a key must be refused; `max_model_len`: tokens, None where the engine decides; `meaning`:
    False for weights whose answers cannot make sense; `outside`: the option that makes the engine exchange data with other
    hosts, "" for none.
    """

    kind: str = ""
    key: bool = False
    tools: bool = False
    reasoning: bool = False
    adapters: tuple[str, ...] = ()
    max_model_len: int | None = None
    meaning: bool = True
    structured: bool = True
    outside: str = ""


@dataclass(frozen=True)
class Memory:
    """Bytes of each GPU of one service; None stands for what is not known, `unknown` says why.

    `gpu`: as its driver states it; `overhead`: what vLLM is taken to need itself, `kv_cache`: what is left to it,
    `kv_per_token`: what one token takes of that; `longest`: the longest request that fits, in tokens.
    """

    gpu: int | None = None
    weights: int | None = None
    overhead: int | None = None
    kv_cache: int | None = None
    kv_per_token: int | None = None
    longest: int | None = None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Service:
    """One model on one host.

    `argv` and `environment`: of its process; `address` and `port`: what it listens on; `gpus`: indices as the host's tool shows
    them; `outward`: whether its GPUs exchange data with other hosts'; `after`: units that start before it; `weights`: their
    path on the host, `origin`: as a person names them, `revision`: their commit or digest; timeouts in seconds.
    `without_kernels`: words that its host adds where the engine has neither FlashInfer's kernels nor a compiler.
    """

    name: str
    unit: str = ""
    kind: str = ""
    accelerator: str = ""
    release: str = ""
    argv: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    port: int = 0
    gpus: tuple[int, ...] = ()
    outward: bool = False
    memory: Memory | None = None
    after: tuple[str, ...] = ()
    served_names: tuple[str, ...] = ()
    weights: str = ""
    origin: str = ""
    revision: str = ""
    start_timeout: int = 0
    stop_timeout: int = 0
    prove: Proofs = Proofs()
    without_kernels: tuple[str, ...] = field(default=(), metadata={OPTIONAL: True})
