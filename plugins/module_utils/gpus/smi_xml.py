"""The report of `nvidia-smi -q -x`, whichever release wrote it.

Names that moved are read under all of them: power_readings (to 530) and gpu_power_readings, clocks_throttle_reasons (to 530)
and clocks_event_reasons, single_bit/double_bit totals (to Volta) and sram/dram counts, parity and SEC-DED apart (550 on).
Document types nvsmi_device_v10 to v13 have been seen: tests/unit/plugins/module_utils/gpus/data has
recordings and where they are from.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from ansible_collections.baremetal.vllm.plugins.module_utils.gpus import smi_values as values
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Errors, Gpu, MigDevice, Process

_LOST = re.compile(r"\[?(gpu is lost|gpu requires reset)\.?\]?", re.IGNORECASE)
_UNREADABLE = re.compile(r"\[?(unknown error|err!)\]?", re.IGNORECASE)
# Healthy boards lack many values; these every GPU has.
_ALWAYS_READABLE = ("uuid", "fb_memory_usage/total", "temperature/gpu_temp", "performance_state")
_BAD = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]|&(?!#?\w+;)")


@dataclass(frozen=True)
class Report:
    """`gpus` in the report's order; `rest` is what was written around the report, `cut` whether it ends too early."""

    driver: str
    cuda: str
    gpus: tuple[Gpu, ...]
    rest: str
    cut: bool


def parse(text: str) -> Report | None:
    """The report in `text`, or None where there is none. What a report that was cut off holds whole is kept."""
    start = text.find("<nvidia_smi_log")
    if start < 0:
        return None
    end = text.find("</nvidia_smi_log>")
    body, after = (text[start:], "") if end < 0 else (text[start : end + 17], text[end + 17 :])
    before = re.sub(r"<\?xml[^>]*>|<!DOCTYPE[^>]*>", "", text[:start])
    found = list(_elements(body))
    return Report(
        driver=next((values.said(e.text) for e in found if e.tag == "driver_version"), ""),
        cuda=next((values.said(e.text) for e in found if e.tag == "cuda_version"), ""),
        gpus=tuple(_gpu(e, n) for n, e in enumerate(e for e in found if e.tag == "gpu" and e.get("id"))),
        rest=f"{before} {after}".strip(),
        cut=not found or found[-1].tag != "nvidia_smi_log",
    )


def _elements(body: str) -> Iterator[Element]:
    """All elements in the order in which they end, up to where the text stops being XML."""
    parser: Any = ElementTree.XMLPullParser(events=("end",))
    # Names of processes have been printed as they are.
    with contextlib.suppress(ElementTree.ParseError):
        parser.feed(_BAD.sub("?", body))
        for __, element in parser.read_events():
            yield element


def _gpu(gpu: Element, index: int) -> Gpu:
    power = values.first(gpu, "gpu_power_readings", "power_readings")
    limit = values.number(power, "current_power_limit")
    return Gpu(
        index=index,
        vendor="nvidia",
        name=values.text(gpu, "product_name"),
        uuid=values.text(gpu, "uuid"),
        address=address(gpu.get("id") or ""),
        minor=values.whole(gpu, "minor_number"),
        serial=values.text(gpu, "serial"),
        memory=values.size(gpu, "fb_memory_usage/total"),
        memory_used=values.size(gpu, "fb_memory_usage/used"),
        mig=values.switch(gpu, "mig_mode/current_mig"),
        mig_pending=values.switch(gpu, "mig_mode/pending_mig"),
        mig_devices=tuple(_mig_device(device) for device in gpu.findall("mig_devices/mig_device")),
        ecc=values.switch(gpu, "ecc_mode/current_ecc"),
        errors=_errors(gpu),
        power_limit=limit if limit is not None else values.number(power, "power_limit"),
        power_limit_min=values.number(power, "min_power_limit"),
        power_limit_max=values.number(power, "max_power_limit"),
        power_limit_default=values.number(power, "default_power_limit"),
        persistence=values.yes(gpu, "persistence_mode"),
        compute_mode=values.text(gpu, "compute_mode"),
        max_graphics_clock=values.whole(gpu, "max_clocks/graphics_clock"),
        temperature=values.number(gpu, "temperature/gpu_temp"),
        pcie_generation=values.whole(gpu, "pci/pci_gpu_link_info/pcie_gen/current_link_gen"),
        pcie_generation_max=values.whole(gpu, "pci/pci_gpu_link_info/pcie_gen/max_link_gen"),
        pcie_width=values.whole(gpu, "pci/pci_gpu_link_info/link_widths/current_link_width"),
        pcie_width_max=values.whole(gpu, "pci/pci_gpu_link_info/link_widths/max_link_width"),
        fabric=_fabric(gpu),
        fabric_health=", ".join(_ailments(gpu)),
        recovery=_recovery(gpu),
        slowdown=tuple(_slowdown(gpu)),
        trouble=_trouble(gpu),
        processes=tuple(_processes(gpu)),
    )


