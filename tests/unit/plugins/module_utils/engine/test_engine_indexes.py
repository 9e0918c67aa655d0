"""Indexes that ask for a password: pip and uv are told it, and no command line, error, lock or manifest has it."""

from __future__ import annotations

import base64
import functools
import json
import netrc
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.engine import build, lock
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.indexes import in_environment
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import rocm_wheel, tools, wheels
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.sources import Target, build_for

PASSWORD = "s3cr%3At"
FIRST, SECOND, DEFAULT = (f"https://reader:{PASSWORD}@{name}.example/simple" for name in ("a", "b", "own"))
TARGET = Target("0.33.0", "cuda", "3.12", indexes=(FIRST, SECOND))
# Writes down how it was called, and answers as uv and pip do where they are asked for something.
TOOL = """\
#!{python}
import json, os, sys
names = {{name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_", "NETRC"))}}
with open({calls!r}, "a") as stream:
    stream.write(json.dumps([sys.argv[1:], names]) + "\\n")
if sys.argv[-2:] == ["config", "list"]:
    print("download.extra-index-url='https://kept.example/simple'")
sys.exit({status})
"""


class Tool:
    """A stand-in for pip and uv; `status`: how it exits."""

    def __init__(self, directory: Path, status: int = 0) -> None:
        self.log = directory / "calls.jsonl"
        self.path = directory / "tool"
        self.path.write_text(TOOL.format(python=sys.executable, calls=str(self.log), status=status))
        self.path.chmod(0o755)

    def calls(self) -> list[tuple[list[str], dict[str, str]]]:
        """Arguments and variables of each call."""
        return [tuple(json.loads(line)) for line in self.log.read_text().splitlines()]


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    made = Tool(tmp_path)
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tools.sys, "executable", str(made.path))
    monkeypatch.setattr(tools, "uv_binary", lambda: str(made.path))
    return made


def test_options_become_variables_in_their_order() -> None:
    command = ["pip", "--index-url", "d", "x", "--extra-index-url", "a", "--extra-index-url", "b", "--index", "c"]
    assert in_environment(command) == (
        ["pip", "x"],
        {"PIP_INDEX_URL": "d", "PIP_EXTRA_INDEX_URL": "a b", "UV_INDEX": "c"},
    )


def test_pip_is_told_in_a_variable_beside_what_it_is_configured_with(tool: Tool, tmp_path: Path) -> None:
    tools.pip_download(TARGET, tmp_path, ["--index-url", DEFAULT, "torch"], "fetching")
    assert PASSWORD not in json.dumps([words for words, __ in tool.calls()])
    words, variables = tool.calls()[-1]
    assert "download" in words
    assert variables["PIP_INDEX_URL"] == DEFAULT
    assert variables["PIP_EXTRA_INDEX_URL"].split() == ["https://kept.example/simple", FIRST, SECOND]


def test_uv_is_told_in_variables(tool: Tool, tmp_path: Path) -> None:
    tools.uv_compile(TARGET, tmp_path / "in", tmp_path / "out", ["--default-index", DEFAULT], "resolving")
    words, variables = tool.calls()[-1]
    assert PASSWORD not in json.dumps(words)
    assert (variables["UV_DEFAULT_INDEX"], variables["UV_INDEX"].split()) == (DEFAULT, [FIRST, SECOND])


def test_pip_that_builds_finds_users_in_a_file(tool: Tool, tmp_path: Path) -> None:
    asked = Target("0.33.0", "rocm", "3.12", indexes=(FIRST,), build="rocm100")
    made = build_for(asked.release, "rocm", (), "rocm100")
    assert made is not None
    with pytest.raises(StopIteration):  # The stand-in builds nothing.
        rocm_wheel.bundled_wheel(asked, made, tmp_path, tmp_path / "scratch", DEFAULT)
    words, variables = tool.calls()[-1]
    assert "wheel" in words
    assert PASSWORD not in json.dumps(words)
    assert variables["PIP_INDEX_URL"] == "https://own.example/simple"
    assert variables["PIP_EXTRA_INDEX_URL"].split() == ["https://kept.example/simple", "https://a.example/simple"]
    assert not Path(variables["NETRC"]).exists()


