"""pip and uv of the control node, run without a shell."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.sources import Target


class ToolError(RuntimeError):
    """A tool is missing or failed; the text is for the person at the terminal."""


def uv_binary() -> str:
    """Return the uv of the Python package `uv`, or the one on PATH. Raises ToolError: where there is neither."""
    try:
        from uv import find_uv_bin

        return os.fspath(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if found is None:
        raise ToolError(f"uv is not on this control node: {sys.executable} -m pip install uv")
    return found


# pip warns so before it tries again (urllib3); of an index that never answers it says in the end that it lacks the version.
_BROKEN = re.compile(r"after connection broken by '(.*)': ")


def _last_words(text: str, lines: int = 12) -> str:
    told = [line.rstrip() for line in text.splitlines() if line.strip() and not line.startswith("WARNING:")]
    broken = _BROKEN.findall(text)
    told += [f"No connection: {broken[-1][:300]}"] if broken else []
    return "\n".join(told[-lines:])


def run(command: Sequence[str], what: str, environment: dict[str, str] | None = None) -> str:
    """Run a command and return its output. Raises ToolError: with its last lines, where it fails."""
    try:
        done = subprocess.run(
            list(command),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
        )
    except OSError as error:
        raise ToolError(f"{what}: cannot run {command[0]}: {error}") from error
    if done.returncode != 0:
        raise ToolError(f"{what} failed ({done.returncode}):\n{_last_words(done.stderr or done.stdout)}")
    return done.stdout


def pip_download(target: Target, destination: Path, arguments: Sequence[str], what: str) -> None:
    """Fetch wheels for a target with the control node's pip, so that its own configuration counts.

    Dependencies are never followed: what is fetched is what is asked for.

    Raises ToolError: with pip's last words, and where there is no pip.
    """
    probe = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False)
    if probe.returncode != 0:
        raise ToolError(f"pip is missing beside the Python that runs Ansible: {sys.executable} -m ensurepip")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet"]
    command += ["--no-deps", "--only-binary", ":all:", "--dest", str(destination)]
    command += ["--implementation", "cp", "--python-version", target.python]
    for abi in (f"cp{target.python.replace('.', '')}", "abi3", "none"):
        command += ["--abi", abi]
    for tag in target.platform_tags():
        command += ["--platform", tag]
    for index in target.indexes:
        command += ["--extra-index-url", index]
    run([*command, *arguments], what)


def _pip_index() -> str:
    """Return the index that pip is configured with, '' for the default: uv does not read pip's configuration."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    for line in listed.stdout.splitlines():
        key, _, value = line.partition("=")
        if key in (":env:.index-url", "global.index-url", "download.index-url"):
            return value.strip("'\"")
    return ""


def uv_compile(target: Target, source: Path, output: Path, arguments: Sequence[str], what: str) -> None:
    """Resolve requirements for a target into a lock with hashes; what `output` already pins is kept where it fits.

    Raises ToolError: with uv's last words.
    """
    command = [uv_binary(), "pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate"]
    command += ["--python-version", target.python, "--python-platform", target.platform, "--only-binary", ":all:"]
    for index in target.indexes:
        command += ["--index", index]
    configured = any(os.environ.get(name) for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"))
    own = "" if configured or "--default-index" in arguments else _pip_index()
    if own:
        command += ["--default-index", own]
    command += [*arguments, "--output-file", str(output), str(source)]
    run(command, what, {"UV_PYTHON_DOWNLOADS": "never"})
