"""Runs on a host, with an engine's own Python: which command lines its real parser takes, as JSON.

Usage: `python - LINES < engine_reads.py`, where LINES is a JSON list of command lines, each the list of words after `vllm serve`.
Prints one error for each, "" where it is taken. Reads nothing and writes nothing but its standard output.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys

with contextlib.redirect_stdout(sys.stderr):
    from vllm.entrypoints.cli.serve import cmd_init
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    logging.disable(logging.CRITICAL)
    parser = FlexibleArgumentParser(prog="vllm")
    cmd_init()[0].subparser_init(parser.add_subparsers(dest="subparser"))


def error(words: list[str]) -> str:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            parser.parse_args(["serve", *words])
    except SystemExit:
        return said.getvalue().strip() or "refused"
    except Exception as broken:
        return f"{type(broken).__name__}: {broken}"
    return ""


print(json.dumps([error(words) for words in json.loads(sys.argv[1])]))
