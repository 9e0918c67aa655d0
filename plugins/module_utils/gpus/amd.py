"""What amd-smi tells of a host's AMD GPUs.

`amd-smi … --json` prints a list of GPUs up to ROCm 6, {"gpu_data": […]} for static and metric from ROCm 7 on. Power limits are
static.limit.{socket_power,min_power,max_power} up to ROCm 7.1, static.limit.ppt0.{socket,min,max}_power_limit from 7.2 on.
Sources: CHANGELOG.md of ROCm/amdsmi ("amd_smi_lib for ROCm …") and recordings
(tests/unit/plugins/module_utils/gpus/data/README.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.gpus import topology
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Errors, Facts, Gpu, Process
from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import MISSING, Run, one_line

TOOL = "amd-smi"
# AMD writes MB and GB and means powers of two: 196592 MB on a GPU of 192 GiB.
_UNITS = {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30}
_ROCM = re.compile(r"ROCm version: (\d+(?:\.\d+)+)")
_THERMAL = ("socket_thermal", "vr_thermal", "hbm_thermal", "prochot")


def read(run: Run, root: Path = Path("/")) -> Facts:
    """Ask amd-smi everything; `error` says why where it answers nothing of use. Never raises.

    Five commands, six with several GPUs.
    """
    returncode, out, err = run([TOOL, "static", "--json"])
    if returncode == MISSING:
        return Facts(TOOL, error=f"{TOOL} is not installed")
    static = _gpus(out)
    if not static:
        said = one_line(err, out) or f"{TOOL} said nothing and ended with status {returncode}"
        return Facts(TOOL, error=said, returncode=returncode)
    metric, listed, processes = (_gpus(run([TOOL, verb, "--json"])[1]) for verb in ("metric", "list", "process"))
    reached = _gpus(run([TOOL, "topology", "--json"])[1]) if len(static) > 1 else {}
    release = _ROCM.search(run([TOOL, "version"])[1])
    gpus = tuple(
        _gpu(
            index,
            static[index],
            metric.get(index, {}),
            listed.get(index, {}),
            _items(reached.get(index, {}), "links"),
            tuple(_processes(processes.get(index, {}))),
            root,
        )
        for index in sorted(static)
    )
    first = next(iter(static.values()))
    return Facts(
        TOOL,
        returncode=returncode,
        driver=_text(first, "driver", "version") or _text(first, "driver", "driver_version"),
        cuda=release[1] if release else "",
        gpus=gpus,
        topology=_paths(reached) if reached else None,
    )


def _gpu(
    index: int, static: Any, metric: Any, listed: Any, links: list[Any], processes: tuple[Process, ...], root: Path
) -> Gpu:
    address = (_text(static, "bus", "bdf") or _text(listed, "bdf")).lower()
    peers = [link for link in links if _text(link, "link_type") == "XGMI"]
    up = sum(_text(link, "link_status") in ("", "ENABLED") for link in peers)
    node = _whole(static, "numa", "node")
    hot = _number(metric, "temperature", "hotspot")
    return Gpu(
        index=index,
        vendor="amd",
        name=_text(static, "asic", "market_name"),
        uuid=_text(listed, "uuid"),
        address=address,
        serial=_text(static, "asic", "asic_serial"),
        memory=_size(static, "vram", "size") or _size(metric, "mem_usage", "total_vram"),
        memory_used=_size(metric, "mem_usage", "used_vram"),
        arch=_text(static, "asic", "target_graphics_version"),
        numa=node if node is not None and node >= 0 else topology.numa(address, root),
        errors=Errors(
            uncorrectable=_whole(metric, "ecc", "total_uncorrectable_count"),
            correctable=_whole(metric, "ecc", "total_correctable_count"),
            threshold={"true": True, "false": False}.get(_text(static, "ras", "bad_page_threshold_exceeded").lower()),
        ),
        power_limit=_limit(static, "socket_power"),
        power_limit_min=_limit(static, "min_power"),
        power_limit_max=_limit(static, "max_power"),
        max_graphics_clock=_whole(metric, "clock", "gfx_0", "max_clk"),
        temperature=hot if hot is not None else _number(metric, "temperature", "edge"),
        pcie_generation_max=_whole(static, "bus", "pcie_interface_version"),
        pcie_width=_whole(metric, "pcie", "width"),
        pcie_width_max=_whole(static, "bus", "max_pcie_width"),
        links=up if peers else None,
        links_down=len(peers) - up if peers else None,
        slowdown=tuple(
            name.replace("_", " ") for name in _THERMAL if _active(metric, "throttle", f"{name}_violation_status")
        ),
        processes=processes,
    )


def _gpus(text: str) -> dict[int, Any]:
    """{index: entry}; what is written before the JSON text (missing groups, deprecations) is passed over."""
    for start in re.finditer(r"^[\[{]", text, re.MULTILINE):
        try:
            read, __ = json.JSONDecoder().raw_decode(text, start.start())
        except ValueError:
            continue
        entries = read.get("gpu_data") if isinstance(read, dict) else read
        found = [entry for entry in entries or () if isinstance(entry, dict)] if isinstance(entries, list) else []
        return {entry["gpu"]: entry for entry in found if isinstance(entry.get("gpu"), int)}
    return {}


def _processes(entry: Any) -> Iterator[Process]:
    for item in _items(entry, "process_list"):
        info = _get(item, "process_info")
        pid = _whole(info, "pid")
        if pid is not None:
            memory = _size(info, "memory_usage", "vram_mem")
            yield Process(
                pid,
                _text(info, "name").partition(" ")[0],
                "C",
                memory if memory is not None else _size(info, "mem_usage"),
            )


def _paths(reached: dict[int, Any]) -> dict[str, str]:
    return {
        f"{index}-{link['gpu']}": _text(link, "link_type")
        for index, entry in reached.items()
        for link in _items(entry, "links")
        if isinstance(link, dict) and isinstance(link.get("gpu"), int) and index < link["gpu"]
    }


def _limit(static: Any, name: str) -> float | None:
    newer = _number(static, "limit", "ppt0", f"{name}_limit")
    return newer if newer is not None else _number(static, "limit", name)


def _active(entry: Any, *path: str) -> bool:
    found = _get(entry, *path)
    return "ACTIVE" in (found if isinstance(found, list) else [found])


def _items(entry: Any, name: str) -> list[Any]:
    found = _get(entry, name)
    return found if isinstance(found, list) else []


def _get(entry: Any, *path: str) -> Any:
    for name in path:
        entry = entry.get(name) if isinstance(entry, dict) else None
    return entry


def _text(entry: Any, *path: str) -> str:
    found = _get(entry, *path)
    return "" if found is None or isinstance(found, (dict, list)) or found == "N/A" else str(found)


def _number(entry: Any, *path: str) -> float | None:
    """A plain number, {"value": 4, "unit": "W"}, or a word with a number in it ("Gen 5")."""
    found = _get(entry, *path)
    found = found.get("value") if isinstance(found, dict) else found
    digits = re.search(r"-?\d+(\.\d+)?", str(found)) if isinstance(found, (int, float, str)) else None
    return float(digits[0]) if digits else None


def _whole(entry: Any, *path: str) -> int | None:
    found = _number(entry, *path)
    return None if found is None else int(found)


def _size(entry: Any, *path: str) -> int | None:
    found, value = _get(entry, *path), _number(entry, *path)
    unit = _UNITS.get(str(found.get("unit"))) if isinstance(found, dict) else None
    return int(value * unit) if value is not None and unit else None
