"""A Llama in GGUF, written by llama.cpp's own library, as the files that vLLM serves."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ansible_collections.baremetal.vllm.tools.lab.recipes.llama import from_gguf, halves_apart, hub_name
from ansible_collections.baremetal.vllm.tools.lab.recipes.tensors import Array, bfloat16
from gguf import GGMLQuantizationType, GGUFWriter, TokenType, quantize
from tokenizers import Tokenizer

HIDDEN, HEADS, KV_HEADS, INNER = 64, 4, 2, 96
TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "a", "b", "Ġ", "Ġa", "ab"]


def llama_cpp_order(values: Array, heads: int) -> Array:
    """As convert_hf_to_gguf.py stores the rows of queries and keys."""
    return values.reshape(heads, 2, values.shape[0] // heads // 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_rows_of_queries_and_keys_come_back_to_their_places(heads: int) -> None:
    values = np.arange(64 * 3, dtype=np.float32).reshape(64, 3)
    stored = llama_cpp_order(values, heads)
    assert not (stored == values).all()
    assert (halves_apart(stored, heads) == values).all()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("blk.0.attn_q.weight", "model.layers.0.self_attn.q_proj.weight"),
        ("blk.29.ffn_norm.weight", "model.layers.29.post_attention_layernorm.weight"),
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("output_norm.weight", "model.norm.weight"),
        ("output.weight", "lm_head.weight"),
    ],
)
def test_names_of_a_hub(name: str, expected: str) -> None:
    assert hub_name(name) == expected


@pytest.mark.parametrize("name", ["blk.0.ssm_a.weight", "rope_freqs.weight", "blk.x.attn_q.weight"])
def test_what_a_llama_lacks_is_refused(name: str) -> None:
    with pytest.raises(KeyError):
        hub_name(name)


def shapes() -> dict[str, tuple[int, ...]]:
    grouped = HIDDEN // HEADS * KV_HEADS
    return {
        "token_embd": (len(TOKENS), HIDDEN),
        "output_norm": (HIDDEN,),
        "blk.0.attn_norm": (HIDDEN,),
        "blk.0.ffn_norm": (HIDDEN,),
        "blk.0.attn_q": (HIDDEN, HIDDEN),
        "blk.0.attn_k": (grouped, HIDDEN),
        "blk.0.attn_v": (grouped, HIDDEN),
        "blk.0.attn_output": (HIDDEN, HIDDEN),
        "blk.0.ffn_gate": (INNER, HIDDEN),
        "blk.0.ffn_up": (INNER, HIDDEN),
        "blk.0.ffn_down": (HIDDEN, INNER),
    }


def write_gguf(path: Path, model: dict[str, Array]) -> None:
    writer = GGUFWriter(path, "llama")
    for add, value in (
        (writer.add_block_count, 1),
        (writer.add_context_length, 256),
        (writer.add_embedding_length, HIDDEN),
        (writer.add_feed_forward_length, INNER),
        (writer.add_head_count, HEADS),
        (writer.add_head_count_kv, KV_HEADS),
        (writer.add_rope_freq_base, 10000.0),
        (writer.add_layer_norm_rms_eps, 1e-5),
        (writer.add_vocab_size, len(TOKENS)),
        (writer.add_rope_dimension_count, HIDDEN // HEADS),
        (writer.add_tokenizer_model, "gpt2"),
        (writer.add_token_list, TOKENS),
        (writer.add_token_types, [TokenType.CONTROL] * 3 + [TokenType.NORMAL] * 5),
        (writer.add_token_merges, ["Ġ a", "a b"]),
        (writer.add_bos_token_id, 1),
        (writer.add_eos_token_id, 2),
        (writer.add_unk_token_id, 0),
        (writer.add_pad_token_id, 2),
        (writer.add_chat_template, "{{ messages }}"),
    ):
        add(value)
    for name, values in model.items():
        kept = values
        for part, heads in (("attn_q", HEADS), ("attn_k", KV_HEADS)):
            kept = llama_cpp_order(values, heads) if part in name else kept
        if values.ndim == 1:
            writer.add_tensor(f"{name}.weight", kept)
        else:
            kind = GGMLQuantizationType.Q8_0
            writer.add_tensor(f"{name}.weight", quantize(kept, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_bfloat16(path: Path) -> dict[str, Array]:
    """Tensors as float32."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    found: dict[str, Array] = {}
    for name, entry in header.items():
        if name != "__metadata__":
            assert entry["dtype"] == "BF16"
            start, end = (8 + length + offset for offset in entry["data_offsets"])
            halves = np.frombuffer(data[start:end], dtype=np.uint16).astype(np.uint32) << 16
            found[name] = halves.view(np.float32).reshape(entry["shape"])
    return found


def test_a_whole_model(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    model = {name: random.standard_normal(shape, dtype=np.float32) for name, shape in shapes().items()}
    write_gguf(tmp_path / "model.gguf", model)
    target = tmp_path / "model"
    target.mkdir()
    from_gguf(tmp_path / "model.gguf", target)

    tensors = read_bfloat16(target / "model.safetensors")
    assert tensors.keys() == {hub_name(f"{name}.weight") for name in model}
    for name, values in model.items():
        # Eight bits for each of 32 neighbours, and bfloat16's own eight.
        assert np.abs(tensors[hub_name(f"{name}.weight")] - values).max() < 0.04, name
    norm = (bfloat16(model["output_norm"]).astype(np.uint32) << 16).view(np.float32)
    assert (tensors["model.norm.weight"] == norm).all()

    config = json.loads((target / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert (config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]) == (HIDDEN, INNER, 1)
    assert (config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]) == (HEADS, KV_HEADS, 16)
    # It has no `output.weight`: the embedding serves twice.
    assert config["tie_word_embeddings"] is True
    assert (config["bos_token_id"], config["eos_token_id"], config["vocab_size"]) == (1, 2, len(TOKENS))

    tokenizer = Tokenizer.from_file(str(target / "tokenizer.json"))
    assert tokenizer.encode("ab a<|im_end|>").tokens == ["ab", "Ġa", "<|im_end|>"]
    assert tokenizer.decode([7, 6, 2]) == "ab a"
    assert json.loads((target / "tokenizer_config.json").read_text())["eos_token"] == "<|im_end|>"
    assert (target / "chat_template.jinja").read_text() == "{{ messages }}"