def address(text: str) -> str:
    """A PCI address as the kernel writes it: "00000000:1B:00.0" is "0000:1b:00.0"."""
    domain, __, rest = text.strip().lower().partition(":")
    return f"{domain[-4:].rjust(4, '0')}:{rest}" if rest else text.strip().lower()


def _mig_device(device: Element) -> MigDevice:
    return MigDevice(
        index=values.whole(device, "index") or 0,
        uuid=values.text(device, "uuid"),
        profile="",
        gpu_instance=values.whole(device, "gpu_instance_id") or 0,
        compute_instance=values.whole(device, "compute_instance_id") or 0,
        memory=values.size(device, "fb_memory_usage/total") or 0,
    )


def _errors(gpu: Element) -> Errors:
    found = gpu.find("ecc_errors")
    return Errors(
        uncorrectable=_count(found, "volatile", ("uncorrectable",), "double_bit"),
        uncorrectable_total=_count(found, "aggregate", ("uncorrectable",), "double_bit"),
        correctable=_count(found, "volatile", ("_correctable",), "single_bit"),
        remap_pending=values.yes(gpu, "remapped_rows/remapped_row_pending"),
        remap_failed=values.yes(gpu, "remapped_rows/remapped_row_failure"),
        retired_pending=values.either(
            values.yes(gpu, "retired_pages/pending_retirement"), values.yes(gpu, "retired_pages/pending_blacklist")
        ),
        repair_pending=values.either(
            values.yes(gpu, "ecc_errors/channel_repair_pending"), values.yes(gpu, "ecc_errors/tpc_repair_pending")
        ),
        unrepairable=values.yes(gpu, "ecc_errors/unrepairable_memory"),
        threshold=values.yes(gpu, "ecc_errors/aggregate/sram_threshold_exceeded"),
    )


def _count(errors: Element | None, since: str, words: tuple[str, ...], old: str) -> int | None:
    """Sum of the counters of one kind; older layouts give a total per kind, of which the parts are below."""
    if errors is None:
        return None
    total = values.whole(errors, f"{since}/{old}/total")
    if total is not None:
        return total
    counters = [
        values.integer(item.text) for item in errors.findall(f"{since}/*") if any(word in item.tag for word in words)
    ]
    counted = [count for count in counters if count is not None]
    return sum(counted) if counted else None


def _fabric(gpu: Element) -> str:
    state, status = values.text(gpu, "fabric/state").lower(), values.text(gpu, "fabric/status").lower()
    return f"{state} with {status}" if state == "completed" and status not in ("", "success") else state


def _ailments(gpu: Element) -> Iterator[str]:
    """What `fabric/health` says beside Healthy, Full and False (590: summary, bandwidth, route_unhealthy and others)."""
    for item in gpu.findall("fabric/health/*"):
        word = values.said(item.text).lower()
        if word not in ("", "healthy", "full", "false", "no"):
            yield f"{item.tag.replace('_', ' ')} {word}"


def _recovery(gpu: Element) -> str:
    advice = gpu.findtext("gpu_recovery_action")
    if advice is not None:
        word = advice.strip().lower()
        return "none" if word == "none" else values.said(word)
    # Until 560 two questions of yes and no.
    reset, drain = (
        values.yes(gpu, "gpu_reset_status/reset_required"),
        values.yes(gpu, "gpu_reset_status/drain_and_reset_recommended"),
    )
    if reset is None and drain is None:
        return ""
    return "reset" if reset else "drain and reset" if drain else "none"


def _slowdown(gpu: Element) -> Iterator[str]:
    reasons = values.first(gpu, "clocks_event_reasons", "clocks_throttle_reasons")
    for item in [] if reasons is None else reasons:
        if item.tag.endswith("_slowdown") and values.said(item.text).lower() == "active":
            yield re.sub(r"^clocks_(event|throttle)_reason_", "", item.tag).replace("_", " ")


def _trouble(gpu: Element) -> str:
    for item in gpu.iter():
        said = _LOST.fullmatch((item.text or "").strip())
        if said:
            return "GPU is lost" if "lost" in said[1].lower() else "GPU requires reset"
    unreadable = [path for path in _ALWAYS_READABLE if _UNREADABLE.fullmatch((gpu.findtext(path) or "").strip())]
    return f"Unknown Error for {', '.join(unreadable)}" if unreadable else ""


def _processes(gpu: Element) -> Iterator[Process]:
    for item in gpu.findall("processes/process_info"):
        pid = values.whole(item, "pid")
        if pid is not None:
            # Some releases print the whole command line, and an API key may stand there.
            name = values.text(item, "process_name").partition(" ")[0]
            yield Process(pid, name, values.text(item, "type"), values.size(item, "used_memory"))
