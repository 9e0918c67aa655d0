"""What a look says of compile caches, and that it says nothing where no unit would be started."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.look import supplies


@pytest.mark.parametrize(
    ("verbs", "read"),
    [((), []), (("keep", "wait", "remove"), []), (("keep", "start"), ["k"]), (("restart",), ["k"])],
)
def test_caches_are_read_where_an_engine_would_look_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verbs: tuple[str, ...], read: list[str]
) -> None:
    asked: list[str] = []

    def is_placed(key: str) -> bool:
        asked.append(key)
        return True

    monkeypatch.setattr(supplies, "kept", lambda: ["k"])
    monkeypatch.setattr(supplies, "is_placed", is_placed)
    found = supplies.warm("cpu", str(tmp_path), [{"verb": verb} for verb in verbs])
    assert asked == read
    assert found.get("held", {}) == dict.fromkeys(read, True)
    assert bool(found) is bool(read)
