"""One command that changes a host's driver, with what a person reads while it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DriverCommand:
    """`title` is what it does, in words; `simulate` is the same without effect, () where there is no such thing.

    `optional` commands may fail (stopping a service that is not there).
    """

    title: str
    argv: tuple[str, ...]
    simulate: tuple[str, ...] = ()
    optional: bool = False
