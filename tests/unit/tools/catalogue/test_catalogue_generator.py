"""The generator, on a source tree of a few lines that imports as much as vLLM does and has none of it installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.tools.catalogue import __main__ as command
from ansible_collections.baremetal.vllm.tools.catalogue import generate, sources
from ansible_collections.baremetal.vllm.tools.catalogue.deprecation import deprecation
from ansible_collections.baremetal.vllm.tools.catalogue.parser import Result, accepts


@pytest.fixture(scope="module")
def facts(tree: Path) -> dict[str, Any]:
    found, doubts = generate.facts(tree)
    assert doubts == []
    return found


def test_the_options(facts: dict[str, Any]) -> None:
    serve = {"group": "ServeConfig"}
    assert facts["options"] == {
        "help": {"short": ["h"], "arity": "flag", "type": "bool"},
        "share": {"aliases": ["portion"], "type": "float", "bounds": {"gt": 0, "le": 1}, "default": 0.9, **serve},
        "size": {"type": "size", "nullable": True, **serve},
        "eager": {
            "negatives": ["no-eager"],
            "arity": "flag",
            "type": "bool",
            "default": False,
            "deprecated": "use --size",
            **serve,
        },
        "kind": {"choices": ["a", "b"], "default": "a", **serve},
        "engine-config": {"short": ["ec"], "type": "config", "config": "EngineConfig", "default": {}},
        "draft-config": {"type": "json", "config": "DraftConfig"},
        "names": {"arity": "list"},
        "middleware": {"arity": "repeated", "default": []},
        "reasoning-parser": {"default": "", "suggestions": ["think"]},
        # Its default comes from a package that is not there.
        "threads": {"type": "int", "computed": True},
    }


def test_the_dataclasses(facts: dict[str, Any]) -> None:
    assert facts["configs"] == {
        "EngineConfig": {
            "extra": "refused",
            "fields": {
                "level": {"type": "int", "default": 0},
                "mode": {"type": "caseless", "nullable": True, "choices": [1, 2, "FAST", "SAFE"]},
                "inner": {"type": "config", "config": "Inner", "default": {}},
                "dtype": {"type": "any", "nullable": True},
                "names": {"type": "str", "many": True, "default": []},
            },
        },
        "Inner": {"extra": "refused", "fields": {"depth": {"type": "int", "bounds": {"ge": 1}, "default": 2}}},
        "DraftConfig": {
            "extra": "ignored",
            "fields": {
                "model": {"type": "str", "required": True},
                "tokens": {"type": "int", "bounds": {"gt": 0}, "default": 3},
            },
        },
    }


def test_the_variables_and_the_wheel(facts: dict[str, Any]) -> None:
    assert facts["environment"] == {
        "VLLM_MAIN_CUDA_VERSION": {"type": "str", "default": "12.9"},
        "VLLM_PORT": {"type": "int"},
        "VLLM_SWITCH": {"type": "bool", "default": False},
        "VLLM_WORDS": {"type": "truth", "default": False},
        "VLLM_EITHER": {"type": "switch", "default": False},
        # It stands for another variable.
        "VLLM_OTHERS": {"type": "bool", "default": False},
        "VLLM_ROOT": {"type": "str", "computed": True},
        "VLLM_MODE": {"type": "caseless", "choices": ["a", "b", "c"], "default": "a"},
        "VLLM_LEFT": {"type": "any", "computed": True},
    }
    assert facts["wheel"] == {"cuda": "12.9", "capabilities": ["7.0", "12.0"], "python": ">=3.10,<3.14"}


def copy(tree: Path, to: Path, **changed: str) -> Path:
    for path in tree.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            target = to / path.relative_to(tree)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(changed.get(path.name.replace(".", "_"), path.read_text()))
    return to


def test_what_stand_ins_hide_is_said(tree: Path, tmp_path: Path) -> None:
    text = (tree / "vllm" / "config" / "__init__.py").read_text()
    hidden = text.replace("import torch", "import torch\nfrom vllm.broken import Level").replace(
        "level: int = 0", "level: Level = 0"
    )
    source = copy(tree, tmp_path)
    (source / "vllm" / "config" / "__init__.py").write_text(hidden)
    (source / "vllm" / "reasoning" / "__init__.py").write_text("")
    __, doubts = generate.facts(source)
    assert doubts == [
        "EngineConfig.level is typed by vllm.broken.Level, which could not be imported",
        "--reasoning-parser: its names are in none of vllm.reasoning:ReasoningParserManager",
    ]


def test_a_parser_that_cannot_be_built_is_told_with_its_cause(tree: Path, tmp_path: Path) -> None:
    source = copy(tree, tmp_path, serve_py="raise OSError('disk on fire')\n")
    with pytest.raises(RuntimeError, match="could not be built"):
        generate.facts(source)


def test_command_lines_are_read_by_the_parser_of_the_release(tree: Path) -> None:
    lines: list[list[str]] = [
        ["m", "--size", "1.5k", "--no-eager", "--names", "a", "b"],
        ["m", "--engine_config", '{"inner": {"depth": 3}, "mode": "fast"}'],
        ["m", "--engine-config", '{"levle": 1}'],
        ["m", "--nope"],
        ["m", "--share", "x"],
        ["m", "--kind", "c"],
    ]
    first, second, *refused = accepts(tree, lines)
    assert first.accepted
    assert first.namespace is not None
    assert {key: first.namespace[key] for key in ("model_tag", "size", "eager", "names")} == {
        "model_tag": "m",
        "size": 1500,
        "eager": False,
        "names": ["a", "b"],
    }
    assert second.namespace is not None
    assert second.namespace["engine_config"] == {
        "level": 0,
        "mode": "FAST",
        "inner": {"depth": 3},
        "dtype": None,
        "names": [],
    }
    assert [(result.status, result.accepted, result.namespace) for result in refused] == [(2, False, None)] * 4
    assert "levle" in refused[0].error
    assert refused[1] == Result(2, None, "unrecognized arguments: --nope")


@pytest.mark.parametrize(
    ("name", "text", "declared", "told"),
    [
        ("task", "[DEPRECATED] The task to use the model for.", False, "no replacement named"),
        ("old_one", "`old_one` is deprecated and has been replaced with `new.one`.", False, "use new.one"),
        ("old_one", "--old-one is deprecated. Use --new-one instead.", False, "use --new-one"),
        ("x", "(Deprecated) Size. Will be removed in v0.12.0.", False, "removal announced for 0.12.0"),
        ("x", "This argument is deprecated and will be removed in `v0.13`. Use `--y`", False, "use --y, removal announced for 0.13"),
        ("x", "Anything", True, "no replacement named"),
        ("metrics", "Enable deprecated metrics that have been hidden.", False, ""),
        ("allow_old", "Whether to allow deprecated methods.", False, ""),
        ("x", "", False, ""),
    ],
)  # fmt: skip
def test_what_vllm_says_of_an_option_that_it_drops(name: str, text: str, declared: bool, told: str) -> None:
    assert deprecation(name, text, declared) == told


def test_one_command_adds_a_release(
    sdist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sources, "CACHE", tmp_path / "cache")
    file = tmp_path / "catalogue.json"
    assert command.main(["add", "--sdist", str(sdist), "--file", str(file)]) == 0
    assert "9.9.9: 11 options, 3 dataclasses, 9 variables" in capsys.readouterr().out
    written = json.loads(file.read_text())
    assert list(written["releases"]) == ["9.9.9"]
    assert written["options"]["kind"] == [
        {"in": "9.9.9..", "choices": ["a", "b"], "default": "a", "group": "ServeConfig"}
    ]
    before = file.read_bytes()
    assert command.main(["add", "--sdist", str(sdist), "--file", str(file)]) == 0
    assert file.read_bytes() == before
