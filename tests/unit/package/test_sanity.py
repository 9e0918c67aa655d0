"""What ansible-test is told to overlook: little, and each with a reason (tests/sanity/ignore-*.txt)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FIRST, LAST = map(int, re.findall(r'"ansible-core>=2\.(\d+),<2\.(\d+)"', (ROOT / "pyproject.toml").read_text())[0])


@pytest.mark.parametrize("release", range(FIRST, LAST))
def test_each_supported_ansible_core_overlooks_little_and_says_why(release: int) -> None:
    lines = (ROOT / f"tests/sanity/ignore-2.{release}.txt").read_text().splitlines()
    assert len(lines) <= 25
    assert [line for line in lines if not re.fullmatch(r"\S+ \S+ # \S.*", line)] == []
