"""A hub on loopback for the tests of recipes: the one of the weights' tests, with small models of every shape."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "module_utils" / "weights"))
from recipe_models import COMMIT, QWEN3
from weights_hub import Hub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Hub() as server:
        for model in ("Qwen/Qwen3-4B", "someone/Qwen3-4B-tuned", "Qwen/Qwen3-8B"):
            server.add(model, COMMIT, {"config.json": json.dumps(QWEN3).encode()})
            server.about[model] = {
                "pipeline_tag": "text-generation",
                "lastModified": "2026-11-01T10:00:00.000Z",
                "config": {"architectures": QWEN3["architectures"], "model_type": "qwen3"},
            }
        yield server
