"""Why a package manager or a build failed: the one line that a person needs out of thousands."""

from __future__ import annotations

import re
from collections.abc import Sequence

# In the order of their worth: a compiler's error says more than what the tools around it make of it.
CAUSES = (
    re.compile(r"^.*\b(fatal )?error: .*"),
    re.compile(r"^make(\[\d+\])?: \*\*\* .*"),
    re.compile(r"^Error! .*"),
    re.compile(r"^(E|Err(or)?): .*"),
    re.compile(r"^dpkg: error .*"),
    re.compile(r"^.*(Problem: |nothing provides |conflicting requests|No match for argument).*"),
    re.compile(r"^modprobe: (FATAL|ERROR): .*"),
)
_CONSULT = re.compile(r"(/var/lib/dkms/\S+/make\.log)")


def cause(lines: Sequence[str]) -> str:
    """The line that names the cause, else the last one; "" of nothing."""
    for pattern in CAUSES:
        for line in lines:
            if pattern.match(line):
                return line.strip()
    return lines[-1].strip() if lines else ""


def build_log(lines: Sequence[str]) -> str:
    """The log that DKMS points at, "" where it points at none."""
    for line in lines:
        match = _CONSULT.search(line)
        if match:
            return match[1]
    return ""


def stage(line: str) -> str:
    """What a line of apt, dnf or dkms says for the person waiting; "" for those that say nothing new."""
    for pattern, text in _STAGES:
        match = pattern.match(line)
        if match:
            return text.format(*match.groups())
    return ""


_STAGES = (
    (re.compile(r"^Get:\d+ .* (\S+) (?:amd64|arm64|all) (\S+) \[.*"), "download {0} {1}"),
    (re.compile(r"^Unpacking (\S+) \((\S+)\).*"), "unpack {0} {1}"),
    (re.compile(r"^Setting up (\S+) \((\S+)\).*"), "set up {0} {1}"),
    (re.compile(r"^Removing (\S+) \((\S+)\).*"), "remove {0} {1}"),
    (re.compile(r"^Building (?:initial )?module (?:for )?(\S+).*"), "build the module for {0}"),
    (re.compile(r"^Building for (\S+).*"), "build the module for {0}"),
    (re.compile(r"^Building module:?.*"), "build the module"),
    (re.compile(r"^update-initramfs: Generating (\S+).*"), "make {0}"),
    (re.compile(r"^\s+(?:Installing|Upgrading|Downgrading|Erasing)\s*: (\S+)\s+(\d+/\d+).*"), "{1} {0}"),
)
