"""Makes a tiny chat model of random weights with an engine's own Python: `<engine>/bin/python tiny.py DIRECTORY`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import lab_models_recipes as recipes

# Heads of 128, as most models have: FlashInfer and the newer FlashAttention have kernels for few other sizes.
recipes.HIDDEN, recipes.HEADS, recipes.LAYERS, recipes.FEED_FORWARD = 512, 4, 4, 1024


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    recipes.RECIPES["tiny-qwen2"](target, target)
