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
    return next((found for found in map(gpu.find, names) if found is not None), None)


def said(content: str | None) -> str:
    plain = (content or "").strip()
    return "" if _NOTHING.fullmatch(plain) else plain


def text(parent: Element, path: str) -> str:
    return said(parent.findtext(path))


def number(parent: Element | None, path: str) -> float | None:
    found = _NUMBER.match(text(parent, path)) if parent is not None else None
    return float(found[1]) if found else None


def whole(parent: Element, path: str) -> int | None:
    return integer(parent.findtext(path))


def integer(content: str | None) -> int | None:
    found = _NUMBER.match(said(content))
    return int(float(found[1])) if found else None


def size(parent: Element, path: str) -> int | None:
    found = _NUMBER.match(text(parent, path))
    unit = _UNITS.get(found[2].lower()) if found else None
    return int(float(found[1]) * unit) if found and unit else None


def yes(parent: Element, path: str) -> bool | None:
    word = text(parent, path).lower()
    return True if word in ("yes", "enabled", "true") else False if word in ("no", "disabled", "false") else None


def either(*answers: bool | None) -> bool | None:
    given = [answer for answer in answers if answer is not None]
    return any(given) if given else None


def switch(parent: Element, path: str) -> str:
    answer = yes(parent, path)
    return "" if answer is None else "enabled" if answer else "disabled"
