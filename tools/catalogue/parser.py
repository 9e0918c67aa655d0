"""Whether the real parser of a release accepts command lines, without installing that release."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.tools.catalogue.generate import in_a_process


@dataclass(frozen=True)
class Result:
    """`status` is that of the process: 0 accepted, 2 refused by the parser, 1 a traceback. One of the others is set."""

    status: int
    namespace: Mapping[str, Any] | None
    error: str

    @property
    def accepted(self) -> bool:
        return self.namespace is not None


def accepts(source: Path, command_lines: Sequence[Sequence[str]]) -> list[Result]:
    """One result per command line, each the words after `vllm serve`; all are read in one process, in about a second.

    `source` is an unpacked source tree (`sources.unpacked`). What the engine checks later than its parser is not checked.
    """
    given = json.dumps([list(words) for words in command_lines])
    return [Result(**result) for result in in_a_process("parse", source, given)]
