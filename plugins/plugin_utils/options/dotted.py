"""Text given for one key of a JSON option (`--x.y 3`): the value that vLLM makes of the word before anything else reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Field, Option, Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.sizes import size

# Fields that hold text: a text stays one there, be it spelled like a number.
_TEXT = ("str", "caseless", "folded")


def json_or_text(text: str) -> Any:
    """The value of a word for `--x.y`: JSON where it is some, else a size, else text.

    Source: FlexibleArgumentParser.parse_args (vllm/utils/argparse_utils.py of 0.33.0; sizes came after 0.11.2).
    """
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        number = size(text)
        return text if number is None else number


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


def typed_key(value: Any, spec: Option | None, path: Sequence[str], release: Release | None) -> Any:
    """What a text under `x.y` in `args` stands for, as on a command line; every other value as it is.

    A text stays text where the key's type is text. `true` and `false` are read in any letters, as people write them in scripts.
    """
    if not isinstance(value, str):
        return value
    field = _field(spec, path, release)
    read = json_or_text(value)
    if field is not None and field.type in _TEXT and not field.many:
        # Among the words of a choice there may be numbers (`--compilation-config.mode 3`).
        return read if not isinstance(read, (str, bool)) and read in (field.choices or ()) else value
    if field is not None and field.type == "bool" and value.lower() in ("true", "false"):
        read = value.lower() == "true"
    # A size where no number is asked for is a name that ends in a letter of a size: `4k`.
    if isinstance(read, int) and not value.strip().lstrip("+-").isdigit() and not isinstance(read, bool):
        return read if field is not None and field.type in ("int", "float", "size") else value
    return read


def _field(spec: Option | None, path: Sequence[str], release: Release | None) -> Field | None:
    """The field at the end of a path of keys; None where the catalogue does not know it."""
    name, field = (spec.config if spec else None), None
    for key in path:
        config = release.configs.get(name or "") if release else None
        field = config.fields.get(key) if config else None
        name = field.config if field else None
    return field
