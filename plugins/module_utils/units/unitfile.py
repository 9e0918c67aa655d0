"""A unit file read back: the command, the environment and the other settings. Takes any text and never raises."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ansible_collections.baremetal.vllm.plugins.module_utils.units import quoting

# In the environment of a unit: identifies all that its process depends on.
DIGEST = "BAREMETAL_VLLM_DIGEST"
_DIGEST_LINE = re.compile(rf'Environment="{DIGEST}=([0-9a-f]*)"')


@dataclass(frozen=True)
class UnitFile:
    """`settings`: section to key to its values as written, continuation lines joined; empty assignments reset a key."""

    settings: Mapping[str, Mapping[str, tuple[str, ...]]]

    def section(self, name: str) -> Mapping[str, tuple[str, ...]]:
        """The keys of a section (`Service`) and their values; {} where it is not there."""
        return self.settings.get(name, {})

    @cached_property
    def command(self) -> list[str]:
        """The words of `ExecStart=`."""
        lines = self.section("Service").get("ExecStart", ())
        return quoting.words(lines[-1], variables=True) if lines else []

    @cached_property
    def environment(self) -> dict[str, str]:
        """`Environment=` as one dictionary, the digest left out."""
        pairs = (
            word.partition("=")
            for line in self.section("Service").get("Environment", ())
            for word in quoting.words(line)
        )
        return {name: value for name, __, value in pairs if name != DIGEST}


def read_unit(text: str) -> UnitFile:
    """Settings by section, as systemd.syntax(7) splits them; lines that are no settings are passed over."""
    settings: dict[str, dict[str, tuple[str, ...]]] = {}
    section = ""
    for line in _logical_lines(text):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            continue
        key, equals, value = line.partition("=")
        if not equals:
            continue
        keys = settings.setdefault(section, {})
        key, value = key.rstrip(), value.strip()
        keys[key] = (*keys.get(key, ()), value) if value else ()
    return UnitFile(settings)


def _logical_lines(text: str) -> list[str]:
    lines: list[str] = []
    goes_on = False
    for line in text.split("\n"):
        body = line.strip(" \t\r")
        if body[:1] in ("#", ";"):
            continue
        before, goes_on = goes_on, body.endswith("\\")
        body = body[:-1] if goes_on else body
        if before:
            lines[-1] += f" {body}"
        elif body or goes_on:
            lines.append(body)
    return lines


def digest_of(text: str) -> str:
    """SHA-256 of the [Service] section but for its comments and the digest itself.

    A neighbour that comes or goes changes `After=` of the unit and not this, so it restarts nobody.
    """
    lines = text.partition("[Service]\n")[2].partition("[Install]\n")[0].split("\n")[:-1]
    kept = [line for line in lines if not line.startswith("#") and not _DIGEST_LINE.fullmatch(line)]
    return hashlib.sha256("\n".join(kept).encode("utf-8", "surrogatepass")).hexdigest()


def stated_digest(text: str) -> str:
    """The digest that a unit's environment carries; empty where there is none."""
    match = _DIGEST_LINE.search(text)
    return match[1] if match else ""


def with_digest(text: str) -> str:
    """A unit whose settings were changed, with the digest that is theirs."""
    return _DIGEST_LINE.sub(f'Environment="{DIGEST}={digest_of(text)}"', text, count=1)


def edited(text: str) -> bool:
    """Whether somebody else changed what the process depends on since this toolkit wrote the file."""
    return digest_of(text) != stated_digest(text)
