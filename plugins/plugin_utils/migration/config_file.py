"""`--config FILE`: its options as words, put where vLLM puts them.

Source: FlexibleArgumentParser._pull_args_from_config and load_config_file (vllm/utils.py of 0.8.5 to 0.10.1,
vllm/utils/argparse_utils.py of 0.33.0): what the command line says itself comes later and wins; only `--config FILE` in two words
counts. `false` is passed over up to 0.21.0; later releases look for `--no-x` in the parser that reads the file, which is the
server's own for `python -m vllm.entrypoints.openai.api_server` and knows no such option for `vllm serve`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import normal, numbers
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.yamltext import UnreadableYaml, load_all
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.values import Word

# The last release known to pass `false` over, and the first known not to (read in their sources).
_PASSED_OVER, _LOOKED_UP = "0.21.0", "0.28.0"


def with_config(
    words: Sequence[Word], read: Callable[[str], str | None], module: bool, release: str | None, notes: list[str]
) -> list[Word]:
    """The command's words with those of its file; without them, and a note, where the file is not at hand.

    Raises Unreadable: where the file is no YAML, or holds no options.
    """
    for word in words:
        if word.text.startswith("--config="):
            notes.append(f"{word.text}: vLLM reads no file that is given with =, so its options never counted")
    at = next((index for index, word in enumerate(words) if word.text == "--config"), None)
    if at is None or at + 1 >= len(words):
        return [word for word in words if not word.text.startswith("--config=")]
    path = words[at + 1].text
    rest = [*words[:at], *words[at + 2 :]]
    text = read(path)
    if text is None:
        notes.append(f"--config names a file of further options, {path}: they are not here")
        return rest
    try:
        document = next(iter(load_all(text)), None)
    except UnreadableYaml as error:
        raise UnreadableYaml(f"{path}: {error}") from error
    if not isinstance(document, Mapping):
        raise UnreadableYaml(f"{path} holds no options: vLLM takes `option: value` lines")
    options = [
        word for key, value in document.items() for word in _words(str(key), value, path, module, release, notes)
    ]
    first = 1 if rest and not rest[0].text.startswith("-") else 0
    return [*rest[:first], *options, *rest[first:]]


def _words(key: str, value: Any, path: str, module: bool, release: str | None, notes: list[str]) -> list[Word]:
    option = f"--{key}"
    if value is True:
        return [Word(option)]
    if value is False:
        notes.append(f"{path} says {key}: false. {_false(module, release)}")
        return [Word(f"--no-{normal(key)}")]
    if isinstance(value, list):
        return (
            [Word(option), *(Word(json.dumps(item) if isinstance(item, (dict, list)) else str(item)) for item in value)]
            if value
            else []
        )
    if isinstance(value, Mapping):
        return [Word(option), Word(json.dumps(value))]
    return [Word(option), Word(str(value))]


def _false(module: bool, release: str | None) -> str:
    known = numbers(release) if release else None
    passed_over = not module or (known is not None and known <= numbers(_PASSED_OVER))
    if passed_over:
        return "vLLM passes `false` over there, so that the default was in force: here it is written as it is meant"
    if known is not None and known >= numbers(_LOOKED_UP):
        return "It is written as it is"
    return "Some releases pass `false` over there, so that the default was in force: here it is written as it is meant"
