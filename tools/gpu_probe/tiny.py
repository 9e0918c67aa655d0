"""Makes a tiny chat model of random weights with an engine's own Python: `<engine>/bin/python tiny.py DIRECTORY`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
from recipes.decoders import Sizes, qwen2

# Heads of 128, as most models have: FlashInfer and the newer FlashAttention have kernels for few other sizes.
SIZES = Sizes(hidden=512, heads=4, layers=4, feed_forward=1024)


def main(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    qwen2(target, SIZES)
    _speak(target)


def _speak(target: Path) -> None:
    """Have it say letters, whatever the random weights prefer: an answer of special tokens alone reads as an empty one."""
    from safetensors.torch import load_file, save_file
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(target)
    path = target / "model.safetensors"
    tensors = load_file(path)
    head = tensors["lm_head.weight"]
    for index in range(head.shape[0]):
        text = tokenizer.decode([index]).strip() if index < len(tokenizer) else ""
        # Of several hundred random logits the greatest is above zero.
        if not (text.isascii() and text.isalpha()):
            head[index] = 0
    save_file(tensors, path, metadata={"format": "pt"})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
