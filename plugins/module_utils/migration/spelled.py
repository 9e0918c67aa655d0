"""The operator's spelling of an option, read as any known release would have read it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ansible_collections.baremetal.vllm.plugins.module_utils.catalogue import load
from ansible_collections.baremetal.vllm.plugins.module_utils.catalogue.model import Release
from ansible_collections.baremetal.vllm.plugins.module_utils.migration import fates


class Name(NamedTuple):
    """`option`: its name; `off`: the spelling switches it off; `how`: "" or what the spelling was: short, abbreviated."""

    option: str
    off: bool = False
    how: str = ""


def identify(name: str, releases: Iterable[Release | None]) -> Name | None:
    """What a normalised name stands for in the first of `releases` that knows it, then in any, newest first."""
    order = [release for release in releases if release is not None]
    order += [r for v in reversed(load.releases()) if (r := load.release(v)) is not None and r not in order]
    for release in order:
        option = release.spellings.get(name)
        if option is not None:
            off = name in release.options[option].negatives
            return Name(option, off) if off else Name(name if name in release.options else option)
    if name in fates.options():
        return Name(name)
    for release in order:
        for option, spec in release.options.items():
            if name in spec.short:
                return Name(option, how="is a short form")
    for release in order:
        longer = {option for spelling, option in release.spellings.items() if spelling.startswith(name)}
        if len(longer) == 1 and name:
            return Name(longer.pop(), how="is an abbreviation")
    return None
