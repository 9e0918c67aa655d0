"""tools/recipes.py: from a source distribution to facts, and what it will not pass over in silence."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.model import FILE, load

sys.path.insert(0, str(Path(__file__).parents[5] / "tools"))
import recipes

RECIPE = """\
meta:
  title: "Small"
  description: "A sentence that nobody needs."
  tasks: [text]
  hardware: {h200: verified, mi300x: unsupported}
model:
  model_id: "org/Small"
  min_vllm_version: "0.9.0"
  base_args: ["--max-num-seqs", 32, "--trust-remote-code"]
  base_env: {SWITCH: 1, WORD: true}
features:
  tool_calling:
    description: "Prose"
    args: ["--enable-auto-tool-choice"]
    hardware_overrides: {amd: {args: ["--block-size", "64"]}}
opt_in_features: [tool_calling]
variants:
  default: {precision: bf16, vram_minimum_gb: 20, description: "Prose", supported_hardware: [h200]}
  half: {precision: fp8, vram_minimum_gb: 10, model_id: org/Small-FP8, tp: {h200: 2}, extra_env: {A: "b"}}
compatible_strategies: [single_node_tp, multi_node_tp]
strategy_overrides:
  single_node_tp: {tp: 2, extra_args: ["--a"], vllm_args: ["--b"]}
  multi_node_tp: {extra_args: ["--nnodes", "2"]}
dependencies:
  - {note: "Prose", command: "uv pip install x", optional: true}
guide: "A long text."
"""


def tree(root: Path, name: str = "vllm-9.9.9", text: str = RECIPE) -> Path:
    file = root / name / "recipes" / "models" / "org" / "Small.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return root / name


def test_facts_are_taken_and_prose_is_left(tmp_path: Path) -> None:
    facts, strange = recipes.document("9.9.9", tree(tmp_path))
    assert strange == []
    assert facts["recipes"]["org/Small"] == {
        "args": ["--max-num-seqs", "32", "--trust-remote-code"],
        "by_strategy": {"single_node_tp": {"tp": 2, "args": ["--a", "--b"]}},
        "env": {"SWITCH": "1", "WORD": "true"},
        "features": {
            "tool_calling": {"args": ["--enable-auto-tool-choice"], "on": {"amd": {"args": ["--block-size", "64"]}}}
        },
        "hardware": {"h200": "verified", "mi300x": "unsupported"},
        "model": "org/Small",
        "needs": [{"install": "uv pip install x", "optional": True}],
        "opt_in": ["tool_calling"],
        "since": "0.9.0",
        "strategies": ["single_node_tp", "multi_node_tp"],
        "tasks": ["text"],
        "variants": {
            "default": {"precision": "bf16", "gb": 20, "hardware": ["h200"]},
            "half": {"precision": "fp8", "gb": 10, "model": "org/Small-FP8", "tp": {"h200": 2}, "env": {"A": "b"}},
        },
    }
    text = recipes.rendered(facts)
    assert "nobody needs" not in text
    assert "nnodes" not in text
    assert json.loads(text) == facts


def test_an_archive_says_the_same_as_its_directory(tmp_path: Path) -> None:
    folder = tree(tmp_path)
    archive = tmp_path / "vllm-9.9.9.tar.gz"
    with tarfile.open(archive, "w:gz") as sdist:
        sdist.add(folder, "vllm-9.9.9")
        strange = tarfile.TarInfo("vllm-9.9.9/recipes/models/org/deep/Not.yaml")
        strange.size = 1
        sdist.addfile(strange, io.BytesIO(b"x"))
    assert recipes.document("9.9.9", archive) == recipes.document("9.9.9", folder)
    target = tmp_path / "facts.json"
    recipes.main(str(archive), target)
    assert json.loads(target.read_text())["release"] == "9.9.9"


NEW = [
    ("guide:", "colour: blue\nguide:", "colour"),
    ("    args: [", "    shade: 1\n    args: [", "features.shade"),
    ("model_id: org/Small-FP8", "model_id: org/Small-FP8, weight: 3", "variants.weight"),
    ("amd: {args", "amd: {speed: 1, args", "features.hardware_overrides.speed"),
]


@pytest.mark.parametrize(("old", "new", "told"), NEW)
def test_a_key_that_nobody_has_looked_at_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, told: str
) -> None:
    folder = tree(tmp_path, text=RECIPE.replace(old, new))
    recipes.main(str(folder), tmp_path / "facts.json")
    assert f"{told} is new in the recipes" in capsys.readouterr().out


def test_what_older_releases_have_replaces_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "facts.json"
    recipes.main(str(tree(tmp_path)), target)
    before = target.read_text()
    (tmp_path / "vllm-0.32.0").mkdir()
    recipes.main(str(tmp_path / "vllm-0.32.0"), target)
    recipes.main(str(tree(tmp_path, "vllm-9.9.8")), target)
    said = capsys.readouterr().out
    assert "0.32.0: no recipes" in said
    assert "9.9.8: the recipes of 9.9.9, which is newer, are kept" in said
    assert target.read_text() == before
    recipes.main(str(tree(tmp_path, "vllm-9.10.0")), target)
    assert json.loads(target.read_text())["release"] == "9.10.0"


def test_what_is_no_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="not a source distribution"):
        recipes.main(str(tmp_path), tmp_path / "facts.json")
    with pytest.raises(ValueError, match="org/Small: not a recipe"):
        recipes.document("9.9.9", tree(tmp_path, text="meta: {}\n"))
    assert not (tmp_path / "facts.json").exists()


def test_the_file_of_the_collection_is_whole_and_as_the_tool_writes_it() -> None:
    facts = json.loads(FILE.read_text())
    assert recipes.rendered(facts) == FILE.read_text()
    read = load()
    assert (read.release, len(read.recipes)) == ("0.33.0", 188)
    for recipe in read.recipes.values():
        assert "default" in recipe.variants
        assert all(variant.gb > 0 and variant.model for variant in recipe.variants.values())
