"""Sources of engines on the control node, judged while the fleet is planned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.engine import lock
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.at_hand import check_sources

CUDA = {"vllm_version": "0.33.0", "vllm_accelerator": "cuda"}
SHA = "a" * 64


def judged(declared: dict[str, Any], hosts: tuple[str, ...] = ("h1",)) -> tuple[list[str], dict[str, str]]:
    problems = Problems()
    missing = check_sources(dict.fromkeys(hosts, declared), problems)
    return [str(problem) for problem in sorted(problems.found)], missing


def wheelhouse(folder: Path, name: str, release: str = "0.33.0", *, finished: bool = True) -> Path:
    """One that holds no wheel; `finished` says whether its manifest is there."""
    accelerator, python, arch = name.split("-")[1:4]
    house = folder / name
    (house / "wheels").mkdir(parents=True)
    text = lock.render_lock((lock.Pin("vllm", release, (SHA,)),))
    (house / "requirements.lock").write_text(text)
    manifest = {"format": 1, "release": name.split("-")[0], "accelerator": accelerator, "arch": arch, "files": {}}
    if finished:
        manifest.update(lock_sha256=lock.digest(text), python=python.removeprefix("py"))
        (house / "manifest.json").write_text(json.dumps(manifest))
    return house


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "baremetal-vllm" / "wheelhouse"


def test_what_is_not_there_is_missing_and_no_problem_of_the_inventory(cache: Path) -> None:
    problems, missing = judged(CUDA)
    assert problems == []
    assert missing["h1"] == (
        f"there is no wheelhouse of 0.33.0 for cuda in {cache}. Prepare it: ansible-playbook baremetal.vllm.wheelhouse -i INVENTORY"
        " -e wheelhouse_release=0.33.0 -e wheelhouse_accelerator=cuda; or set vllm_engine_source: index"
    )


def test_an_unfinished_wheelhouse_is_called_so(cache: Path) -> None:
    house = wheelhouse(cache, "0.33.0-cuda-py3.12-x86_64", finished=False)
    assert judged(CUDA)[1]["h1"].startswith(f"the wheelhouse {house} is unfinished. Prepare it: ")


@pytest.mark.parametrize("name", ["0.33.0-cuda-py3.12-x86_64", "0.33.0-cuda-py3.11-aarch64"])
def test_a_finished_one_of_either_machine_will_do(cache: Path, name: str) -> None:
    wheelhouse(cache, "0.32.0-cuda-py3.12-x86_64")
    assert "h1" in judged(CUDA)[1]
    wheelhouse(cache, name)
    assert judged(CUDA) == ([], {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("half a lo", "not an exact pin"),
        (lock.render_lock((lock.Pin("vllm", "0.32.0", (SHA,)),)), "it holds vllm 0.32.0 instead of 0.33.0"),
        (b"\xff\xfe", "can't decode"),
        (None, "Is a directory"),
    ],
)
def test_a_named_lock_that_does_not_suit_is_refused(tmp_path: Path, text: str | bytes | None, said: str) -> None:
    path = tmp_path / "mine.lock"
    if text is None:
        path.mkdir()
    else:
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    ((line,), missing) = judged({**CUDA, "vllm_engine_source": "index", "vllm_engine_lock": str(path)})
    assert line.startswith("h1.vllm_engine_lock: ")
    assert said in line
    assert str(path) in line
    assert missing == {}


def test_a_wheelhouse_for_another_release_than_its_name_says_is_refused(cache: Path) -> None:
    wheelhouse(cache, "0.33.0-cuda-py3.12-x86_64", "0.32.0")
    ((line,), __) = judged(CUDA)
    assert line.startswith("h1.vllm_engine_wheelhouse: the wheelhouse ")
    assert "it holds vllm 0.32.0 instead of 0.33.0" in line
    assert "-e wheelhouse_update=true" in line


@pytest.mark.parametrize(
    "declared",
    [
        {**CUDA, "vllm_engine_source": "index"},
        {**CUDA, "vllm_engine_source": "index", "vllm_engine_lock": "/nowhere/made-at-first-use.lock"},
        {"vllm_accelerator": "cuda"},
        {},
    ],
)
def test_what_can_still_be_made_or_is_told_elsewhere_is_not_refused(declared: dict[str, Any]) -> None:
    assert judged(declared) == ([], {})


def test_a_misspelt_source_is_told_once_for_all_hosts() -> None:
    hosts = tuple(f"h{number}" for number in range(1000))
    ((line,), missing) = judged({**CUDA, "vllm_engine_source": "weelhouse"}, hosts)
    said = "'weelhouse' is not a source of engines. Did you mean \"wheelhouse\"."
    assert line == f"h0, h1, h2 and 997 more.vllm_engine_source: {said}"
    assert missing == {}
