"""What nvidia-smi tells of a host's GPUs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.gpus import smi_xml, topology
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts, Gpu, MigDevice
from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import MISSING, Run, one_line

TOOL = "nvidia-smi"
# `-L` under a GPU in MIG mode: "  MIG 1g.10gb     Device  0: (UUID: MIG-…)", before 470 "MIG-GPU-…/7/0".
_MIG_LINE = re.compile(r"\s+MIG (\S+)\s+Device\s+(\d+): \(UUID: (\S+)\)")
_GPU_LINE = re.compile(r"GPU (\d+): ")


def read(run: Run, root: Path = Path("/")) -> Facts:
    """Ask nvidia-smi everything; `error` says why where it answers nothing of use, or not for every GPU. Never raises.

    Two commands on a host with one GPU, two more with several, one more where MIG is on. A first command that hangs or
    finds no driver is the last one.
    """
    returncode, out, err = run([TOOL, "-q", "-x"])
    if returncode == MISSING:
        return Facts(TOOL, error=f"{TOOL} is not installed")
    report = smi_xml.parse(out)
    if report is None:
        return Facts(TOOL, error=_words(returncode, out, err), returncode=returncode)
    # Some releases report the GPUs that answer, and say in plain text which one does not; some end with status 0 all the same.
    error = one_line(report.rest, err)
    if report.cut:
        error = one_line(error, "The XML report is cut off.")
    if returncode and not report.gpus and not error:
        error = _words(returncode, "", err)
    gpus = _indexed(report.gpus, run)
    gpus = tuple(replace(gpu, numa=topology.numa(gpu.address, root)) for gpu in gpus)
    if any(gpu.mig_devices for gpu in gpus):
        gpus = _with_mig(gpus, run)
    paths = None
    if len(gpus) > 1:
        gpus = _with_links(gpus, run)
        answer = run([TOOL, "topo", "-m"])
        paths = topology.matrix(answer[1]) if answer[0] == 0 else None
    return Facts(TOOL, error, returncode, report.driver, report.cuda, gpus, paths)


def _words(returncode: int, out: str, err: str) -> str:
    return one_line(out, err) or f"{TOOL} said nothing and ended with status {returncode}"


def _indexed(gpus: tuple[Gpu, ...], run: Run) -> tuple[Gpu, ...]:
    """Index and compute capability, which the XML report lacks. Drivers before 510 do not know compute_cap."""
    if not gpus:
        return gpus
    told = _query(run, "index,pci.bus_id,compute_cap") or _query(run, "index,pci.bus_id")
    merged = []
    for gpu in gpus:
        values = told.get(gpu.address)
        capability = values[1] if values and len(values) > 1 and re.fullmatch(r"\d+\.\d+", values[1]) else ""
        merged.append(replace(gpu, index=int(values[0]), capability=capability) if values else gpu)
    return tuple(merged)


def _query(run: Run, names: str) -> dict[str, list[str]]:
    """{address: [index, …]} of a CSV query; lines of plain words (a field that this release does not know) are left out."""
    out = run([TOOL, f"--query-gpu={names}", "--format=csv,noheader,nounits"])[1]
    rows = [[cell.strip() for cell in line.split(",")] for line in out.splitlines()]
    wanted = names.count(",") + 1
    return {smi_xml.address(row[1]): [row[0], *row[2:]] for row in rows if len(row) == wanted and row[0].isdigit()}


def _with_mig(gpus: tuple[Gpu, ...], run: Run) -> tuple[Gpu, ...]:
    """Names and UUIDs of the slices: most releases leave them out of the XML report."""
    out = run([TOOL, "-L"])[1]
    known: dict[tuple[int, int], tuple[str, str]] = {}
    index = -1
    for line in out.splitlines():
        head, slice_ = _GPU_LINE.match(line), _MIG_LINE.match(line)
        index = int(head[1]) if head else index
        if slice_:
            known[index, int(slice_[2])] = slice_[1], slice_[3]

    def named(gpu: Gpu, device: MigDevice) -> MigDevice:
        profile, uuid = known.get((gpu.index, device.index), (device.profile, device.uuid))
        return replace(device, profile=profile, uuid=uuid)

    return tuple(replace(gpu, mig_devices=tuple(named(gpu, device) for device in gpu.mig_devices)) for gpu in gpus)


def _with_links(gpus: tuple[Gpu, ...], run: Run) -> tuple[Gpu, ...]:
    out = run([TOOL, "nvlink", "-s"])[1]
    found = topology.links(out)
    return tuple(
        replace(gpu, links=found[gpu.index][0], links_down=found[gpu.index][1]) if gpu.index in found else gpu
        for gpu in gpus
    )
