"""Runs on a host, with an engine's own Python: what the real parser of `vllm serve` says of itself, as JSON.

Usage: `python - WORD... < engine_parser.py`, where the words are given to every option's conversion function, to see which
it takes and what it makes of them. Reads nothing and writes nothing but its standard output.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from typing import Any

with contextlib.redirect_stdout(sys.stderr):
    from vllm.entrypoints.cli.serve import cmd_init
    from vllm.tokenizers.registry import _VLLM_TOKENIZERS
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    logging.disable(logging.CRITICAL)
    subparsers = FlexibleArgumentParser(prog="vllm").add_subparsers(dest="subparser")
    serve = cmd_init()[0].subparser_init(subparsers)


def outcome(action: Any, word: str) -> Any:
    """The value that one word becomes, as JSON or as the name of its class; {"refused": true} where it is refused."""
    try:
        value = serve._get_value(action, word)
        if action.choices is not None:
            serve._check_value(action, value)
    except Exception:
        return {"refused": True}
    try:
        return {"value": json.loads(json.dumps(value))}
    except TypeError:
        return {"class": type(value).__name__}


# What vLLM itself registers, of which the parser's help names a part.
REGISTERED = {"--tokenizer-mode": sorted(_VLLM_TOKENIZERS)}
spellings: dict[int, list[str]] = {}
for spelling, action in serve._option_string_actions.items():
    spellings.setdefault(id(action), []).append(spelling)
described = [
    {
        "spellings": spellings[id(action)],
        "kind": type(action).__name__,
        "nargs": action.nargs,
        "choices": None if action.choices is None else list(action.choices),
        "open": list(action.metavar) if isinstance(action.metavar, (list, tuple)) else None,
        "registered": next((REGISTERED[s] for s in spellings[id(action)] if s in REGISTERED), []),
        "words": {word: outcome(action, word) for word in sys.argv[1:]} if action.nargs != 0 else {},
    }
    for action in serve._actions
    if id(action) in spellings
]
print(json.dumps(described))
