"""Faults of what NVLink fabrics want beside the fabric manager: the subnet manager of NVLink 5 switches, and IMEX between hosts.

Sources: nvidia-fabricmanager-start.sh of 580.178.04, which ends with status 1 unless ib_umad is loaded, ibstat is found and
/opt/nvidia/nvlsm/sbin/nvlsm is there (its words in public logs: gpu-operator issue 2781, siderolabs/extensions pull request 717,
CanvOS pull request 700); NVIDIA IMEX Service for NVLink Networks, https://docs.nvidia.com/multi-node-nvlink-systems/imex-guide/.
"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import look_modules
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import hardware
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.companions import IBSTAT, SUBNET_MANAGER
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.diagnose_case import Case, some
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.diagnose_services import sentence
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding

_IMEX = "nvidia-imex"
_STOPS = "the fabric manager does not start without, and no program can use a GPU (CUDA error 802)"


def subnet_manager(case: Case) -> Iterator[Finding]:
    """The packages that NVLink 5 switches want, and that no other depends on."""
    if not case.installed or not hardware.has_nvlink5(case.gpus, case.state.switches):
        return
    for package, name, what in (
        (SUBNET_MANAGER, "nvlsm-missing", "the subnet manager of the NVLink 5 switches (nvlsm) is not installed"),
        (
            IBSTAT,
            "ibstat-missing",
            f"ibstat, which the fabric manager of NVLink 5 switches calls, is not installed ({IBSTAT})",
        ),
    ):
        if package not in case.state.packages:
            yield Finding(name, f"{what}: {_STOPS}", f"{package} is installed", "packages")


def umad(case: Case) -> Iterator[Finding]:
    """The kernel module by which the subnet manager reaches the switches."""
    if not hardware.has_nvlink5(case.gpus, case.state.switches):
        return
    now = () if case.state.umad or case.running is None else (case.running,)
    lacking = list(dict.fromkeys(kernel.release for kernel in (*case.next, *now) if not kernel.umad))
    if lacking:
        yield Finding(
            "ib-umad-missing",
            f"{some(lacking)} has no ib_umad, by which NVLink 5 switches are reached: {_STOPS}",
            f"Install the rest of the kernel's modules (Ubuntu: linux-modules-extra-{lacking[0]}; RHEL: kernel-modules) or "
            "DOCA-OFED, and run the playbook again",
        )
    elif not case.state.umad and case.installed:
        yield Finding(
            "ib-umad-not-loaded",
            f"ib_umad, by which NVLink 5 switches are reached, is not loaded: {_STOPS}",
            "It is loaded, and before the fabric manager at every boot (/etc/modules-load.d/nvidia-nvlink5.conf)",
            "load",
        )


def imex(case: Case) -> Iterator[Finding]:
    """The service by which hosts that share an NVLink fabric share memory; what one host serves alone does without it."""
    if not case.installed or not hardware.needs_imex(case.gpus, case.state.system.arch):
        return
    name, version = case.package(_IMEX)
    unit = case.unit(_IMEX)
    if not unit.state and not name:
        yield Finding(
            "imex-missing",
            "the GPUs' NVLink fabric spans hosts, and IMEX, by which those share memory, is not installed",
            f"nvidia-imex {case.version} is installed",
            "packages",
        )
    elif version and version != case.installed:
        yield Finding(
            "imex-mismatch",
            f"{name} is {version} and the driver is {case.installed}: it ends beside any other version than its own",
            f"It is brought to {case.version}",
            "packages",
        )
    elif not case.state.imex_nodes:
        yield Finding(
            "imex-nodes-missing",
            "no hosts are named in /etc/nvidia-imex/nodes_config.cfg: engines here share no memory over NVLink with other hosts",
            "For engines that span hosts, write the addresses of the domain's hosts there, one a line and the same on each, and "
            "run the playbook again, which starts nvidia-imex",
            fatal=False,
        )
    elif unit.state != "active" or not unit.enabled:
        yield Finding(
            "imex-not-running",
            f"{sentence('IMEX', unit)}: engines that span hosts do not start",
            "It is enabled and started",
            "services",
            fatal=False,
        )


def channel(case: Case) -> Iterator[Finding]:
    """The device node that programs on both hosts must be able to open."""
    if not case.consistent or not hardware.needs_imex(case.gpus, case.state.system.arch):
        return
    if look_modules.IMEX_CHANNEL not in case.state.nodes:
        yield Finding(
            "imex-channel-missing",
            f"/dev/{look_modules.IMEX_CHANNEL} is missing (the driver does not make it by itself): engines that span hosts "
            "do not start",
            "It is made (/usr/local/libexec/nvidia-device-nodes), at every boot too",
            "load",
            fatal=False,
        )
