"""Looking at a host: a tree of files and answers of commands in the place of a real one."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.amd import look
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import Device, System
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KERNEL = "6.1.0-56-amd64"


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def host(root: Path) -> None:
    module = f"lib/modules/{KERNEL}"
    write(
        root,
        {
            "etc/os-release": 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n',
            "etc/group": "root:x:0:\nvideo:x:44:\nrender:x:104:\nsrender:x:1:\n",
            "proc/sys/kernel/osrelease": f"{KERNEL}\n",
            "sys/module/amdgpu/version": "6.16.13\n",
            "sys/bus/pci/devices/0000:05:00.0/vendor": "0x1002\n",
            "sys/bus/pci/devices/0000:05:00.0/device": "0x74a1\n",
            "sys/bus/pci/devices/0000:05:00.0/class": "0x120000\n",
            "sys/bus/pci/devices/0000:06:00.0/vendor": "0x10de\n",
            "sys/bus/pci/devices/0000:06:00.0/device": "0x2330\n",
            "sys/bus/pci/devices/0000:06:00.0/class": "0x030200\n",
            f"{module}/kernel/drivers/gpu/drm/amd/amdgpu/amdgpu.ko": "",
            f"{module}/updates/dkms/amdgpu.ko.xz": "",
            f"{module}/modules.dep": "updates/dkms/amdgpu.ko.xz: updates/dkms/amddrm_ttm.ko.xz\nkernel/a.ko:\n",
            f"{module}/build/Makefile": "",
            f"boot/vmlinuz-{KERNEL}": "",
            "lib/modules/6.1.0-57-amd64/modules.dep": "kernel/drivers/gpu/drm/amd/amdgpu/amdgpu.ko:\n",
            "boot/vmlinuz-6.1.0-57-amd64": "",
            "var/lib/dpkg/status": "",
            "etc/apt/sources.list": "deb http://archive.example/debian bookworm main\n",
            "etc/apt/sources.list.d/rocm.sources": "URIs: https://repo.radeon.com/rocm/apt/7.2.3\n",
            "etc/apt/sources.list.d/amdgpu.list": "deb https://repo.radeon.com/amdgpu/6.4/ubuntu jammy main\n",
            "etc/apt/sources.list.d/off.list": "# deb https://repo.radeon.com/amdgpu/6.4/ubuntu jammy main\n",
            "etc/apt/preferences.d/rocm": "Package: roc*\n",
        },
    )


def run(argv: list[str]) -> tuple[int, str, str]:
    if argv[0] == "dpkg-query":
        packages = [
            ("rocm-core", "7.2.3.70203-93~22.04", "installed"),
            ("amdgpu-dkms", "1:6.16.13.30300300-1.22.04", "installed"),
            ("rocminfo", "1.0.0.70203-93~22.04", "config-files"),
            ("bash", "5.2", "installed"),
            ("numactl", "2.0", "installed"),
        ]
        return 0, "".join("\t".join(row) + "\n" for row in packages), ""
    if argv[0] == "modinfo" and argv[1].endswith("updates/dkms/amdgpu.ko.xz"):
        return (
            0,
            "filename: x\nversion:        6.16.13\nlicense:        GPL and additional rights\nsigner:         DKMS key\n",
            "",
        )
    return 127, "", f"{argv[0]} is not installed"


def test_one_look(tmp_path: Path) -> None:
    host(tmp_path)
    state = look.look(["numactl"], tmp_path, run, "x86_64")
    assert state.system == System("debian", "12", "bookworm", (), "x86_64")
    assert state.gpus == (Device("0000:05:00.0", "1002", "74a1", "120000"),)
    assert (state.running, state.next_kernel) == (KERNEL, "6.1.0-57-amd64")
    assert [(kernel.release, kernel.headers, bool(kernel.module)) for kernel in state.kernels] == [
        (KERNEL, True, True),
        ("6.1.0-57-amd64", False, False),
    ]
    assert state.kernels[0].module is not None
    assert (state.kernels[0].module.version, state.kernels[0].module.signer) == ("6.16.13", "DKMS key")
    assert (state.loaded, state.loaded_version) == (True, "6.16.13")
    assert set(state.packages) == {"rocm-core", "amdgpu-dkms", "numactl"}
    assert set(state.texts) == {look.APT, look.PIN}
    assert state.foreign == ("/etc/apt/sources.list.d/amdgpu.list",)
    assert state.groups == ("video", "render")
    assert state.facts is None


def test_amd_smi_is_found_where_rocm_puts_it(tmp_path: Path) -> None:
    host(tmp_path)
    write(tmp_path, {"opt/rocm/bin/amd-smi": ""})
    asked = []

    def answer(argv: list[str]) -> tuple[int, str, str]:
        asked.append(argv[0])
        return (0, '[{"gpu": 0, "asic": {"market_name": "MI300X"}}]', "") if argv[0].endswith("amd-smi") else run(argv)

    facts = look.look((), tmp_path, answer, "x86_64").facts
    assert facts is not None
    assert [gpu.name for gpu in facts.gpus] == ["MI300X"]
    assert str(tmp_path / "opt/rocm/bin/amd-smi") in asked


def test_a_bare_tree_is_a_host_without_anything(tmp_path: Path) -> None:
    state = look.look((), tmp_path, run, "x86_64")
    assert state == look.RocmState(System("", "", arch="x86_64"))


@given(st.text())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_commands_answer_the_look_comes_back(tmp_path: Path, said: str) -> None:
    host(tmp_path)
    assert look.look((), tmp_path, lambda argv: (0, said, said), "x86_64").loaded
