"""Tokenizers of the lab's models, as the files that vLLM reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from .files import write_json

VOCABULARY = 640
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
END, PAD, START = "<|im_end|>", "<|endoftext|>", "<|im_start|>"
CHAT_SPECIAL = [PAD, START, END]
# Not "special": parsers must still see them in the text that the tokenizer gives back.
MARKS = ["<think>", "</think>", "<tool_call>", "</tool_call>"]


def byte_level(model: models.BPE) -> Tokenizer:
    """A tokenizer over bytes: every text has tokens, none is unknown."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def trained(special: Sequence[str], marks: Sequence[str] = ()) -> Tokenizer:
    """One that has learnt from CORPUS; ids of ``special`` count from 0."""
    tokenizer = byte_level(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 40,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_tokens([AddedToken(mark, normalized=False, special=False) for mark in marks])
    return tokenizer


def save_tokenizer(target: Path, tokenizer: Tokenizer, settings: Mapping[str, Any], chat_template: str = "") -> None:
    """Write it under the class name that every transformers release knows, not only the newest."""
    tokenizer.save(str(target / "tokenizer.json"))
    write_json(target / "tokenizer_config.json", {**settings, "tokenizer_class": "PreTrainedTokenizerFast"})
    if chat_template:
        (target / "chat_template.jinja").write_text(chat_template, encoding="utf-8")


def save_chat_tokenizer(target: Path, more: Sequence[str] = ()) -> Tokenizer:
    """Train and write one that speaks ChatML; ``more`` are further special tokens."""
    special = [*CHAT_SPECIAL, *more]
    tokenizer = trained(special, MARKS)
    settings = {
        "eos_token": END,
        "pad_token": PAD,
        "extra_special_tokens": [token for token in special if token not in (END, PAD)],
        "model_max_length": POSITIONS,
    }
    save_tokenizer(target, tokenizer, settings, CHAT_TEMPLATE)
    return tokenizer
