"""Generations on disk: numbered, whole, three of them, and never without the one that served."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.installed import used_by_generations
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.prune import prunable
from ansible_collections.baremetal.vllm.plugins.module_utils.units import generations
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import PlannedUnit
from hypothesis import given
from hypothesis import strategies as st


def units(text: str, release: str = "0.32.0") -> list[PlannedUnit]:
    return [PlannedUnit("vllm-m.service", text, "d", name="m", release=release, weights="/m", revision="r")]


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


def outcomes(root: Path, *ended: str) -> None:
    """Generations 1, 2, … with these outcomes, each of other texts, pruned as model_service does."""
    for number, outcome in enumerate(ended, start=1):
        generations.write_generation(root, units(str(number)))
        generations.set_outcome(root, number, outcome)
        generations.prune(root)


@pytest.mark.parametrize(
    ("ended", "kept", "good"),
    [
        (["proven", "failed", "failed", "failed", "failed"], [1, 3, 4, 5], 1),
        (["proven", "active", "failed", "failed", "failed"], [1, 2, 3, 4, 5], 2),
        # The newest answers and is yet to be judged: what it would be taken back to must still be there.
        (["proven", "failed", "failed", "failed", "active"], [1, 3, 4, 5], 1),
        (["proven", "proven", "proven", "proven", "pending"], [3, 4, 5], 4),
        (["failed", "failed"], [1, 2], None),
    ],
)
def test_what_one_may_have_to_go_back_to_is_kept(
    ended: list[str], kept: list[int], good: int | None, tmp_path: Path
) -> None:
    outcomes(tmp_path, *ended)
    assert [g.number for g in generations.read_generations(tmp_path)] == kept
    last = generations.last_good(tmp_path, len(ended))
    assert (last.number if last else None) == good


@given(st.lists(st.sampled_from(("pending", "active", "proven", "failed")), min_size=1, max_size=12))
def test_however_changes_end_the_last_three_and_a_way_back_stay(ended: list[str]) -> None:
    with tempfile.TemporaryDirectory() as root:
        outcomes(Path(root), *ended)
        there = {g.number for g in generations.read_generations(Path(root))}
    served = [n for n, outcome in enumerate(ended[:-1], start=1) if outcome in generations.SERVED]
    assert there >= set(range(max(1, len(ended) - 2), len(ended) + 1)) | set(served[-1:])
    assert len(there) <= generations.KEPT + 2


@pytest.mark.parametrize(
    ("found", "told", "after"),
    [
        ("pending", "active", "active"),
        ("active", "proven", "proven"),
        ("proven", "active", "proven"),
        ("proven", "failed", "failed"),
        ("failed", "active", "active"),
    ],
)
def test_a_proven_generation_that_answers_again_stays_proven(found: str, told: str, after: str, tmp_path: Path) -> None:
    outcomes(tmp_path, found)
    assert generations.set_outcome(tmp_path, 1, told) is (after != found)
    assert generations.read_generations(tmp_path)[0].outcome == after


def test_another_try_of_the_same_units_is_pending_again_and_says_whose_plan_it_is(tmp_path: Path) -> None:
    outcomes(tmp_path, "failed")
    assert generations.write_generation(tmp_path, units("1"), "a plan") == 1
    (again,) = generations.read_generations(tmp_path)
    assert (again.outcome, again.plan) == ("pending", "a plan")


@pytest.mark.parametrize(
    ("installed", "current", "before"),
    [
        ({"vllm-m.service": "3"}, 3, 3),
        ({"vllm-m.service": "2"}, 2, 2),
        # Edited by hand, or half gone back: what served last.
        ({"vllm-m.service": "x"}, 0, 2),
        ({}, 0, 2),
    ],
)
def test_the_current_generation_is_the_one_whose_units_are_installed(
    installed: dict[str, str], current: int, before: int, tmp_path: Path
) -> None:
    outcomes(tmp_path, "proven", "active", "failed")
    kept = generations.read_generations(tmp_path)
    assert generations.current(kept, installed) == current
    assert generations.before_change(kept, installed) == before


def test_one_that_is_not_kept_is_refused_with_those_that_are(tmp_path: Path) -> None:
    outcomes(tmp_path, "proven", "failed")
    with pytest.raises(generations.NotKeptError, match=r"generation 7 .* kept are 1 \(.*proven\), 2 \(.*failed\)"):
        generations.find(generations.read_generations(tmp_path), 7)


def test_engines_of_kept_generations_are_never_pruned(tmp_path: Path) -> None:
    for number, release in enumerate(["0.30.0", "0.31.0", "0.32.0", "0.33.0", "0.33.0"], start=1):
        generations.write_generation(tmp_path, units(str(number), release))
        generations.set_outcome(tmp_path, number, "proven")
        generations.prune(tmp_path)
    used = used_by_generations(f"{tmp_path}/*/manifest.json")
    there = ["0.29.0", "0.30.0", "0.31.0", "0.32.0", "0.33.0"]
    assert prunable(there, ["0.33.0"], used) == ["0.29.0", "0.30.0", "0.31.0"]
