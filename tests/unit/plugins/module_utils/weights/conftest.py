"""Fixtures of the weights' tests: a hub on loopback and a host's directories."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from ansible_collections.baremetal.vllm.plugins.module_utils.weights import job
from weights_host import COMMIT, REPO, Host
from weights_hub import Hub


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        server.add(
            REPO,
            COMMIT,
            {
                ".gitattributes": b"x",
                "README.md": b"# Tiny",
                "config.json": b'{"model_type": "llama"}',
                "tokenizer/vocab.txt": "wörter\n".encode(),
                "model.safetensors": os.urandom(3 << 20),
                "pytorch_model.bin": b"the same again",
                "original/consolidated.00.pth": b"and again",
            },
        )
        yield server


@pytest.fixture
def host(tmp_path: Path, hub: Hub) -> Iterator[Host]:
    made = Host(tmp_path, hub.endpoint)
    yield made
    status = job.poll(made.run_dir)
    if status["alive"]:
        os.kill(status["pid"], signal.SIGKILL)
