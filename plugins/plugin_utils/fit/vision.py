"""What the trial run of an encoder of pictures takes: vLLM runs it on the largest item that a request may bring.

Sources: `profile_run` (vllm/v1/worker/gpu_model_runner.py), `MultiModalBudget` (vllm/multimodal/encoder_budget.py), and of the
models under vllm/model_executor/models/ `get_max_image_tokens`, `get_num_frames_with_most_features` and `get_dummy_mm_data`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.config import whole_number

# Tokens of the largest picture where the model's processor says it and not config.json: 12,845,056 pixels in squares of 28
# (Qwen 2 and 2.5), 16,777,216 in squares of 32 (Qwen 3), tiles of 144, 256 or 576 tokens.
_TOKENS = {
    **dict.fromkeys(("qwen2_vl", "qwen2_5_vl", "qwen2_5_omni", "qwen2_5_omni_thinker"), 16384),
    **dict.fromkeys(("qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe", "qwen3_omni_moe"), 16384),
    "llama4": 17 * 144,
    "llava_next": 5 * 576,
    "internvl_chat": 13 * 256,
    "internvl": 13 * 256,
}
_FRAMES_OF_TWO = ("qwen2_vl", "qwen2_5_vl", "qwen2_5_omni", "qwen2_5_omni_thinker")
_LONG_VIDEOS = ("qwen3_vl", "qwen3_vl_moe", "qwen3_omni_moe")
# Up to 0.15 the trial run of Qwen 3 took a video of as many frames as a request may have, at most this many tokens.
_SHORT_VIDEOS = (0, 16)
_LONGEST_VIDEO = 153_600
# Frames of a video of Qwen 2 and 2.5 (_MAX_FRAMES_PER_VIDEO), two of which are one picture.
_FRAMES = ((0, 11), 16, 14)
_WITHOUT_LIMIT = 999


@dataclass(frozen=True)
class Vision:
    """An encoder of pictures: its `width` and `feed_forward` in elements, `merge`: patches that become one token, `tokens` of
    the largest picture, `copies`: outputs of a token's width for each token, `family`: the config's model type."""

    family: str
    width: int
    feed_forward: int
    merge: int
    tokens: int
    copies: int = 1


def read_vision(config: Values) -> Vision | None:
    """The encoder of a whole config; None where there is none, or the config does not say how wide it is."""
    for holder in (config, config.get("thinker_config")):
        part = holder.get("vision_config") if isinstance(holder, Mapping) else None
        if isinstance(holder, Mapping) and isinstance(part, Mapping) and part:
            return _read(str(config.get("model_type") or ""), holder, part)
    return None


def _read(family: str, holder: Mapping[str, object], part: Values) -> Vision | None:
    # Qwen2-VL's hidden_size is that of the language model.
    width = whole_number(part, "embed_dim") or whole_number(part, "hidden_size")
    if width is None:
        return None
    ratio = part.get("mlp_ratio")
    ratio = ratio if isinstance(ratio, (int, float)) and not isinstance(ratio, bool) and 0 < ratio < 100 else 4
    side = whole_number(part, "spatial_merge_size") or whole_number(holder, "spatial_merge_size") or 1
    patches = ((whole_number(part, "image_size") or 0) // (whole_number(part, "patch_size") or 14)) ** 2
    tokens = _TOKENS.get(family) or whole_number(holder, "mm_tokens_per_image") or patches // side**2
    merge = side**2 if side > 1 else max(1, patches // tokens) if tokens else 1
    levels = part.get("deepstack_visual_indexes")
    return Vision(
        family=family,
        width=width,
        feed_forward=whole_number(part, "intermediate_size") or int(width * ratio),
        merge=merge,
        tokens=tokens,
        copies=1 + (len(levels) if isinstance(levels, (list, tuple)) else 0),
    )


@dataclass(frozen=True)
class Trial:
    """`patches` that the encoder sees at once, and the `tokens` that come out of it."""

    patches: int = 0
    tokens: int = 0


def trial(
    vision: Vision, limits: Mapping[str, int], length: int, batched: int, seqs: int, version: tuple[int, ...] | None
) -> Trial:
    """The trial run: as many of the largest item as fit into one step, at least one.

    `limits`: items of a kind that a request may bring (`limit-mm-per-prompt`); `length`: max-model-len, `batched` and
    `seqs`: max-num-batched-tokens and max-num-seqs; `version` None: a new release.
    """
    kinds = {"image": vision.tokens}
    if vision.family in _FRAMES_OF_TWO:
        since, before, now = _FRAMES
        frames = before if version is not None and version < since else now
        kinds["video"] = min(frames // 2, length // max(1, vision.tokens)) * vision.tokens
    elif vision.family in _LONG_VIDEOS and version is not None and version < _SHORT_VIDEOS:
        kinds["video"] = min(_LONGEST_VIDEO, length)
    allowed = {kind: size for kind, size in kinds.items() if size and limits.get(kind, _WITHOUT_LIMIT)}
    if not allowed:
        return Trial()
    kind = max(allowed, key=lambda name: allowed[name])
    size = allowed[kind]
    each = max(1, min(limits.get(kind, _WITHOUT_LIMIT), length // size))
    items = max(1, min(max(batched, size) // size, seqs * each))
    return Trial(patches=items * size * vision.merge, tokens=items * size)


def limits_of(written: Any) -> dict[str, int]:
    """`limit-mm-per-prompt` as numbers: {"image": 2}, or {"image": {"count": 2}}."""
    found = {}
    for kind, limit in written.items() if isinstance(written, Mapping) else ():
        count = limit.get("count") if isinstance(limit, Mapping) else limit
        if isinstance(count, int) and not isinstance(count, bool) and count >= 0:
            found[str(kind)] = count
    return found
