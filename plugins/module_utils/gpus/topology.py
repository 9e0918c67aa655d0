"""How the GPUs of a host reach each other: `nvidia-smi topo -m`, `nvidia-smi nvlink -s`, and NUMA nodes from sysfs."""

from __future__ import annotations

import re
from pathlib import Path

_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_GPU = re.compile(r"GPU(\d+)")
_NVLINK_GPU = re.compile(r"GPU (\d+):")
_NVLINK_LINK = re.compile(r"\s+Link (\d+): (.+)")


def matrix(text: str) -> dict[str, str]:
    """{"0-1": "NV18"} from the table of `topo -m`; rows and columns that are no GPUs (NICs, affinities) are left out.

    Header cells are underlined with escapes and parted by tabs; empty affinity cells may stand in a row.
    """
    rows = [line.split("\t") if "\t" in line else line.split() for line in _ESCAPE.sub("", text).splitlines()]
    cells = [[cell.strip() for cell in row] for row in rows]
    header = next((row for row in cells if any(_GPU.fullmatch(cell) for cell in row[1:])), None)
    if header is None:
        return {}
    columns = [cell for cell in header if cell]
    paths = {}
    for row in cells[cells.index(header) + 1 :]:
        this = _GPU.fullmatch(row[0]) if row else None
        if this is None:
            continue
        for column, cell in zip(columns, row[1:]):
            other = _GPU.fullmatch(column)
            if other and int(this[1]) < int(other[1]) and cell and cell != "X":
                paths[f"{this[1]}-{other[1]}"] = cell
    return paths


def links(text: str) -> dict[int, tuple[int, int]]:
    """{GPU index: (links up, links that are there and not up)} from `nvlink -s`: "Link 3: 26.562 GB/s", "Link 4: <inactive>"."""
    found: dict[int, tuple[int, int]] = {}
    current = None
    for line in text.splitlines():
        head, link = _NVLINK_GPU.match(line), _NVLINK_LINK.fullmatch(line)
        if head:
            current = int(head[1])
        elif link and current is not None:
            up, down = found.get(current, (0, 0))
            found[current] = (up + 1, down) if "GB/s" in link[2] else (up, down + 1)
    return found


def numa(address: str, root: Path = Path("/")) -> int | None:
    """The NUMA node of a PCI address ("0000:1b:00.0"); None where the machine has one only, or does not tell."""
    try:
        node = int((root / "sys/bus/pci/devices" / address / "numa_node").read_text())
    except (OSError, ValueError):
        return None
    return node if node >= 0 else None
