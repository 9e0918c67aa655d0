"""The parser of `vllm serve`, built by vLLM's own subcommand from a source tree. Runs in a process of its own."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.tools.catalogue import standins


class Origin(str):
    """A help text that remembers the dataclass field its option was made from."""

    owner: type
    field: str

    def __new__(cls, text: str, owner: type, field: str) -> Origin:
        self = super().__new__(cls, text)
        self.owner, self.field = owner, field
        return self


class Parser:
    """`root` reads whole command lines (`["serve", MODEL, ...]`); `serve` holds the options.

    With `explained`, options carry the texts of their help: newer releases leave them out where nobody asked for help.
    """

    def __init__(self, source: Path, explained: bool = False) -> None:
        # Some releases leave options out for certain command lines (0.9.0: no `--model` for `vllm serve`).
        sys.argv = ["vllm", "serve"]
        self.failures = standins.install(source)
        # Their text is about this computer, which runs no vLLM.
        logging.disable(logging.CRITICAL)
        warnings.simplefilter("ignore")
        arg_utils: Any = importlib.import_module("vllm.engine.arg_utils")
        arg_utils.NEEDS_HELP = explained
        _remember_origins(arg_utils)
        module = importlib.import_module("vllm.entrypoints.cli.serve")
        self.root = _flexible_parser()(prog="vllm", description="")
        subparsers = self.root.add_subparsers(required=False, dest="subparser")
        self.serve: argparse.ArgumentParser = module.cmd_init()[0].subparser_init(subparsers)
        if not isinstance(self.serve, argparse.ArgumentParser):
            # A module on the way to it did not run, and a stand-in answered.
            raise LookupError("; ".join(f"{name}: {error}" for name, error in self.failures.items()))


def _flexible_parser() -> Any:
    # In vllm.utils up to 0.11.0, a module of its own from 0.11.1 on.
    for name in ("vllm.utils.argparse_utils", "vllm.utils"):
        try:
            found = getattr(importlib.import_module(name), "FlexibleArgumentParser", None)
        except ModuleNotFoundError:
            continue
        if isinstance(found, type) and issubclass(found, argparse.ArgumentParser):
            return found
    raise LookupError("FlexibleArgumentParser is in no module where vLLM kept it up to 0.33.0")


def _remember_origins(arg_utils: Any) -> None:
    """Wrap `get_kwargs`, which turns the fields of a dataclass into the arguments of `add_argument`."""
    original = getattr(arg_utils, "get_kwargs", None)
    if original is None:
        return

    def get_kwargs(cls: type) -> dict[str, dict[str, Any]]:
        return {
            name: {**kwargs, "help": Origin(kwargs.get("help") or "", cls, name)}
            for name, kwargs in original(cls).items()
        }

    arg_utils.get_kwargs = get_kwargs
