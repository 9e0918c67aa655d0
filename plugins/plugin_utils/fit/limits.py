"""`data/support.yml`: which GPUs each quantisation method and attention backend of a release asks for."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypedDict

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import numbers
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import DATA, read_yaml

FILE = DATA / "support.yml"


# A value from each of these releases on, until the next.
_States = dict[str, object]


class _Support(TypedDict):
    releases: list[str]
    asked: list[int]
    quantization: dict[str, _States]
    attention: dict[str, _States]
    dtypes: dict[str, _States]
    drafted: _States
    rocm: _States


@lru_cache(maxsize=1)
def _data() -> _Support:
    read: _Support = read_yaml(FILE)
    return read


def _at(states: _States | None, release: str) -> Any:
    """The value that holds in this release; None too where the release was never read."""
    if states is None or release not in _data()["releases"]:
        return None
    wanted, value = numbers(release), None
    for since, state in states.items():
        if numbers(str(since)) <= wanted:
            value = state
    return value


@lru_cache(maxsize=4096)
def least_capability(method: str, release: str) -> int | None:
    """Least CUDA compute capability, times ten, of a quantisation method in a release; None where nothing is known."""
    found: int | None = _at(_data()["quantization"].get(method), release)
    return found


@lru_cache(maxsize=4096)
def backend_capabilities(backend: str, release: str) -> tuple[int, ...] | None:
    """Capabilities, times ten, for which an attention backend says yes; None where it says nothing of them."""
    found = _at(_data()["attention"].get(backend), release)
    return None if found is None else tuple(found)


def asked(capability: int) -> bool:
    """Whether the backends were asked about this capability at all."""
    return capability in _data()["asked"]


@lru_cache(maxsize=4096)
def rocm_methods(release: str) -> tuple[str, ...] | None:
    """Quantisation methods that a release runs on ROCm; None where nothing is known."""
    found = _at(_data()["rocm"], release)
    return None if found is None else tuple(found)


# get_supported_act_dtypes of most methods.
_USUAL = ("bfloat16", "float16")


@lru_cache(maxsize=4096)
def activation_types(method: str, release: str) -> tuple[str, ...] | None:
    """Data types that a quantisation method takes for activations; None where nothing is known of the method."""
    found = _at(_data()["dtypes"].get(method), release)
    if found is not None:
        return tuple(name for name in found if name in (*_USUAL, "float32"))
    return None if least_capability(method, release) is None else _USUAL


@lru_cache(maxsize=64)
def drafted_for(release: str) -> tuple[str, ...] | None:
    """Words one of which is in the model type of whatever eagle3 drafts for; None where the release has no such list."""
    found = _at(_data()["drafted"], release)
    return None if found is None else tuple(found)


def gone_since(method: str, release: str) -> bool:
    """Whether an earlier release had the method and this one has it no more."""
    states = _data()["quantization"].get(method)
    if states is None or release not in _data()["releases"] or _at(states, release) is not None:
        return False
    return any(state is not None and numbers(str(since)) <= numbers(release) for since, state in states.items())
