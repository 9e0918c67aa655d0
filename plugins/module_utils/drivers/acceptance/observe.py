"""Looking at a host before it is accepted: GPUs, DCGM, what uses the GPUs, the record and a run that is under way."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance import job
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance.model import AcceptanceSight
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance.record import PATH
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import User
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus import amd, smi
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts
from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import Run

_VERSION = re.compile(r"version\s*:\s*(\d+(?:\.\d+)+)")
_UNIT = re.compile(r"([^/\s]+\.(?:service|scope))(?:/|$)")
# What may use a GPU while it is tested: DCGM itself is the tester, persistenced only holds the device open.
_OURS = ("nvidia-dcgm.service", "nvidia-dcgm-exporter.service", "nvidia-persistenced.service", job.UNIT)


def look(accelerator: str, run: Run, root: Path = Path("/")) -> AcceptanceSight:
    """See `AcceptanceSight`; `accelerator` is cuda or rocm. Never raises for a tool that fails."""
    facts = read_facts(accelerator, run)
    units = model_units(run)
    return AcceptanceSight(
        facts=facts,
        dcgm=dcgm_version(run) if accelerator == "cuda" else "",
        record=_text(root / PATH.lstrip("/")),
        units=units,
        users=tuple(user for user in gpu_users(facts, root) if user.unit not in (*units, *_OURS)),
        run=job.state(run, root),
    )


def read_facts(accelerator: str, run: Run) -> Facts:
    """The GPUs as amd-smi shows them where `accelerator` is rocm, as nvidia-smi does otherwise."""
    return amd.read(run) if accelerator == "rocm" else smi.read(run)


def dcgm_version(run: Run) -> str:
    """ "4.5.2", as `dcgmi --version` prints it ("dcgmi  version: 4.5.2"); "" where it is not installed."""
    returncode, out, __ = run(["dcgmi", "--version"])
    found = _VERSION.search(out)
    return found[1] if returncode == 0 and found else ""


def model_units(run: Run) -> tuple[str, ...]:
    """vllm-*.service that run, start or stop."""
    states = "active,activating,reloading,deactivating"
    out = run(["systemctl", "list-units", "--no-legend", "--plain", f"--state={states}", "vllm-*.service"])[1]
    return tuple(sorted(line.split()[0] for line in out.splitlines() if line.split()))


def gpu_users(facts: Facts, root: Path = Path("/")) -> tuple[User, ...]:
    """Processes that compute on a GPU, each once, with their systemd unit. A desktop's drawing is DCGM's to judge."""
    seen = {process.pid: process for gpu in facts.gpus for process in gpu.processes if "C" in process.kind}
    return tuple(User(pid, process.name, _unit(root, pid)) for pid, process in sorted(seen.items()))


def _unit(root: Path, pid: int) -> str:
    found = _UNIT.findall(_text(root / "proc" / str(pid) / "cgroup"))
    return str(found[-1]) if found else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
