"""Generations on disk: numbered, whole, three of them, and never without the one that served."""

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.service import generations


def units(text: str, release: str = "0.32.0") -> list[dict[str, str]]:
    return [
        {
            "unit": "vllm-m.service",
            "name": "m",
            "text": text,
            "digest": "d",
            "release": release,
            "weights": "/m",
            "revision": "r",
        }
    ]


def test_each_change_is_numbered_and_names_its_releases(tmp_path: Path) -> None:
    assert [generations.write_generation(tmp_path, units(text)) for text in ("a", "a", "b")] == [1, 1, 2]
    manifest = json.loads((tmp_path / "2" / "manifest.json").read_text())
    assert (manifest["number"], manifest["outcome"], manifest["releases"]) == (2, "pending", ["0.32.0"])
    assert manifest["units"]["vllm-m.service"]["revision"] == "r"
    assert (tmp_path / "2" / "vllm-m.service").read_text() == "b"


def test_the_last_three_stay_and_the_last_that_served_with_them(tmp_path: Path) -> None:
    for number, text in enumerate("abcdef", start=1):
        generations.write_generation(tmp_path, units(text))
        generations.set_outcome(tmp_path, number, "active" if number == 2 else "failed")
        generations.prune(tmp_path)
    assert [g.number for g in generations.read_generations(tmp_path)] == [2, 4, 5, 6]
    last = generations.last_good(tmp_path, 6)
    assert last is not None
    assert last.texts == {"vllm-m.service": "b"}


def test_a_half_written_generation_is_passed_over_and_its_number_not_used_again(tmp_path: Path) -> None:
    generations.write_generation(tmp_path, units("a"))
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "manifest.json").write_text('{"number": 2')
    assert [g.number for g in generations.read_generations(tmp_path)] == [1]
    assert generations.write_generation(tmp_path, units("b")) == 3
    assert not list(tmp_path.glob(".draft-*"))