@pytest.mark.parametrize("password", ["plain", 'a"b\\c d', "p#q", "ü"])
def test_the_file_of_users_says_what_the_address_says(
    password: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").write_text("machine other login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "own"))
    with tools.netrc(["https://free.example/simple", f"https://u:{quote(password, safe='')}@a.example:8443/x"]) as path:
        assert Path(path).stat().st_mode & 0o077 == 0
        read = netrc.netrc(path)
    assert read.authenticators("a.example") == ("u", "", password)
    assert read.authenticators("other") == ("me", "", "mine")
    assert read.authenticators("free.example") is None


def test_uv_of_a_host_is_told_in_variables(tmp_path: Path) -> None:
    tool = Tool(tmp_path)
    job = build.BuildJob(
        release="0.33.0",
        accelerator="cuda",
        path=tmp_path / "opt" / "0.33.0",
        bundle=tmp_path / "none",
        lock_sha256="",
        python="/usr/bin/python3",
        offline=False,
        default_index=DEFAULT,
        indexes=(FIRST, SECOND),
        kernels_index=f"https://reader:{PASSWORD}@kernels.example/whl",
    )
    (job.staging / "wheels").mkdir(parents=True)
    kernels = (lock.Pin("flashinfer-jit-cache", "0.7.2+cu130", ("a" * 64,)), lock.Pin("torch", "2.0", ("b" * 64,)))
    (job.staging / "requirements.lock").write_text(lock.render_lock(kernels))
    with pytest.raises(FileNotFoundError):  # The stand-in makes no environment whose Python could be asked.
        build.install(job, tool.path)
    assert PASSWORD not in json.dumps([words for words, __ in tool.calls()])
    __, sync, own = tool.calls()
    assert (sync[1]["UV_DEFAULT_INDEX"], sync[1]["UV_INDEX"].split()) == (DEFAULT, [FIRST, SECOND])
    assert own[1]["UV_DEFAULT_INDEX"] == f"https://reader:{PASSWORD}@kernels.example/whl/cu130"


def test_errors_name_indexes_without_users(tmp_path: Path) -> None:
    tool = Tool(tmp_path, 2)
    with pytest.raises(tools.ToolError) as error:
        tools.run([str(tool.path), "--index-url", DEFAULT], f"fetching torch from {DEFAULT}")
    assert str(error.value).startswith("fetching torch from https://***@own.example/simple failed (2)")


def test_another_password_is_the_same_wheelhouse() -> None:
    other = Target("0.33.0", "cuda", "3.12", indexes=tuple(url.replace(PASSWORD, "new") for url in TARGET.indexes))
    elsewhere = Target("0.33.0", "cuda", "3.12", indexes=(FIRST, "https://c.example/simple"))
    assert other.inputs_digest() == TARGET.inputs_digest() != elsewhere.inputs_digest()


class _Closed(SimpleHTTPRequestHandler):
    """Files for who says the password."""

    def do_GET(self) -> None:
        expected = base64.b64encode(b"reader:s3cr:t").decode()
        if self.headers.get("Authorization") == f"Basic {expected}":
            super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="index"')
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[str]:
    """The address of an index with one distribution, with user and password in it."""
    place = tmp_path / "index" / "simple" / "thing"
    place.mkdir(parents=True)
    files = {
        "thing-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n",
        "thing-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    wheels.write_wheel(place, "thing-1.0", "py3-none-any", files, zipfile.ZIP_STORED)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Closed, directory=str(tmp_path / "index")))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://reader:{PASSWORD}@127.0.0.1:{server.server_port}/simple"
    server.shutdown()
    thread.join()
    server.server_close()


def test_pip_and_uv_themselves_get_in(closed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    target = Target("0.33.0", "cuda", "3.12", kernels_index="none")
    source, output = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_text("thing\n")
    tools.uv_compile(target, source, output, ["--default-index", closed], "resolving")
    assert [pin.name for pin in lock.parse_lock(output.read_text())] == ["thing"]
    assert "reader" not in output.read_text()
    tools.pip_download(target, tmp_path, ["--index-url", closed, "thing"], "fetching")
    assert (tmp_path / "thing-1.0-py3-none-any.whl").is_file()
