"""Random models that write text: names, shapes and settings are those of transformers' own classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from .files import write_json
from .tensors import (
    Shapes,
    below,
    bfloat16,
    draw,
    linear,
    write_safetensors,
)
from .tokens import (
    END,
    PAD,
    POSITIONS,
    VOCABULARY,
    save_chat_tokenizer,
)


@dataclass(frozen=True)
class Sizes:
    """How wide and how deep a model is."""

    hidden: int
    heads: int
    layers: int
    feed_forward: int


# Heads of 32 are the smallest that vLLM's CPU attention has a kernel for.
SMALL = Sizes(hidden=64, heads=2, layers=2, feed_forward=128)
VISION_SPECIAL = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
# Pixels a side of a patch, images that make one in time, patches a side that make one token.
PATCH, FRAMES, MERGED = 14, 2, 2


def tiny_qwen2(packages: Path, target: Path) -> None:
    """A random Qwen2 (the architecture of DeepSeek-R1-Distill-Qwen) whose tokenizer knows <think> and <tool_call>."""
    qwen2(target, SMALL)


def qwen2(target: Path, sizes: Sizes) -> None:
    """The same in any size."""
    tokenizer = save_chat_tokenizer(target)
    text = {**_text_settings(tokenizer, sizes), "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}
    config = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "dtype": "bfloat16"}
    _save(target, {**config, **text}, _text_shapes(sizes), tokenizer)


def tiny_lora(packages: Path, target: Path) -> None:
    """A random LoRA adapter for tiny-qwen2 in PEFT's two files."""
    rank, modules = 8, ("q_proj", "v_proj")
    shapes: Shapes = {}
    for layer in range(SMALL.layers):
        for module in modules:
            stem = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            shapes |= {f"{stem}.lora_A.weight": (rank, SMALL.hidden), f"{stem}.lora_B.weight": (SMALL.hidden, rank)}
    # Large enough that answers differ from those of the model alone.
    write_safetensors(target / "adapter_model.safetensors", draw(shapes, spread=0.5))
    write_json(
        target / "adapter_config.json",
        {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": "tiny-qwen2",
            "r": rank,
            "lora_alpha": 2 * rank,
            "lora_dropout": 0.0,
            "target_modules": list(modules),
            "bias": "none",
            "fan_in_fan_out": False,
            "inference_mode": True,
            "modules_to_save": None,
        },
    )


def tiny_qwen2_5_vl(packages: Path, target: Path) -> None:
    """A random Qwen2.5-VL with a complete processor: an image of 224 x 224 becomes 64 prompt tokens."""
    tokenizer = save_chat_tokenizer(target, VISION_SPECIAL)
    text = {
        **_text_settings(tokenizer, SMALL),
        "model_type": "qwen2_5_vl_text",
        # The three sections (time, height, width) split half a head's 32 dimensions.
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]},
    }
    vision = {
        "model_type": "qwen2_5_vl_vision",
        "depth": SMALL.layers,
        "hidden_size": SMALL.hidden,
        "intermediate_size": SMALL.feed_forward,
        "num_heads": SMALL.heads,
        "out_hidden_size": SMALL.hidden,
        "patch_size": PATCH,
        "spatial_merge_size": MERGED,
        "temporal_patch_size": FRAMES,
        "window_size": 112,
        "fullatt_block_indexes": [1],
    }
    config = {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        "dtype": "bfloat16",
        "text_config": text,
        "vision_config": vision,
        "image_token_id": tokenizer.token_to_id("<|image_pad|>"),
        "video_token_id": tokenizer.token_to_id("<|video_pad|>"),
        "vision_start_token_id": tokenizer.token_to_id("<|vision_start|>"),
        "vision_end_token_id": tokenizer.token_to_id("<|vision_end|>"),
        "tie_word_embeddings": False,
    }
    _save(target, config, {**_text_shapes(SMALL), **_vision_shapes(SMALL)}, tokenizer)
    image = {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "merge_size": MERGED,
        "patch_size": PATCH,
        "temporal_patch_size": FRAMES,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"shortest_edge": 56 * 56, "longest_edge": 448 * 448},
        "min_pixels": 56 * 56,
        "max_pixels": 448 * 448,
        "processor_class": "Qwen2_5_VLProcessor",
    }
    write_json(target / "preprocessor_config.json", {**image, "image_processor_type": "Qwen2VLImageProcessor"})
    write_json(target / "video_preprocessor_config.json", {**image, "video_processor_type": "Qwen2VLVideoProcessor"})


def _text_settings(tokenizer: Tokenizer, sizes: Sizes) -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": sizes.hidden,
        "intermediate_size": sizes.feed_forward,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "num_key_value_heads": sizes.heads,
        "max_position_embeddings": POSITIONS,
        "bos_token_id": None,
        "eos_token_id": tokenizer.token_to_id(END),
        "pad_token_id": tokenizer.token_to_id(PAD),
        "tie_word_embeddings": False,
    }


def _text_shapes(sizes: Sizes) -> Shapes:
    """What Qwen2 and the text half of Qwen2.5-VL consist of."""
    hidden, inner = sizes.hidden, sizes.feed_forward
    layer = {
        **linear("self_attn.q_proj", hidden, hidden),
        **linear("self_attn.k_proj", hidden, hidden),
        **linear("self_attn.v_proj", hidden, hidden),
        **linear("self_attn.o_proj", hidden, hidden, bias=False),
        **linear("mlp.gate_proj", inner, hidden, bias=False),
        **linear("mlp.up_proj", inner, hidden, bias=False),
        **linear("mlp.down_proj", hidden, inner, bias=False),
        "input_layernorm.weight": (hidden,),
        "post_attention_layernorm.weight": (hidden,),
    }
    shapes: Shapes = {
        "lm_head.weight": (VOCABULARY, hidden),
        "model.embed_tokens.weight": (VOCABULARY, hidden),
        "model.norm.weight": (hidden,),
    }
    for number in range(sizes.layers):
        shapes |= below(f"model.layers.{number}.", layer)
    return shapes


def _vision_shapes(sizes: Sizes) -> Shapes:
    """What sees in Qwen2.5-VL."""
    hidden, inner = sizes.hidden, sizes.feed_forward
    block = {
        **linear("attn.qkv", 3 * hidden, hidden),
        **linear("attn.proj", hidden, hidden),
        **linear("mlp.gate_proj", inner, hidden),
        **linear("mlp.up_proj", inner, hidden),
        **linear("mlp.down_proj", hidden, inner),
        "norm1.weight": (hidden,),
        "norm2.weight": (hidden,),
    }
    merged = MERGED * MERGED * hidden
    shapes: Shapes = {
        "visual.patch_embed.proj.weight": (hidden, 3, FRAMES, PATCH, PATCH),
        "visual.merger.ln_q.weight": (hidden,),
        **linear("visual.merger.mlp.0", merged, merged),
        **linear("visual.merger.mlp.2", hidden, merged),
    }
    for number in range(sizes.layers):
        shapes |= below(f"visual.blocks.{number}.", block)
    return shapes


def _save(target: Path, config: dict[str, Any], shapes: Shapes, tokenizer: Tokenizer) -> None:
    tensors = {name: bfloat16(tensor) for name, tensor in draw(shapes).items()}
    write_safetensors(target / "model.safetensors", tensors)
    write_json(target / "config.json", config)
    ends = {"eos_token_id": tokenizer.token_to_id(END), "pad_token_id": tokenizer.token_to_id(PAD)}
    write_json(target / "generation_config.json", ends)
