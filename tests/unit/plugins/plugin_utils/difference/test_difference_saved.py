"""A saved difference holds while plan and hosts are what they were; whatever has moved is named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.saved import (
    NoDifferenceError,
    moved,
    read_saved,
)

MODEL = {
    "model": "m", "unit": "vllm-m.service", "change": "restarted", "why": "port 1 → 2",
    "causes": [{"what": "option", "name": "port", "before": "1", "after": "2"}], "drop_ins": [],
}  # fmt: skip
SAME = {**MODEL, "model": "n", "unit": "vllm-n.service", "change": "unchanged", "why": "as planned", "causes": []}
FILE = {"topic": "units", "item": "(file)", "change": "rewritten", "why": "/etc/x"}
HOST = {"status": "read", "models": [MODEL, SAME], "changes": [FILE]}
DOCUMENT: dict[str, Any] = {"schema": 1, "digest": "d", "differences": {"hosts": {"h1": HOST, "h2": HOST}}}


def now(host: str = "h1", **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(DOCUMENT))
    found["differences"]["hosts"][host].update(changes)
    return found


def test_it_holds_while_nothing_has_moved() -> None:
    assert moved(json.loads(json.dumps(DOCUMENT)), DOCUMENT) == []


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({**DOCUMENT, "digest": "e"}, ["the inventory plans something else now"]),
        (
            now(models=[{**MODEL, "why": "port 1 → 3"}, SAME]),
            ["h1: m (vllm-m.service) would be restarted (port 1 → 3) now, and was to be restarted (port 1 → 2)"],
        ),
        (now(models=[SAME]), ["h1: m (vllm-m.service) was to be restarted (port 1 → 2), and is as planned now"]),
        (
            now(changes=[FILE, {**FILE, "why": "/etc/y"}]),
            ["h1: file /etc/y would be rewritten (/etc/y) now, and was to be left as it was"],
        ),
        (now(changes=[]), ["h1: file /etc/x was to be rewritten (/etc/x), and is as planned now"]),
        # Hosts that are lost now are lost to the run as well.
        (now(status="unreachable"), []),
        # What others changed and nobody would change is not part of it.
        (now(models=[{**MODEL, "drop_ins": [{"path": "/etc/z"}]}, SAME]), []),
    ],
)
def test_what_has_moved_is_named(found: Any, told: list[str]) -> None:
    assert moved(DOCUMENT, found) == told


def test_a_host_that_was_not_read_then_was_not_agreed_to() -> None:
    assert moved(now("h2", status="unreachable"), DOCUMENT) == ["h2: it was unreachable when the difference was saved"]
    before = now()
    del before["differences"]["hosts"]["h2"]
    assert moved(before, DOCUMENT) == ["h2: it was not asked when the difference was saved"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is no JSON"),
        ("[]", "its schema is None"),
        ('{"schema": 7}', "its schema is 7"),
        ('{"schema": 1, "differences": null}', "no host was asked"),
    ],
)
def test_what_is_no_difference_is_refused(text: str, why: str) -> None:
    with pytest.raises(NoDifferenceError, match=why):
        read_saved(text, 1)
