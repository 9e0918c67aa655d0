"""pip and uv of the control node, run without a shell."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.parse import unquote, urlsplit

from ansible_collections.baremetal.vllm.plugins.module_utils.engine.indexes import in_environment
from ansible_collections.baremetal.vllm.plugins.module_utils.text.urls import without_users
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
    """Run a command and return its output.

    Indexes that the command names come to it in variables, and errors name them without user and password.

    Raises ToolError: with its last lines, where it fails.
    """
    words, places = in_environment(command)
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {}), **places},
        )
    except OSError as error:
        raise ToolError(f"{what}: cannot run {command[0]}: {error}") from error
    if done.returncode != 0:
        told = _last_words(done.stderr or done.stdout)
        raise ToolError(without_users(f"{what} failed ({done.returncode}):\n{told}"))
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
    run_pip([*command, *arguments], what)


def run_pip(command: Sequence[str], what: str, environment: dict[str, str] | None = None) -> None:
    """Run pip as `run` does; further indexes come beside those that it is configured with, which a variable would replace."""
    own = _pip_setting("extra-index-url").split() if "--extra-index-url" in command else []
    run([*(word for url in own for word in ("--extra-index-url", url)), *command], what, environment)


@contextmanager
def netrc(urls: Sequence[str]) -> Iterator[str]:
    """A file of users and passwords (netrc) for the hosts of some URLs, which its owner alone reads; its path.

    What the operator's own file says of other hosts is in it as well.
    """
    kept = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
    lines = kept.read_text(encoding="utf-8").splitlines() if kept.is_file() else []
    for parts in map(urlsplit, urls):
        if parts.username is not None:
            words = ("machine", parts.hostname or "", "login", parts.username, "password", parts.password or "")
            # Between quotes, a backslash before what means something to the reader.
            lines.append(" ".join(re.sub(r'(["\\\\])', r"\\\1", unquote(word)).join('""') for word in words))
    with NamedTemporaryFile("w", prefix="netrc-", encoding="utf-8") as file:
        file.write("\n".join([*lines, ""]))
        file.flush()
        yield file.name


def _pip_setting(name: str) -> str:
    """Return what pip is configured with, '' for its default."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    found = dict(line.partition("=")[::2] for line in listed.stdout.splitlines())
    # pip takes the first of these that there is.
    value = next(
        (found[key] for key in (f"{place}.{name}" for place in (":env:", "download", "global")) if key in found), ""
    )
    return str(ast.literal_eval(value)) if value else ""


def uv_compile(target: Target, source: Path, output: Path, arguments: Sequence[str], what: str) -> None:
    """Resolve requirements for a target into a lock with hashes; what `output` already pins is kept where it fits.

    Raises ToolError: with uv's last words.
    """
    command = [uv_binary(), "pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate"]
    command += ["--python-version", target.python, "--python-platform", target.platform, "--only-binary", ":all:"]
    for index in target.indexes:
        command += ["--index", index]
    configured = any(os.environ.get(name) for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"))
    own = "" if configured or "--default-index" in arguments else _pip_setting("index-url")
    if own:
        command += ["--default-index", own]
    command += [*arguments, "--output-file", str(output), str(source)]
    run(command, what, {"UV_PYTHON_DOWNLOADS": "never"})
