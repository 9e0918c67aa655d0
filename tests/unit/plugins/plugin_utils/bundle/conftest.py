"""A fleet of one host, its control node, and a hub on loopback."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "module_utils" / "weights"))
from bundle_site import COMMIT, REPO, Site
from weights_hub import Hub


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with Hub() as hub:
        files = {
            "README.md": b"# Tiny",
            "config.json": b'{"model_type": "llama"}',
            "model.safetensors": os.urandom(1 << 20),
            "pytorch_model.bin": b"the same again",
        }
        hub.add(REPO, COMMIT, files)
        yield Site(tmp_path, hub)
