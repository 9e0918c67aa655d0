"""What moving to another release changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS = ("renamed", "replaced", "gone", "conflict", "meaning", "deprecated")


@dataclass(frozen=True)
class OptionChange:
    """`option`: as it was written, with its key; `kind`: one of KINDS; `since`: the release that began it, or "".

    `written`: the value that stood there; `becomes`: what is written instead, by option; `note`: sentences for a person.
    "conflict" is a combination of what remains that the release refuses: the operator's to settle.
    """

    option: str
    kind: str
    since: str
    written: Any
    becomes: Mapping[str, object] = field(default_factory=dict)
    note: str = ""
