"""Where a text starts vLLM: scripts, systemd units, quadlets, `docker run` lines, compose files, Kubernetes manifests."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import normal
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.compose import of_compose
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.manifest import of_manifest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.option_names import identify
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.start import Start
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.starts import of_walk
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.unitfiles import is_unit, of_unit
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.yamltext import UnreadableYaml, load_all
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.parse import parse
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.run import TOO_MUCH, Walk
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.state import ShellState
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.tree import ShellError
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.values import Word

_FENCE = re.compile(r"^[ \t]*```.*$", re.M)
_LARGEST = 1 << 20


class Beside:
    """Files beside the one that was given. A file elsewhere is another machine's, and is not read."""

    def __init__(self, file: str | None) -> None:
        self.file = os.path.abspath(file) if file else ""
        self.directory = os.path.dirname(self.file)

    def read(self, path: str) -> str | None:
        """The text of a plain file that a relative path, or one into the same directory, names; None for all else."""
        if not self.file or not path or "$" in path:
            return None
        whole = os.path.normpath(os.path.join(self.directory, path))
        if os.path.isabs(path) and not whole.startswith(self.directory.rstrip("/") + "/"):
            return None
        try:
            found = os.stat(whole)
            if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
                return None
            return clean(Path(whole).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, ValueError):
            return None


def clean(text: str) -> str:
    """Without what editors and pages add: a byte-order mark, carriage returns, fences of Markdown."""
    text = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if len(_FENCE.findall(text)) >= 2:
        text = _fenced(text)
    # The prompt of a page that shows a command.
    return re.sub(r"^[ \t]*[$>] (?=\S)", "", text, flags=re.M) if re.match(r"\s*[$>] \S", text) else text


def _fenced(text: str) -> str:
    """The code of a Markdown page; its prose is left as empty lines, so that lines keep their numbers."""
    kept, inside = [], False
    for line in text.split("\n"):
        fence = _FENCE.fullmatch(line) is not None
        inside ^= fence
        kept.append(line if inside and not fence else "")
    return "\n".join(kept)


def invocations(text: str, beside: Beside) -> list[Start]:
    """Every start of vLLM in a text. Raises shell.tree.ShellError and yamltext.UnreadableYaml, with the line."""
    text = clean(text)
    if (found := _of_yaml(text, beside)) is not None:
        return found
    if (start := _of_options(text, beside)) is not None:
        return [start]
    if is_unit(text):
        return list(of_unit(text, beside.read))
    return _of_script(text, beside)


def _of_yaml(text: str, beside: Beside) -> list[Start] | None:
    """Starts in a compose file or a manifest; None where the text is neither."""
    looks = re.search(r"^(services|apiVersion|kind)\s*:", text, re.M)
    if looks is None and not text.lstrip().startswith("{"):
        return None
    try:
        documents = load_all(text)
    except UnreadableYaml as error:
        if looks is None or not re.search(r"^(services\s*:\s*($|[#{])|apiVersion\s*:\s*\S+\s*$)", text, re.M):
            return None
        what = "a compose file" if looks[1] == "services" else "a Kubernetes manifest"
        raise UnreadableYaml(f"it looks like {what} and is no YAML ({error})") from error
    known = [
        document
        for document in documents
        if isinstance(document, Mapping) and {"services", "apiVersion", "kind"} & set(document)
    ]
    if not known:
        return None
    found: list[Start] = []
    for document in known:
        found += _of_document(document, beside)
    return found


def _of_options(text: str, beside: Beside) -> Start | None:
    """A file of options as `--config` takes it, given by itself."""
    if not beside.file.endswith((".yaml", ".yml")):
        return None
    try:
        document = next(iter(load_all(text)), None)
    except UnreadableYaml:
        return None
    if not isinstance(document, Mapping) or "model" not in document:
        return None
    if not all(isinstance(key, str) and identify(normal(key), ()) is not None for key in document):
        return None
    return Start((Word("--config"), Word(os.path.basename(beside.file))))


def _of_document(document: Mapping[str, object], beside: Beside) -> list[Start]:
    if isinstance(document.get("services"), Mapping):
        return list(of_compose(document, beside.read))
    return list(of_manifest(document))


def _of_script(text: str, beside: Beside) -> list[Start]:
    walk, state = Walk(beside.read), ShellState(script=beside.file)
    try:
        walk.script(parse(text), state)
        found = of_walk(walk)
    except RecursionError as error:
        # Brackets and commands have their bounds. What is left are lists of hundreds, and texts that run themselves.
        raise ShellError(walk.line, "its commands lead to others deeper than can be followed") from error
    if found:
        return found
    if walk.stopped:
        raise ShellError(walk.stopped, f"{TOO_MUCH}, and starts no vLLM")
    # A library of functions that nothing here calls.
    for function in list(state.functions.values()):
        before = len(walk.found)
        inner = state.copy()
        inner.dead = False
        walk.node(function.body, inner)
        starts = of_walk(Walk(walk.read, walk.found[before:], walk.notes, walk.remarks, work=state.work))
        note = f"The function {function.name} (line {function.line}) starts it, and nothing here calls it"
        found += [replace(start, notes=(note, *start.notes)) for start in starts]
    return found
