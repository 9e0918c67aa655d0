"""A difference that was saved (`plan --diff -e vllm_plan_json=FILE`) beside that of now: whether it holds, and why not. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.table import grouped

# Of what is saved of a model: what would become of it, and why.
_OF_MODEL = ("model", "unit", "change", "why", "causes")


class NoDifferenceError(ValueError):
    """A file that holds no difference; says why."""


def read_saved(text: str, schema: int) -> dict[str, Any]:
    """The document of that schema. Raises NoDifferenceError: for what is none, or holds a plan alone."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise NoDifferenceError(f"it is no JSON ({error})") from None
    if not isinstance(document, dict) or document.get("schema") != schema:
        found = document.get("schema") if isinstance(document, dict) else None
        raise NoDifferenceError(f"its schema is {found}, and this collection reads {schema}")
    differences = document.get("differences")
    if not isinstance(differences, dict) or not isinstance(differences.get("hosts"), dict):
        raise NoDifferenceError("it holds a plan and no differences: no host was asked (--diff)")
    return document


def moved(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Why a saved difference does not hold any more, one line each; none where it does.

    Both are documents of render.document; hosts that were not read now are passed over, as they are in the run.
    """
    lines = []
    if saved.get("digest") != now["digest"]:
        lines.append("the inventory plans something else now")
    before = saved["differences"]["hosts"]
    told = []
    for host, found in now["differences"]["hosts"].items():
        if found["status"] == "read":
            told += [(host, line) for line in _host(before.get(host) or {"status": "not asked"}, found)]
    return [*lines, *grouped(told)]


def _host(saved: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    if saved.get("status") != "read":
        yield f"it was {saved.get('status')} when the difference was saved"
        return
    earlier, later = _told(saved), _told(found)
    for what, change in later.items():
        if earlier.get(what) != change:
            yield f"{what} would be {_was(change)} now, and was to be {_was(earlier.get(what))}"
    for what in earlier:
        if what not in later:
            yield f"{what} was to be {_was(earlier[what])}, and is as planned now"


def _was(change: Mapping[str, Any] | None) -> str:
    return f"{change['change']} ({change['why'] or 'no reason'})" if change else "left as it was"


def _told(host: Mapping[str, Any]) -> dict[str, Any]:
    """By what it is about everything that would be done on a host; what is left as it is is not in it."""
    models = {
        f"{each['model']} ({each['unit']})": json.loads(json.dumps({key: each[key] for key in _OF_MODEL}))
        for each in host["models"]
        if each["change"] != "unchanged"
    }
    # Several files of a host are one item each time.
    changes = {
        f"{each['item'].strip('()')} {each['why'] if each['item'] == '(file)' else ''}".strip(): {
            key: each[key] for key in ("change", "why")
        }
        for each in host["changes"]
    }
    return {**models, **changes}
