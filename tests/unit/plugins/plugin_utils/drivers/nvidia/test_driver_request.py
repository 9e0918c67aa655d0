"""What the inventory asks of the driver, and what of it is refused before any host is touched."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import WantedDriver
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import HOSTS, Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.request import check_declared, read_wanted
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit import gpus

OLD = gpus.KnownGpu("P40", 24 << 30, False, (6, 1))


def wanted(**declared: Any) -> tuple[WantedDriver, list[str]]:
    problems = Problems()
    found = read_wanted(HOSTS, {f"nvidia_driver_{name}": value for name, value in declared.items()}, problems, "gpu1")
    return found, sorted(str(problem) for problem in problems.found)


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({}, WantedDriver()),
        ({"version": "580"}, WantedDriver(version="580")),
        ({"version": 580}, WantedDriver(version="580")),
        ({"version": "580.95.05"}, WantedDriver(version="580.95.05")),
        ({"version": "580.142"}, WantedDriver(version="580.142")),
        ({"version": "", "mirror": "", "modules": ""}, WantedDriver()),
        ({"upgrade": "yes", "persistence": "false"}, WantedDriver(upgrade=True, persistence=False)),
        ({"upgrade": True, "persistence": False}, WantedDriver(upgrade=True, persistence=False)),
        ({"source": "distribution", "modules": "open", "build": "prebuilt"}, WantedDriver("", "distribution", "", "open", "prebuilt")),
        ({"mirror": "https://mirror.example.com/nvidia", "mirror_key": "files/nvidia.asc"}, WantedDriver(mirror="https://mirror.example.com/nvidia")),
        ({"mirror": "file:/srv/nvidia"}, WantedDriver(mirror="file:/srv/nvidia")),
        ({"reboot": True, "serial": 1, "manage": True, "accept": []}, WantedDriver()),
    ],
)  # fmt: skip
def test_read(declared: dict[str, Any], expected: WantedDriver) -> None:
    assert wanted(**declared) == (expected, [])


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"version": "latest"}, ["gpu1.nvidia_driver_version", "neither a branch nor a version", '"580"']),
        ({"version": 580.1}, ["gpu1.nvidia_driver_version", "580.1", "as text"]),
        ({"version": True}, ["gpu1.nvidia_driver_version"]),
        ({"version": ["580"]}, ["gpu1.nvidia_driver_version"]),
        ({"source": "vender"}, ["gpu1.nvidia_driver_source", 'Did you mean "vendor"']),
        ({"modules": "closed"}, ["gpu1.nvidia_driver_modules", "Known are: auto, open, proprietary"]),
        ({"build": 1}, ["gpu1.nvidia_driver_build", "auto, dkms, prebuilt"]),
        ({"upgrade": "perhaps"}, ["gpu1.nvidia_driver_upgrade", "neither true nor false"]),
        ({"mirror": "mirror.example.com"}, ["gpu1.nvidia_driver_mirror", "is not a URL", "https://"]),
        (
            {"mirror": "https://me:hush@mirror.example.com/nvidia"},
            ["gpu1.nvidia_driver_mirror", "password", "auth.conf"],
        ),
        ({"mirror_key": "key.asc"}, ["gpu1.nvidia_driver_mirror_key", "no mirror is named"]),
        ({"moduls": "open"}, ["gpu1.nvidia_driver_moduls", 'Did you mean "nvidia_driver_modules"']),
    ],
)
def test_refused(declared: dict[str, Any], words: list[str]) -> None:
    __, told = wanted(**declared)
    assert "hush" not in "".join(told)
    assert len(told) == 1
    for word in words:
        assert word in told[0]


def test_all_at_once() -> None:
    __, told = wanted(version="x", source="x", modules="x", build="x", upgrade="x", persistence="x", mirror="x", typo=1)
    assert len(told) == 8


@pytest.mark.parametrize(
    ("asked", "gpu", "words"),
    [
        (
            WantedDriver(modules="open"),
            "V100-32GB",
            ["nvidia_driver_modules", "cannot drive the V100-32GB (Volta)", "proprietary"],
        ),
        (
            WantedDriver(modules="proprietary"),
            "B200",
            ["nvidia_driver_modules", "cannot drive the B200 (Blackwell)", "open"],
        ),
        (WantedDriver(modules="proprietary"), "GH200-96GB", ["nvidia_driver_modules", "cannot drive the GH200-96GB"]),
        (WantedDriver(version="590"), "V100-16GB", ["nvidia_driver_version", "580 is the last branch for Volta"]),
        (WantedDriver(version="595.71.05"), OLD, ["nvidia_driver_version", "580 is the last branch for Pascal"]),
        (
            WantedDriver(version="620", modules="proprietary"),
            "H100-80GB",
            ["nvidia_driver_version", "no proprietary modules"],
        ),
        (WantedDriver(version="470", modules="open"), "A100-80GB", ["nvidia_driver_version", "no open modules"]),
    ],
)
def test_declared_gpu_refuses(asked: WantedDriver, gpu: str | gpus.KnownGpu, words: list[str]) -> None:
    problems = Problems()
    check_declared(asked, gpus.find(gpu) if isinstance(gpu, str) else gpu, problems, "gpu1")
    told = [str(problem) for problem in problems.found]
    assert len(told) == 1
    for word in ["gpu1", *words]:
        assert word in told[0]


@pytest.mark.parametrize(
    ("asked", "gpu"),
    [
        (WantedDriver(version="580", modules="open"), "H100-80GB"),
        (WantedDriver(version="580", modules="proprietary"), "H100-80GB"),
        (WantedDriver(version="580"), "V100-32GB"),
        (WantedDriver(modules="open"), "T4"),
        (WantedDriver(version="610", modules="auto"), "B200"),
        (WantedDriver(modules="open"), "MI300X"),
    ],
)
def test_declared_gpu_agrees(asked: WantedDriver, gpu: str) -> None:
    problems = Problems()
    check_declared(asked, gpus.find(gpu), problems)
    check_declared(asked, None, problems)
    assert not problems.found
