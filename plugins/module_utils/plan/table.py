"""Tables for people at a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.inventory.address import with_port
from ansible_collections.baremetal.vllm.plugins.module_utils.inventory.problems import some


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
    """The fleet as planned: one line per endpoint, in the inventory's order; `?` where the memory is not known."""
    rows: list[tuple[Any, ...]] = []
    unknown: dict[str, list[str]] = {}
    for host, planned in plan["hosts"].items():
        if not planned["services"]:
            rows.append((host, "(no model)", *[""] * 7))
        for service in planned["services"]:
            gpus = ",".join(str(i) for i in service["gpus"]) or service["accelerator"]
            where = with_port(service["address"], service["port"])
            takes, longest = _memory(service["memory"])
            named = (host, service["name"], service["kind"], gpus, takes, longest, where)
            rows.append((*named, service["release"], service["origin"]))
            for what in service["memory"]["unknown"]:
                names = unknown.setdefault(what, [])
                if service["name"] not in names:
                    names.append(service["name"])
    header = ("HOST", "MODEL", "KIND", "GPUS", "WEIGHTS", "LONGEST", "LISTENS ON", "RELEASE", "FROM")
    notes = [f"not known of {some(names)}: {what}" for what, names in unknown.items()]
    return "\n".join([table(header, rows), *([""] if notes else []), *notes])


def _memory(memory: dict[str, Any]) -> tuple[str, str]:
    """Weights of the memory of each GPU in GiB, and the longest request that fits in tokens."""
    weights = "?" if memory["weights"] is None else f"{memory['weights'] / 2**30:.1f}"
    whole = "" if memory["gpu"] is None else f" of {memory['gpu'] / 2**30:.0f} GiB"
    return weights + whole, "?" if memory["longest"] is None else str(memory["longest"])
