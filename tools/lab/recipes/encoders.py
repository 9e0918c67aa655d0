"""Random models that give a text numbers: names, shapes and settings are those of transformers' XLM-RoBERTa."""

from __future__ import annotations

from pathlib import Path

from tokenizers import processors

from .files import write_json
from .tensors import (
    Shapes,
    below,
    draw,
    linear,
    write_safetensors,
)
from .tokens import VOCABULARY, save_tokenizer, trained

HIDDEN, HEADS, LAYERS, FEED_FORWARD = 64, 2, 2, 128
POSITIONS = 514


def tiny_reranker(packages: Path, target: Path) -> None:
    """A random XLM-RoBERTa cross-encoder with one label (the architecture of bce-reranker-base_v1)."""
    _xlm_roberta(target, 1)


def tiny_classifier(packages: Path, target: Path) -> None:
    """A random XLM-RoBERTa classifier with three labels."""
    _xlm_roberta(target, 3)


def _xlm_roberta(target: Path, labels: int) -> None:
    # The order gives the ids that the architecture is used to: positions start behind the padding id 1.
    tokenizer = trained(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    settings = {
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
        "model_max_length": 512,
    }
    save_tokenizer(target, tokenizer, settings)
    write_safetensors(target / "model.safetensors", draw(_shapes(labels)))
    names = [f"LABEL_{number}" for number in range(labels)]
    config = {
        "architectures": ["XLMRobertaForSequenceClassification"],
        "model_type": "xlm-roberta",
        "dtype": "float32",
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "max_position_embeddings": POSITIONS,
        # transformers no longer writes this key, and vLLM asks for it.
        "position_embedding_type": "absolute",
        "type_vocab_size": 1,
        "id2label": {str(number): name for number, name in enumerate(names)},
        "label2id": {name: number for number, name in enumerate(names)},
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }
    write_json(target / "config.json", config)


def _shapes(labels: int) -> Shapes:
    norm: Shapes = {"LayerNorm.weight": (HIDDEN,), "LayerNorm.bias": (HIDDEN,)}
    layer = {
        **linear("attention.self.query", HIDDEN, HIDDEN),
        **linear("attention.self.key", HIDDEN, HIDDEN),
        **linear("attention.self.value", HIDDEN, HIDDEN),
        **linear("attention.output.dense", HIDDEN, HIDDEN),
        **below("attention.output.", norm),
        **linear("intermediate.dense", FEED_FORWARD, HIDDEN),
        **linear("output.dense", HIDDEN, FEED_FORWARD),
        **below("output.", norm),
    }
    shapes: Shapes = {
        "roberta.embeddings.word_embeddings.weight": (VOCABULARY, HIDDEN),
        "roberta.embeddings.position_embeddings.weight": (POSITIONS, HIDDEN),
        "roberta.embeddings.token_type_embeddings.weight": (1, HIDDEN),
        **below("roberta.embeddings.", norm),
        **linear("classifier.dense", HIDDEN, HIDDEN),
        **linear("classifier.out_proj", labels, HIDDEN),
    }
    for number in range(LAYERS):
        shapes |= below(f"roberta.encoder.layer.{number}.", layer)
    return shapes
