"""Why a host cannot be given what is asked, before anything is touched; and what is wrong with its GPUs afterwards."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.amd.model import RocmState, WantedRocm
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.amd import releases, versions
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding


def refusals(wanted: WantedRocm, state: RocmState) -> list[Finding]:
    """Everything that stands in the way, at once."""
    return [
        *_system(wanted, state),
        *_hardware(state),
        *_sources(state),
        *_in_use(wanted, state),
        *_signing(wanted, state),
    ]


def _system(wanted: WantedRocm, state: RocmState) -> Iterator[Finding]:
    system = state.system
    known = releases.release(wanted.version)
    if known is not None and releases.fits(known, system):
        return
    here = f"{system.name} {system.version} on {system.arch}"
    if known is None:
        yield Finding("unknown-release", f"ROCm {wanted.version} is not known here", f"Known are: {_some()}")
        return
    others = [each for each in map(releases.release, releases.releases()) if each and releases.fits(each, system)]
    remedy = f"It is for {known.titles()} on x86_64"
    if others:
        remedy += f"; for {here} write rocm_version: {' or '.join(each.version for each in others)}"
    yield Finding("system-not-supported", f"AMD packages no ROCm {wanted.version} for {here}", remedy)


def _hardware(state: RocmState) -> Iterator[Finding]:
    if not state.gpus:
        yield Finding(
            "no-gpu",
            "there is no AMD GPU on the PCI bus",
            "Look whether the GPUs have power and are switched on in the firmware, or write vllm_accelerator: cpu",
        )


def _sources(state: RocmState) -> Iterator[Finding]:
    if state.foreign:
        yield Finding(
            "other-repository",
            f"{', '.join(state.foreign)} names repositories of AMD's as well, so that two releases could mix",
            "Remove it (a package amdgpu-install brings such files: remove that)",
        )


def _in_use(wanted: WantedRocm, state: RocmState) -> Iterator[Finding]:
    found = versions.rocm(state.packages.get("rocm-core", ""))
    if not found or found == wanted.version or state.facts is None:
        return
    running = [f"{p.name} (pid {p.pid})" for gpu in state.facts.gpus for p in gpu.processes]
    if running:
        yield Finding(
            "in-use",
            f"ROCm {found} gives way to {wanted.version}, and {', '.join(dict.fromkeys(running))} runs on the GPUs",
            "Stop these units (systemctl stop 'vllm-*'), then run again",
        )


def _signing(wanted: WantedRocm, state: RocmState) -> Iterator[Finding]:
    if wanted.driver != "dkms" or not state.secure_boot:
        return
    signers = {kernel.module.signer for kernel in state.kernels if kernel.module and kernel.module.signer}
    # What DKMS (Debian, RHEL) and shim's tools (Ubuntu) name the keys that they make.
    trusted = [
        name for name in state.keys if name in signers or "DKMS" in name or "Secure Boot Module Signature" in name
    ]
    if signers and not signers & set(state.keys):
        what = f"the module is signed by {', '.join(sorted(signers))}, which the kernel does not trust"
    elif not trusted:
        what = "no key that DKMS could sign the module with is enrolled"
    else:
        return
    yield Finding(
        "secure-boot",
        f"Secure Boot is on, and {what}: it would not load",
        "Enrol DKMS's key (mokutil --import /var/lib/dkms/mok.pub, then reboot and confirm at the console), switch Secure Boot"
        " off, or write rocm_driver: kernel",
    )


def unwell(state: RocmState) -> list[Finding]:
    """What amd-smi says against a host on which nothing is left to do."""
    facts = state.facts
    if facts is None:
        return [Finding("no-tool", "amd-smi is not installed", "Take amd-smi-lib into rocm_packages")]
    if facts.error and not facts.gpus:
        return [Finding("no-facts", f"amd-smi says: {facts.error}", "Look at dmesg for what amdgpu says")]
    shown = {gpu.address for gpu in facts.gpus}
    lost = [gpu.address for gpu in state.gpus if gpu.address not in shown]
    if len(facts.gpus) < len(state.gpus) and lost:
        what = f"amd-smi shows {len(facts.gpus)} of {len(state.gpus)} GPUs; missing: {', '.join(lost)}"
        return [Finding("fewer-gpus", what, "Look at dmesg for what amdgpu says of them", fatal=False)]
    return []


def _some() -> str:
    return ", ".join(releases.releases())
