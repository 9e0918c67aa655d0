"""`python -m …tools.catalogue.parse SOURCE`: command lines read by the parser of one release.

Takes a JSON list of command lines (each the list of words after `vllm serve`) on standard input, and prints a JSON list of
`{"status", "namespace", "error"}`. Runs in a process of its own (`parser.py` starts it), because stand-ins take the place
of installed packages.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.tools.catalogue.serve import Parser


def read(built: Parser, words: list[str]) -> dict[str, Any]:
    """What `vllm serve` would make of these words: status 0 and a namespace, 2 where the parser refuses, 1 where it breaks."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            namespace = built.root.parse_args(["serve", *words])
    except SystemExit as end:
        error = said.getvalue().strip().rpartition("error: ")[2]
        return {"status": end.code if isinstance(end.code, int) else 1, "namespace": None, "error": error}
    except Exception as error:
        return {"status": 1, "namespace": None, "error": f"{type(error).__name__}: {error}"}
    return {"status": 0, "namespace": {key: _shown(value) for key, value in vars(namespace).items()}, "error": ""}


def _shown(value: Any) -> Any:
    """A value of the namespace as JSON: dataclasses by their fields, everything that JSON has no word for by its text."""
    if isinstance(value, enum.Enum):
        return value.name
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _shown(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_shown(item) for item in value]
    if dataclasses.is_dataclass(value):
        return {
            field.name: _shown(getattr(value, field.name, None)) for field in dataclasses.fields(value) if field.init
        }
    return str(value) if type(value).__str__ is not object.__str__ else type(value).__name__


if __name__ == "__main__":
    # vLLM may print while it is imported.
    with contextlib.redirect_stdout(sys.stderr):
        parser = Parser(Path(sys.argv[1]).resolve())
    json.dump([read(parser, words) for words in json.load(sys.stdin)], sys.stdout)
