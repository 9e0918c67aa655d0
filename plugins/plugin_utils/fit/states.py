"""What layers without a KV cache keep of each request: one state of a fixed size (Mamba, gated delta nets, short convolutions).

Source: `MambaStateShapeCalculator` and `MambaStateDtypeCalculator` (vllm/model_executor/layers/mamba/mamba_utils.py) in 0.33.0,
and the `get_mamba_state_shape_from_config` of the models.
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.config import whole_number

_BITS = {"float32": 32, "bfloat16": 16, "float16": 16}


@dataclass(frozen=True)
class RecurrentState:
    """Layers that keep the same, of which tensor parallelism divides all: `window` elements of a convolution, and a
    `recurrent` state of `bits` each, 0 where these are those of the engine's dtype."""

    layers: int
    window: int
    recurrent: int = 0
    bits: int = 0


def read_states(part: Values, layers: int) -> RecurrentState | None:
    """The state of `layers` layers of the language model; None where the config does not say how large it is."""
    if not layers:
        return None
    found = _delta_net(part) or _mamba2(part) or _mamba1(part) or _convolution(part)
    if found is None:
        return None
    window, recurrent = found
    written = part.get("mamba_ssm_dtype") or part.get("mamba_ssm_cache_dtype")
    return RecurrentState(layers, window, recurrent, _BITS.get(str(written), 0))


def _delta_net(part: Values) -> tuple[int, int] | None:
    """Qwen3-Next and Qwen 3.5."""
    sizes = [
        whole_number(part, f"linear_{name}")
        for name in ("num_key_heads", "key_head_dim", "num_value_heads", "value_head_dim", "conv_kernel_dim")
    ]
    if None in sizes:
        return None
    keys, key, values, value, kernel = (number or 0 for number in sizes)
    return (kernel - 1) * (2 * keys * key + values * value), values * value * key


def _mamba2(part: Values) -> tuple[int, int] | None:
    """Nemotron-H, Granite 4, Bamba, Falcon-H1, Zamba2."""
    heads = (
        whole_number(part, "mamba_num_heads")
        or whole_number(part, "mamba_n_heads")
        or whole_number(part, "n_mamba_heads")
    )
    groups = (
        whole_number(part, "n_groups") or whole_number(part, "mamba_n_groups") or whole_number(part, "mamba_ngroups")
    )
    size = whole_number(part, "ssm_state_size") or whole_number(part, "mamba_d_state")
    kernel = whole_number(part, "conv_kernel") or whole_number(part, "mamba_d_conv")
    inner = _inner(part)
    head = (
        whole_number(part, "mamba_head_dim")
        or whole_number(part, "mamba_d_head")
        or whole_number(part, "mamba_headdim")
    )
    if heads and not head and inner:
        head = inner // heads
    if not (heads and groups and size and kernel and head):
        return None
    return (kernel - 1) * (heads * head + 2 * groups * size), heads * head * size


def _mamba1(part: Values) -> tuple[int, int] | None:
    """Jamba."""
    size, kernel, inner = whole_number(part, "mamba_d_state"), whole_number(part, "mamba_d_conv"), _inner(part)
    return ((kernel - 1) * inner, inner * size) if size and kernel and inner else None


def _convolution(part: Values) -> tuple[int, int] | None:
    """LFM2."""
    kernel, width = (
        whole_number(part, "conv_L_cache"),
        whole_number(part, "conv_dim") or whole_number(part, "hidden_size"),
    )
    return ((kernel - 1) * width, 0) if kernel and width else None


def _inner(part: Values) -> int | None:
    expand, hidden = (
        whole_number(part, "mamba_expand") or whole_number(part, "expand"),
        whole_number(part, "hidden_size"),
    )
    return whole_number(part, "mamba_d_ssm") or (expand * hidden if expand and hidden else None)
