"""What the inventory asks of the driver, and what of it is refused before any host is touched."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import Wanted
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import HOSTS, Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.request import check_declared, read_wanted
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit import gpus

OLD = gpus.Gpu("P40", 24 << 30, False, (6, 1))


def wanted(**declared: Any) -> tuple[Wanted, list[str]]:
    problems = Problems()
    found = read_wanted(HOSTS, {f"nvidia_driver_{name}": value for name, value in declared.items()}, problems, "gpu1")
    return found, sorted(str(problem) for problem in problems.found)


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({}, Wanted()),
        ({"version": "580"}, Wanted(version="580")),
        ({"version": 580}, Wanted(version="580")),
        ({"version": "580.95.05"}, Wanted(version="580.95.05")),
        ({"version": "580.142"}, Wanted(version="580.142")),
        ({"version": "", "mirror": "", "modules": ""}, Wanted()),
        ({"upgrade": "yes", "persistence": "false"}, Wanted(upgrade=True, persistence=False)),
        ({"upgrade": True, "persistence": False}, Wanted(upgrade=True, persistence=False)),
        ({"source": "distribution", "modules": "open", "build": "prebuilt"}, Wanted("", "distribution", "", "open", "prebuilt")),
        ({"mirror": "https://mirror.example.com/nvidia", "mirror_key": "files/nvidia.asc"}, Wanted(mirror="https://mirror.example.com/nvidia")),
        ({"mirror": "file:/srv/nvidia"}, Wanted(mirror="file:/srv/nvidia")),
        ({"reboot": True, "serial": 1, "manage": True, "accept": []}, Wanted()),
    ],
)  # fmt: skip
def test_read(declared: dict[str, Any], expected: Wanted) -> None:
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
            Wanted(modules="open"),
            "V100-32GB",
            ["nvidia_driver_modules", "cannot drive the V100-32GB (Volta)", "proprietary"],
        ),
        (Wanted(modules="proprietary"), "B200", ["nvidia_driver_modules", "cannot drive the B200 (Blackwell)", "open"]),
        (Wanted(modules="proprietary"), "GH200-96GB", ["nvidia_driver_modules", "cannot drive the GH200-96GB"]),
        (Wanted(version="590"), "V100-16GB", ["nvidia_driver_version", "580 is the last branch for Volta"]),
        (Wanted(version="595.71.05"), OLD, ["nvidia_driver_version", "580 is the last branch for Pascal"]),
        (
            Wanted(version="620", modules="proprietary"),
            "H100-80GB",
            ["nvidia_driver_version", "no proprietary modules"],
        ),
        (Wanted(version="470", modules="open"), "A100-80GB", ["nvidia_driver_version", "no open modules"]),
    ],
)
def test_declared_gpu_refuses(asked: Wanted, gpu: str | gpus.Gpu, words: list[str]) -> None:
    problems = Problems()
    check_declared(asked, gpus.find(gpu) if isinstance(gpu, str) else gpu, problems, "gpu1")
    told = [str(problem) for problem in problems.found]
    assert len(told) == 1
    for word in ["gpu1", *words]:
        assert word in told[0]


@pytest.mark.parametrize(
    ("asked", "gpu"),
    [
        (Wanted(version="580", modules="open"), "H100-80GB"),
        (Wanted(version="580", modules="proprietary"), "H100-80GB"),
        (Wanted(version="580"), "V100-32GB"),
        (Wanted(modules="open"), "T4"),
        (Wanted(version="610", modules="auto"), "B200"),
        (Wanted(modules="open"), "MI300X"),
    ],
)
def test_declared_gpu_agrees(asked: Wanted, gpu: str) -> None:
    problems = Problems()
    check_declared(asked, gpus.find(gpu), problems)
    check_declared(asked, None, problems)
    assert not problems.found
