"""What vLLM says of an option or key that it means to drop, in our words."""

from __future__ import annotations

import re

_ANNOUNCED = re.compile(r"remov\w* in (?:version |release |the )?[`v]*(\d+\.\d+(?:\.\d+)?)", re.I)
_INSTEAD = re.compile(
    r"(?:\buse|favou?r of|replaced (?:by|with))\s+(?:the\s+)?[`'\"]*"
    r"(?P<name>--[a-z](?:[\w.-]*\w)?|(?<=[`'\"])[a-z](?:[\w.-]*\w)?)",
    re.I,
)


def deprecation(name: str, text: str, declared: bool = False) -> str:
    """ "" where the help does not call `name` itself deprecated, else what it announces: "use --y, removal announced for 0.34".

    `declared` says that the parser counts the option as deprecated whatever the text says.
    """
    text = " ".join(text.split())
    spelled = re.escape(name).replace("_", "[_-]")
    of_itself = (
        rf"^\W*deprecated\b|\[deprecated|\b{spelled}\W* (?:is|has been|was) deprecated"
        r"|\bthis \w+ (?:is|has been) deprecated"
    )
    if not declared and not re.search(of_itself, text, re.I):
        return ""
    found, announced = _INSTEAD.search(text), _ANNOUNCED.search(text)
    instead = found["name"] if found else ""
    facts = [f"use {instead}"] if instead and instead.strip("-").replace("-", "_") != name else []
    facts += [f"removal announced for {announced[1]}"] if announced else []
    return ", ".join(facts) or "no replacement named"
