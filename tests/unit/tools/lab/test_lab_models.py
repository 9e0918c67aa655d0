"""The lab's models: complete or not there, and whole as vLLM reads them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.tools.lab import models
from ansible_collections.baremetal.vllm.tools.lab.recipes.table import PACKAGES, RECIPES
from tokenizers import Tokenizer

RANDOM = sorted(set(RECIPES) - set(PACKAGES))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "baremetal-vllm"


def missing(capsys: pytest.CaptureFixture[str], *names: str) -> list[str]:
    assert models.main(["--missing", *names]) == 0
    found: list[str] = json.loads(capsys.readouterr().out)["missing"]
    return found


def test_a_model_is_made_once_and_anew_for_other_recipes(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert missing(capsys, *RANDOM) == [name for name in RECIPES if name in RANDOM]
    models.main(["tiny-lora"])
    capsys.readouterr()
    assert missing(capsys, "tiny-lora") == []
    models.main(["tiny-lora"])
    assert "0 built now" in capsys.readouterr().out
    assert [path.name for path in (root / "models").iterdir()] == ["tiny-lora"]
    monkeypatch.setattr(models, "recipes_digest", lambda: "another")
    assert missing(capsys, "tiny-lora") == ["tiny-lora"]


def test_a_recipe_that_fails_leaves_what_was_there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models.main(["tiny-lora"])
    before = (root / "models" / "tiny-lora" / "adapter_config.json").read_text()

    def broken(packages: Path, target: Path) -> None:
        (target / "adapter_config.json").write_text("half")
        raise OSError("the disk is full")

    monkeypatch.setitem(RECIPES, "tiny-lora", broken)
    monkeypatch.setattr(models, "recipes_digest", lambda: "another")
    with pytest.raises(OSError, match="disk is full"):
        models.main(["tiny-lora"])
    assert [path.name for path in (root / "models").iterdir()] == ["tiny-lora"]
    assert (root / "models" / "tiny-lora" / "adapter_config.json").read_text() == before


def test_a_name_without_a_recipe_is_refused_with_those_there_are(root: Path) -> None:
    with pytest.raises(SystemExit, match="no recipe for tiny; there are smollm2-135m-instruct, "):
        models.main(["tiny"])


@pytest.mark.parametrize("name", RANDOM)
def test_a_random_model_is_whole_and_the_same_each_time(tmp_path: Path, name: str) -> None:
    files = []
    for turn in ("one", "two"):
        target = tmp_path / turn
        target.mkdir()
        RECIPES[name](tmp_path, target)
        files.append({path.name: path.read_bytes() for path in target.iterdir()})
    assert files[0] == files[1]
    for file, data in files[0].items():
        if file.endswith(".safetensors"):
            (length,) = struct.unpack_from("<Q", data)
            header = json.loads(data[8 : 8 + length])
            assert (
                max(entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__")
                == len(data) - 8 - length
            )
    if name != "tiny-lora":
        tokenizer = Tokenizer.from_str(files[0]["tokenizer.json"].decode())
        config = json.loads(files[0]["config.json"])
        assert tokenizer.get_vocab_size() <= config.get("text_config", config)["vocab_size"]
        for text in ("What is the capital of France?", "Ünïcode ☃ 日本語\n\t"):
            assert tokenizer.decode(tokenizer.encode(text).ids) == text
