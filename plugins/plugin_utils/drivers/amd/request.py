"""A host's rocm_version, rocm_driver and rocm_mirror, checked before any host is touched."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.amd.model import WantedRocm
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import HOSTS, Problems, did_you_mean
from ansible_collections.baremetal.vllm.plugins.module_utils.text.urls import has_password
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.amd import builds
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.amd.releases import releases

# The variables of a host that are read here, beside vllm_accelerator.
KEYS = ("rocm_version", "rocm_driver", "rocm_mirror", "rocm_mirror_key", "rocm_packages")
DRIVERS = ("dkms", "kernel")
# The libraries that PyTorch and vLLM are linked against, and the tools that tell of the GPUs.
TOOLS = ("rocminfo", "amd-smi-lib")
PACKAGES = ("rocm-hip-libraries", *TOOLS)


def read_rocm(declared: Values, problems: Problems, host: str = "") -> WantedRocm | None:
    """What a host asks for; None where it asks for nothing or where something is wrong."""
    if all(declared.get(key) is None for key in KEYS):
        return None
    wrong = Problems()
    if declared.get("vllm_accelerator") != "rocm":
        named = next(key for key in KEYS if declared.get(key) is not None)
        reason = f"is for AMD GPUs; the accelerator of this host is {declared.get('vllm_accelerator')!r}"
        wrong.add(f"{HOSTS}.{named}", reason, f"Take {named} out, or write vllm_accelerator: rocm")
    version, driver = str(declared.get("rocm_version") or ""), str(declared.get("rocm_driver") or "dkms")
    if version not in releases():
        reason = f"{version!r} is not a ROCm release known here" if version else "is missing"
        remedy = (
            f'Write the whole release as text, rocm_version: "{releases()[-1]}". Known are: {", ".join(releases())}'
        )
        wrong.add(f"{HOSTS}.rocm_version", reason, remedy)
    if driver not in DRIVERS:
        wrong.add(f"{HOSTS}.rocm_driver", f"{driver!r} is not a way to a driver", did_you_mean(driver, DRIVERS))
    mirror = str(declared.get("rocm_mirror") or "")
    if mirror and not re.fullmatch(r"(https?|file)://\S+", mirror):
        wrong.add(f"{HOSTS}.rocm_mirror", f"{mirror!r} is not a URL", "Write https://…, with AMD's folders below it")
    if has_password(mirror):
        reason = "holds a user and a password, which would lie in files that everybody on the host reads"
        wrong.add(
            f"{HOSTS}.rocm_mirror", reason, "Leave them out, and write them into /etc/apt/auth.conf.d of the hosts"
        )
    key = str(declared.get("rocm_mirror_key") or "")
    if key and not Path(key).expanduser().is_file():
        wrong.add(
            f"{HOSTS}.rocm_mirror_key", f"{key!r} is no file here", "Name the armored public key on the control node"
        )
    packages = declared.get("rocm_packages")
    if packages is not None and not (isinstance(packages, (list, tuple)) and all(isinstance(p, str) for p in packages)):
        wrong.add(f"{HOSTS}.rocm_packages", "is not a list of packages", f"Write [{', '.join(PACKAGES)}]")
        packages = None
    for problem in wrong.problems:
        problems.add(problem.key, problem.reason, problem.remedy, host)
    if wrong.problems:
        return None
    return WantedRocm(version, driver, mirror.rstrip("/"), key, tuple(packages or _packages(declared)))


def _packages(declared: Values) -> tuple[str, ...]:
    """What a host needs where it names no packages: an engine that brings ROCm's libraries along leaves the tools."""
    urls = declared.get("vllm_engine_index_urls")
    named = [str(url) for url in urls] if isinstance(urls, (list, tuple)) else []
    try:
        build = builds.chosen(str(declared.get("vllm_version")), str(declared.get("vllm_engine_rocm") or ""), named)
    except builds.NoBuildError:
        return PACKAGES
    return TOOLS if build.bundled else PACKAGES
