"""What the inventory asks of a host's NVIDIA driver, read and judged before any host is touched.

The GPU generations that a branch or a kind of modules leaves out: see `data/drivers.yml`, with its sources.
"""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import WantedDriver
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import HOSTS, Problems, did_you_mean
from ansible_collections.baremetal.vllm.plugins.module_utils.text.urls import has_password
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import hardware, systems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.gpus import KnownGpu

_VERSION = re.compile(r"\d{3}(\.\d{1,3}){0,2}")
_URL = re.compile(r"(https?://[^\s/]+|file:/)\S*")
_CHOICES = {
    "nvidia_driver_source": (systems.VENDOR, systems.DISTRIBUTION),
    "nvidia_driver_modules": ("auto", systems.OPEN, systems.PROPRIETARY),
    "nvidia_driver_build": ("auto", systems.PREBUILT, systems.DKMS),
}
_SWITCHES = {"nvidia_driver_upgrade": False, "nvidia_driver_persistence": True}
# The variables of a host that are read here, and those that the role reads itself.
KEYS = ("nvidia_driver_version", *_CHOICES, "nvidia_driver_mirror", "nvidia_driver_mirror_key", *_SWITCHES)
ROLE_KEYS = (
    *("nvidia_driver_reboot", "nvidia_driver_serial", "nvidia_driver_manage", "nvidia_driver_accept"),
    *("nvidia_driver_state", "nvidia_driver_gpu_count", "nvidia_driver_reboot_timeout", "nvidia_driver_idle_timeout"),
)
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def read_wanted(at: str, declared: Values, problems: Problems, host: str = "") -> WantedDriver:
    """What is asked, with the default in place of all that is wrong; `at` is what the keys of problems begin with."""
    for name in declared:
        if name.startswith("nvidia_driver") and name not in KEYS + ROLE_KEYS:
            problems.add(
                f"{at}.{name}", "is not a variable of the driver", did_you_mean(name, KEYS + ROLE_KEYS[:4]), host
            )
    source = _choice(at, "nvidia_driver_source", declared, problems, host)
    return WantedDriver(
        version=_version(at, declared.get("nvidia_driver_version"), problems, host),
        source=source,
        mirror=_mirror(at, source, declared, problems, host),
        modules=_choice(at, "nvidia_driver_modules", declared, problems, host),
        build=_choice(at, "nvidia_driver_build", declared, problems, host),
        upgrade=_switch(at, "nvidia_driver_upgrade", declared, problems, host),
        persistence=_switch(at, "nvidia_driver_persistence", declared, problems, host),
    )


def check_declared(wanted: WantedDriver, gpu: KnownGpu | None, problems: Problems, host: str = "") -> None:
    """Refuse modules and branches that cannot drive the declared GPU; one without a CUDA capability says nothing."""
    if gpu is None or gpu.capability is None:
        return
    found = hardware.of_capability(gpu.capability)
    # Grace Hopper superchips are of the Hopper generation, and are driven by the open modules only.
    must = found.open == "must" or gpu.name.startswith("GH")
    at = f"{HOSTS}.nvidia_driver_modules"
    if wanted.modules == systems.OPEN and found.open == "no":
        problems.add(
            at,
            f"the open modules cannot drive the {gpu.name} ({found.name}): they begin with Turing",
            'Write nvidia_driver_modules: proprietary, or leave it "auto"',
            host,
        )
    if wanted.modules == systems.PROPRIETARY and must:
        problems.add(
            at,
            f"the proprietary modules cannot drive the {gpu.name} ({found.name})",
            'Write nvidia_driver_modules: open, or leave it "auto"',
            host,
        )
    if wanted.version:
        _check_branch(wanted, gpu, found, problems, host)


def _check_branch(
    wanted: WantedDriver, gpu: KnownGpu, found: hardware.GpuGeneration, problems: Problems, host: str
) -> None:
    branch, at = int(wanted.version[:3]), f"{HOSTS}.nvidia_driver_version"
    open_from, open_only_from = systems.open_branches()
    if found.last and branch > found.last:
        problems.add(
            at,
            f"driver {wanted.version} does not drive the {gpu.name} any more: {found.last} is the last branch for {found.name}",
            f'Write nvidia_driver_version: "{found.last}"',
            host,
        )
    elif wanted.modules == systems.PROPRIETARY and branch >= open_only_from:
        problems.add(
            at,
            f"driver {wanted.version} has no proprietary modules: they ended before branch {open_only_from}",
            'Leave nvidia_driver_modules "auto", or ask for an older branch',
            host,
        )
    elif wanted.modules == systems.OPEN and branch < open_from:
        problems.add(
            at,
            f"driver {wanted.version} has no open modules: they begin with branch {open_from}",
            'Leave nvidia_driver_modules "auto", or ask for a newer branch',
            host,
        )


def _version(at: str, value: Any, problems: Problems, host: str) -> str:
    """YAML reads a branch alone as a number, and it means the same; 580.10 as a number has lost its zero."""
    text = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else None
    if value is None or text == "" or (text is not None and _VERSION.fullmatch(text)):
        return text or ""
    problems.add(
        f"{at}.nvidia_driver_version",
        f"{value!r} is neither a branch nor a version of the driver",
        'Write a branch or a version as text: "580" or "580.95.05"',
        host,
    )
    return ""


def _choice(at: str, key: str, declared: Values, problems: Problems, host: str) -> str:
    known = _CHOICES[key]
    value = declared.get(key)
    if value in known or value in (None, ""):
        return str(value or known[0])
    problems.add(f"{at}.{key}", f"{value!r} is not known", did_you_mean(str(value), known), host)
    return known[0]


def _switch(at: str, key: str, declared: Values, problems: Problems, host: str) -> bool:
    value = declared.get(key)
    if value is None:
        return _SWITCHES[key]
    word = str(value).lower()
    if word not in _TRUE + _FALSE:
        problems.add(f"{at}.{key}", f"{value!r} is neither true nor false", "Write true or false", host)
        return _SWITCHES[key]
    return word in _TRUE


def _mirror(at: str, source: str, declared: Values, problems: Problems, host: str) -> str:
    value, key = declared.get("nvidia_driver_mirror"), declared.get("nvidia_driver_mirror_key")
    if not value:
        if key:
            problems.add(
                f"{at}.nvidia_driver_mirror_key",
                "is the key of a mirror, and no mirror is named",
                "Write nvidia_driver_mirror as well, or leave both out",
                host,
            )
        return ""
    if isinstance(value, str) and has_password(value):
        problems.add(
            f"{at}.nvidia_driver_mirror",
            "holds a user and a password, which would lie in files that everybody on the host reads",
            "Leave them out, and write them into /etc/apt/auth.conf.d (apt_auth.conf(5)) of the hosts",
            host,
        )
        return ""
    if not isinstance(value, str) or not _URL.fullmatch(value):
        problems.add(
            f"{at}.nvidia_driver_mirror",
            f"{value!r} is not a URL",
            f"Write what stands in place of {systems.repositories() if source == systems.VENDOR else 'its mirrors'}:"
            " https://mirror.example.com/nvidia",
            host,
        )
        return ""
    return value
