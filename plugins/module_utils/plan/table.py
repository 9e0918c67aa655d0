"""Tables for people at a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Columns padded to their widest cell, two spaces apart; numbers to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(header), *cells]) for i in range(len(header))]
    numeric = [bool(rows) and all(isinstance(row[i], (int, float)) for row in rows) for i in range(len(header))]

    def line(texts: Sequence[str]) -> str:
        padded = (t.rjust(w) if right else t.ljust(w) for t, w, right in zip(texts, widths, numeric))
        return "  ".join(padded).rstrip()

    return "\n".join([line(header), *(line(row) for row in cells)])


def plan_table(plan: dict[str, Any]) -> str:
    """The fleet as planned: one line per endpoint, in the inventory's order."""
    rows: list[tuple[Any, ...]] = []
    for host, planned in plan["hosts"].items():
        if not planned["services"]:
            rows.append((host, "(no model)", "", "", "", "", ""))
        for service in planned["services"]:
            gpus = ",".join(str(i) for i in service["gpus"]) or service["accelerator"]
            where = f"{service['address']}:{service['port']}"
            rows.append((host, service["name"], service["kind"], gpus, where, service["release"], service["origin"]))
    return table(("HOST", "MODEL", "KIND", "GPUS", "LISTENS ON", "RELEASE", "WEIGHTS"), rows)
