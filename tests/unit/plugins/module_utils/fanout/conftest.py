"""Fixtures of the fan-out's tests: one run's certificate, members that are gone afterwards."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fanout import certificate
from fanout_members import Run


@pytest.fixture(scope="session")
def credential() -> str:
    return str(certificate.make())


@pytest.fixture
def run(tmp_path: Path, credential: str) -> Iterator[Run]:
    made = Run(tmp_path, credential)
    yield made
    for member in made.members:
        member.kill()
