"""Reading values out of nvidia-smi's XML: a number or word, or None and "" for any of the ways to say that there is none."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

# What stands where a value should: the GPU cannot, the driver does not, the reader may not.
_NOTHING = re.compile(
    r"\[?(|n/a|none|not supported|not available|not found|unknown|unknown error|err!|gpu is lost|gpu requires reset"
    r"|function not found|insufficient permissions|requested functionality has been deprecated|no data)\.?\]?",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)\s*([A-Za-z%/]*)")
# nvidia-smi writes MiB; releases before 300 wrote MB and meant the same.
_UNITS = {"b": 1, "bytes": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 2**10, "mb": 2**20, "gb": 2**30}


def first(gpu: Element, *names: str) -> Element | None:
    """The element under the first of these paths that is there: releases of nvidia-smi name some differently."""
    return next((found for found in map(gpu.find, names) if found is not None), None)


def said(content: str | None) -> str:
    """Text without blanks around it; "" for None and for all of nvidia-smi's ways to say that there is none."""
    plain = (content or "").strip()
    return "" if _NOTHING.fullmatch(plain) else plain


def text(parent: Element, path: str) -> str:
    """The text at a path below `parent`; "" where nothing is said."""
    return said(parent.findtext(path))


def number(parent: Element | None, path: str) -> float | None:
    """The number at a path, without its unit; None where there is none."""
    found = _NUMBER.match(text(parent, path)) if parent is not None else None
    return float(found[1]) if found else None


def whole(parent: Element, path: str) -> int | None:
    """Like `number`, cut to a whole one."""
    return integer(parent.findtext(path))


def integer(content: str | None) -> int | None:
    """The whole number at the beginning of a text, whatever its unit; None where there is none."""
    found = _NUMBER.match(said(content))
    return int(float(found[1])) if found else None


def size(parent: Element, path: str) -> int | None:
    """Bytes at a path (`81559 MiB`); None without a number or without a unit that is known."""
    found = _NUMBER.match(text(parent, path))
    unit = _UNITS.get(found[2].lower()) if found else None
    return int(float(found[1]) * unit) if found and unit else None


def yes(parent: Element, path: str) -> bool | None:
    """True for yes, enabled and true, False for their opposites, None for anything else."""
    word = text(parent, path).lower()
    return True if word in ("yes", "enabled", "true") else False if word in ("no", "disabled", "false") else None


def either(*answers: bool | None) -> bool | None:
    """Whether one of the answers is True; None where none was given."""
    given = [answer for answer in answers if answer is not None]
    return any(given) if given else None


def switch(parent: Element, path: str) -> str:
    """ "enabled" or "disabled" for any way to say so, "" for neither."""
    answer = yes(parent, path)
    return "" if answer is None else "enabled" if answer else "disabled"
