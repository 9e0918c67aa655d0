"""The operator's spelling of an option, read as any known release would have read it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import fates, load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release


class Name(NamedTuple):
    """`option`: its name; `off`: the spelling switches it off; `how`: "" or what the spelling was: short, abbreviated."""

    option: str
    off: bool = False
    how: str = ""


def identify(name: str, releases: Iterable[Release | None]) -> Name | None:
    """What a normalised name stands for in the first of `releases` that knows it, then in any, newest first."""
    asked = [release for release in releases if release is not None]
    others = [r for version in reversed(load.releases()) if (r := load.release(version)) is not None]
    for release in asked:
        if name in release.spellings:
            return _stands_for(name, release)
    # What was an option of its own somewhere is that, before it is another's opposite.
    if name in fates.options() or any(name in release.options for release in others):
        return Name(name)
    for release in others:
        if name in release.spellings:
            return _stands_for(name, release)
    for release in (*asked, *others):
        for option, spec in release.options.items():
            if name in spec.short:
                return Name(option, how="is a short form")
    for release in (*asked, *others):
        longer = {option for spelling, option in release.spellings.items() if spelling.startswith(name)}
        if len(longer) == 1 and name:
            return Name(longer.pop(), how="is an abbreviation")
    return None


def _stands_for(name: str, release: Release) -> Name:
    option = release.spellings[name]
    return Name(option, off=name in release.options[option].negatives)
