"""A Llama in GGUF, llama.cpp's format, as the files that vLLM serves: settings, tokenizer, bfloat16 safetensors.

Names of fields: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, TokenType, dequantize
from tokenizers import AddedToken, models

from .files import write_json
from .tensors import Array, bfloat16, write_safetensors
from .tokens import CHAT_TEMPLATE, byte_level, save_tokenizer

_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OUTSIDE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def from_gguf(source: Path, target: Path) -> None:
    """Write the model of a GGUF file into ``target``. Raises KeyError: for a field or a tensor that a Llama does not have."""
    reader = GGUFReader(source)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    heads = (fields["llama.attention.head_count"], fields["llama.attention.head_count_kv"])
    tensors: dict[str, Array] = {}
    for tensor in reader.tensors:
        name = hub_name(tensor.name)
        # As a plain array: numpy does more for each slice of a mapped file than the sums take.
        values = dequantize(np.asarray(tensor.data), tensor.tensor_type)
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            values = halves_apart(values, heads["k_proj" in name])
        tensors[name] = bfloat16(values)
    write_safetensors(target / "model.safetensors", tensors)
    _write_settings(target, fields, tied="lm_head.weight" not in tensors)
    _write_tokenizer(target, fields)


def hub_name(name: str) -> str:
    """`blk.3.attn_q.weight` is `model.layers.3.self_attn.q_proj.weight` on a hub. Raises KeyError: for what a Llama lacks."""
    stem, _, kind = name.rpartition(".")
    layer = re.fullmatch(r"blk\.(\d+)\.(\w+)", stem)
    return f"model.layers.{layer[1]}.{_LAYER[layer[2]]}.{kind}" if layer else f"{_OUTSIDE[stem]}.{kind}"


def halves_apart(values: Array, heads: int) -> Array:
    """Undo llama.cpp's order of a head's rows: it turns neighbours, transformers a row of the first half with one of the second.

    ``permute`` in https://github.com/ggml-org/llama.cpp/blob/master/convert_hf_to_gguf.py is the way there.
    """
    rows, columns = values.shape
    return np.ascontiguousarray(values.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2)).reshape(
        values.shape
    )


def _write_settings(target: Path, fields: Mapping[str, Any], *, tied: bool) -> None:
    tokens = {
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"],
        "pad_token_id": fields["tokenizer.ggml.padding_token_id"],
    }
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "vocab_size": fields["llama.vocab_size"],
        "hidden_size": fields["llama.embedding_length"],
        "intermediate_size": fields["llama.feed_forward_length"],
        "num_hidden_layers": fields["llama.block_count"],
        "num_attention_heads": fields["llama.attention.head_count"],
        "num_key_value_heads": fields["llama.attention.head_count_kv"],
        "head_dim": fields["llama.rope.dimension_count"],
        "max_position_embeddings": fields["llama.context_length"],
        "rms_norm_eps": fields["llama.attention.layer_norm_rms_epsilon"],
        "rope_parameters": {"rope_type": "default", "rope_theta": fields["llama.rope.freq_base"]},
        "tie_word_embeddings": tied,
    }
    write_json(target / "config.json", {**config, **tokens})
    write_json(target / "generation_config.json", tokens)


def _write_tokenizer(target: Path, fields: Mapping[str, Any]) -> None:
    tokens: list[str] = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = byte_level(models.BPE(vocabulary, merges))
    types = fields["tokenizer.ggml.token_type"]
    special = [token for token, kind in zip(tokens, types, strict=True) if kind == TokenType.CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    settings = {
        "bos_token": tokens[fields["tokenizer.ggml.bos_token_id"]],
        "eos_token": tokens[fields["tokenizer.ggml.eos_token_id"]],
        "pad_token": tokens[fields["tokenizer.ggml.padding_token_id"]],
        "unk_token": tokens[fields["tokenizer.ggml.unknown_token_id"]],
    }
    save_tokenizer(target, tokenizer, settings, fields.get("tokenizer.chat_template") or CHAT_TEMPLATE)
