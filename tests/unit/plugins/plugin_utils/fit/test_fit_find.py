"""Where the files of a model are looked for on the control node."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.find import locate
from ansible_collections.baremetal.vllm.plugins.plugin_utils.weights.source import Source

COMMIT = "495f39366efef23836d0cfae4fbe635880d2be31"
HUB = Source("Qwen/Qwen2.5-72B-Instruct", COMMIT)
SNAPSHOT = f"models--Qwen--Qwen2.5-72B-Instruct/snapshots/{COMMIT}"


def model(directory: Path) -> Path:
    directory.mkdir(parents=True)
    (directory / "config.json").write_text("{}")
    return directory


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"HF_HUB_CACHE": "cache"}, "cache"),
        ({"HF_HUB_CACHE": "cache", "HF_HOME": "elsewhere"}, "cache"),
        ({"HF_HOME": "hf"}, "hf/hub"),
        ({"XDG_CACHE_HOME": "xdg"}, "xdg/huggingface/hub"),
        ({"HOME": "home"}, "home/.cache/huggingface/hub"),
    ],
)
def test_a_model_of_the_hub_is_found_in_its_cache(tmp_path: Path, variables: dict[str, str], place: str) -> None:
    environ = {name: str(tmp_path / value) for name, value in variables.items()}
    assert locate(HUB, environ, str(tmp_path / "store")) is None
    wanted = model(tmp_path / place / SNAPSHOT)
    assert locate(HUB, environ, str(tmp_path / "store")) == wanted


def test_the_store_of_a_control_node_that_is_a_host_itself_comes_first(tmp_path: Path) -> None:
    model(tmp_path / "cache" / SNAPSHOT)
    stored = model(tmp_path / "store" / "hub" / "models--Qwen--Qwen2.5-72B-Instruct" / COMMIT)
    assert locate(HUB, {"HF_HUB_CACHE": str(tmp_path / "cache")}, str(tmp_path / "store")) == stored


def test_another_commit_is_not_taken_for_this_one(tmp_path: Path) -> None:
    model(tmp_path / "cache" / SNAPSHOT)
    other = Source("Qwen/Qwen2.5-72B-Instruct", "0" * 40)
    assert locate(other, {"HF_HUB_CACHE": str(tmp_path / "cache")}, str(tmp_path)) is None


def test_pushed_directories_and_paths_that_exist_here_are_taken_as_written(tmp_path: Path) -> None:
    here = model(tmp_path / "model")
    assert locate(Source("x", push_from=str(here)), {}) == here
    assert locate(Source(str(here)), {}) == here
    assert locate(Source("/nowhere/at/all"), {}) is None
    assert locate(Source("/a\0b"), {}) is None
