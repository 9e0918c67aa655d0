"""Fingerprints against what gpg 2.2.40 printed for the keys in data/keys (made for this test alone)."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.key import fingerprints
from hypothesis import given
from hypothesis import strategies as st

KEYS = Path(__file__).parent / "data" / "keys"
ED25519 = "EF4E9CFCC225467BA357BAE747C346D3E44BC624"
RSA = "04EFF5638044253A951A6014C9510BF279FC8D28"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("ed25519.asc", [ED25519]), ("rsa.gpg", [RSA]), ("two.asc", [ED25519, RSA])],
)
def test_fingerprints_are_those_that_gpg_prints(name: str, expected: list[str]) -> None:
    assert fingerprints((KEYS / name).read_bytes()) == expected


def test_line_ends_of_another_system_do_not_matter() -> None:
    text = (KEYS / "ed25519.asc").read_bytes().replace(b"\n", b"\r\n")
    assert fingerprints(text) == [ED25519]


@given(st.binary(max_size=200))
def test_whatever_is_no_key_has_no_fingerprint(data: bytes) -> None:
    assert all(len(found) == 40 for found in fingerprints(data))
    assert fingerprints(b"<html>" + data) == []


def test_a_key_that_was_changed_has_another_fingerprint() -> None:
    key = bytearray((KEYS / "rsa.gpg").read_bytes())
    key[30] ^= 1
    assert fingerprints(bytes(key)) not in ([RSA], [])
