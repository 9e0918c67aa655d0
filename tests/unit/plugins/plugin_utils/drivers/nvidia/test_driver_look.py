"""One look at hosts: a real Debian 12 as it was found, and one thing after the other changed."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import look_boot, look_system
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.look_kernels import ordered
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.look_modules import unit
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import (
    Dkms,
    Kernel,
    Loaded,
    Module,
    ServiceState,
    User,
)
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from look_host import LookedAt, modinfo

SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
SHIM = "sys/firmware/efi/efivars/MokSBStateRT-605dab50-e046-4300-abb6-3dd810dd8b23"
KERNEL = "6.1.0-56-amd64"


@pytest.fixture
def host(tmp_path: Path) -> LookedAt:
    return LookedAt(tmp_path)


@pytest.fixture
def debian(host: LookedAt) -> LookedAt:
    """Debian 12 with its own nvidia-kernel-dkms 535.309.01 (recorded in a container, data/README.md), on a host with a GPU."""
    data = Path(__file__).parent / "data" / "look"
    host.put("etc/os-release", 'PRETTY_NAME="Debian"\nID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n')
    host.put("proc/sys/kernel/osrelease", f"{KERNEL}\n")
    host.put("var/lib/dkms/mok.pub")
    host.gpu()
    host.kernel(KERNEL, {"updates/dkms/nvidia-current.ko": (data / "debian12-modinfo.txt").read_text()})
    host.put(f"lib/modules/{KERNEL}/modules.dep", (data / "debian12-modules.dep").read_text())
    host.answer("dpkg-query -W", (data / "debian12-dpkg.txt").read_text())
    host.answer("dkms status", "nvidia-current/535.309.01, 6.1.0-56-amd64, x86_64: installed\n")
    host.answer("systemctl show", (data / "debian12-units.txt").read_text())
    host.answer(
        "journalctl -q", "nvidia-persistenced failed to initialize. Check syslog for more details.\nShutdown (1620)\n"
    )
    host.answer("systemd-detect-virt", "none\n", 1)
    libraries = "usr/lib/x86_64-linux-gnu"
    host.put(f"{libraries}/nvidia/current/libnvidia-ml.so.535.309.01")
    host.link(f"{libraries}/nvidia/current/libnvidia-ml.so.1", "libnvidia-ml.so.535.309.01")
    host.link("etc/alternatives/nvidia--libnvidia-ml.so.1", f"/{libraries}/nvidia/current/libnvidia-ml.so.1")
    host.link(f"{libraries}/libnvidia-ml.so.1", "/etc/alternatives/nvidia--libnvidia-ml.so.1")
    host.put("lib/firmware/nvidia/535.309.01/gsp_ga10x.bin")
    host.put("lib/firmware/nvidia/ga102/gsp/booter_load-535.113.01.bin")
    return host


def test_debian_as_it_was_found(debian: LookedAt) -> None:
    state = debian.look()
    path = f"{debian.root}/lib/modules/{KERNEL}/updates/dkms/nvidia-current.ko"
    built = Module("535.309.01", False, "DKMS module signing key", path)
    # The recorded list of modules is cut to a few.
    assert state.kernels == (Kernel(KERNEL, True, built, umad=False),)
    assert (state.running, state.next_kernel) == (KERNEL, KERNEL)
    assert state.dkms == (Dkms("nvidia-current", "535.309.01", KERNEL, "installed"),)
    assert state.userspace == "535.309.01"
    assert state.firmware == ("535.309.01",)
    assert state.packages["libnvidia-ml1"] == "535.309.01-0+deb12u1"
    assert state.packages["nvidia-persistenced"] == "535.171.04-1~deb12u1"
    assert not {"nvidia-tesla-470-kernel-support", "libcuda1", "nvidia-driver"} & set(state.packages)
    assert (state.held, state.broken, state.runfile, state.virtual, state.rule) == ((), (), "", "", "")
    said = "nvidia-persistenced failed to initialize. Check syslog for more details."
    assert state.units["nvidia-persistenced.service"] == ServiceState("failed", True, "exit-code", said)
    assert state.units["nvidia-fabricmanager.service"] == ServiceState("", False)
    # The kernel of the recording brings no nouveau, and nvidia-smi is not there.
    assert (state.nouveau, state.nouveau_blocked, state.facts, state.loaded) == (False, True, None, None)
    assert state.system.arch == "x86_64"


def test_nothing_answers_and_nothing_is_there(host: LookedAt) -> None:
    state = host.look()
    assert (state.gpus, state.kernels, state.packages, state.userspace, state.next_kernel) == ((), (), {}, "", "")
    assert state.secure_boot is None
    assert not any(unit.state for unit in state.units.values())


def test_every_tool_hangs(debian: LookedAt) -> None:
    debian.commands = dict.fromkeys(
        ("dpkg-query", "dkms", "modinfo", "systemctl", "journalctl", "grubby", "mokutil", "bootctl"),
        (124, "", "did not answer within 30 s"),
    )
    state = debian.look()
    assert state.kernels == (Kernel(KERNEL, True, None, umad=False),)
    assert (state.packages, state.dkms) == ({}, ())


def test_nvidia_smi_is_not_asked_while_the_module_is_not_loaded(debian: LookedAt) -> None:
    debian.put("usr/bin/nvidia-smi", mode=0o755)
    facts = debian.look().facts
    assert facts is not None
    assert "not loaded" in facts.error
    assert not [line for line in debian.ran if line.startswith("nvidia-smi")]


def test_nvidia_smi_is_asked_when_it_is(debian: LookedAt) -> None:
    debian.put("usr/bin/nvidia-smi", mode=0o755)
    debian.put("sys/module/nvidia/version", "535.309.01\n")
    debian.answer("nvidia-smi", "Failed to initialize NVML: Driver/library version mismatch\n", 18)
    facts = debian.look().facts
    assert facts is not None
    assert (facts.returncode, "mismatch" in facts.error) == (18, True)


@pytest.mark.parametrize(
    ("vendor", "device", "kind", "gpus", "switches"),
    [
        ("10de", "2330", "030200", 1, 0),
        ("10de", "1eb8", "030200", 1, 0),
        ("10de", "2684", "030000", 1, 0),
        ("10de", "22a3", "068000", 0, 1),
        ("10de", "1af1", "068000", 0, 1),
        ("10de", "0369", "068000", 0, 0),  # a chipset of 2006
        ("10de", "22ba", "040300", 0, 0),  # a graphics card's sound
        ("1002", "74a1", "120000", 1, 0),
        ("1002", "738c", "038000", 1, 0),
        ("1002", "1478", "060400", 0, 0),
        ("1a03", "2000", "030000", 0, 0),  # a management controller's screen
        ("8086", "0bd5", "030000", 0, 0),
    ],
)
def test_pci_devices(host: LookedAt, vendor: str, device: str, kind: str, gpus: int, switches: int) -> None:
    host.gpu("0000:5d:00.0", device, vendor, kind)
    found, counted = look_system.devices(host.root)
    assert (len(found), counted) == (gpus, switches)


def test_virtual_functions_are_no_gpus_and_bridges_lead_to_switches(host: LookedAt) -> None:
    host.gpu()
    host.gpu("0000:1b:00.4")
    host.put("sys/bus/pci/devices/0000:1b:00.4/physfn/vendor")
    host.put("sys/class/infiniband/mlx5_0/device/vpd", b"\x82\x10ConnectX-7\x00SW_MNG\xff\xfe")
    host.put("sys/class/infiniband/mlx5_1/device/vpd", b"\x82\x10ConnectX-7\x00\xff")
    found, switches = look_system.devices(host.root)
    assert ([gpu.address for gpu in found], switches) == (["0000:1b:00.0"], 1)


def test_a_gpu_of_a_virtual_machine_is_none_of_the_hosts(host: LookedAt) -> None:
    host.gpu()
    host.gpu("0000:3b:00.0")
    host.link("sys/bus/pci/devices/0000:1b:00.0/driver", "../../../../bus/pci/drivers/nvidia")
    host.link("sys/bus/pci/devices/0000:3b:00.0/driver", "../../../../bus/pci/drivers/vfio-pci")
    assert [gpu.address for gpu in look_system.devices(host.root)[0]] == ["0000:1b:00.0"]


@pytest.mark.parametrize(
    ("variables", "on"),
    [
        ({}, None),
        ({SECURE_BOOT: b"\6\0\0\0\1"}, True),
        ({SECURE_BOOT: b"\6\0\0\0\0"}, False),
        ({SECURE_BOOT: b"\6\0\0\0\1", SHIM: b"\6\0\0\0\1"}, False),
        ({SECURE_BOOT: b"\6\0\0\0\1", SHIM: b"\6\0\0\0\0"}, True),
        ({SECURE_BOOT: b""}, False),
    ],
)
def test_secure_boot(host: LookedAt, variables: dict[str, bytes], on: bool | None) -> None:
    for path, content in variables.items():
        host.put(path, content)
    assert look_system.secure_boot(host.root) is on


def test_keys_of_the_kernel_and_of_shim(host: LookedAt) -> None:
    host.put(
        "proc/keys",
        "01b7ab74 I------     1 perm 1f030000     0     0 asymmetri Build time autogenerated kernel key: "
        "fc7c0e9f152f32eca50ea2d9722926e5127af244: X509.RSA 127af244 []\n"
        "158d48b9 I--Q---     1 perm 1f3f0000     0 65534 keyring   _uid_ses.0: 1\n",
    )
    host.answer(
        "mokutil --list-enrolled",
        "[key 1]\nSHA1 Fingerprint: 76:a0:92\n        Issuer: C=GB, O=Canonical Ltd., CN=Canonical Ltd. Master CA\n"
        "        Subject: C=GB, ST=Isle of Man, O=Canonical Ltd., CN=Canonical Ltd. Secure Boot Signing\n"
        "[key 2]\n        Subject: CN = DKMS module signing key\n",
    )
    assert look_system.trusted_keys(host.root, host.run) == (
        "Build time autogenerated kernel key",
        "Canonical Ltd. Secure Boot Signing",
        "DKMS module signing key",
    )


OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (dvs-builder@U22-I3-AE18-09-6)  Tue Sep\n"
CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.154.05  Thu Dec 28 15:37:48 UTC 2023\nGCC version:  gcc version 12.3.0\n"


@pytest.mark.parametrize(
    ("files", "holders", "loaded"),
    [
        ({}, (), None),
        (
            {"sys/module/nvidia/version": "535.154.05\n", "proc/driver/nvidia/version": CLOSED},
            (),
            Loaded("535.154.05", False, 0),
        ),
        ({"proc/driver/nvidia/version": OPEN}, (), Loaded("580.95.05", True, 0)),
        (
            {"proc/driver/nvidia/version": CLOSED, "sys/module/nvidia/refcnt": "5\n"},
            ("nvidia_uvm", "nvidia_modeset"),
            Loaded("535.154.05", False, 3),
        ),
        (
            {"sys/module/nvidia/version": "570.169\n", "sys/module/nvidia/refcnt": "1\n"},
            ("nvidia_uvm",),
            Loaded("570.169", False, 0),
        ),
    ],
)
def test_what_is_loaded(host: LookedAt, files: dict[str, str], holders: tuple[str, ...], loaded: Loaded | None) -> None:
    for path, content in files.items():
        host.put(path, content)
    for name in holders:
        host.put(f"sys/module/nvidia/holders/{name}/refcnt", "0")
    assert host.look().loaded == loaded


def test_who_uses_the_gpus(host: LookedAt) -> None:
    for number, target, cgroup in (
        (700, "/dev/nvidiactl", "0::/system.slice/nvidia-persistenced.service\n"),
        (81, "/dev/nvidia0", "0::/system.slice/vllm-chat.service\n"),
        (82, "/dev/null", "0::/system.slice/ssh.service\n"),
    ):
        host.link(f"proc/{number}/fd/3", target)
        host.put(f"proc/{number}/comm", f"p{number}\n")
        host.put(f"proc/{number}/cgroup", cgroup)
    assert host.look().users == (User(81, "p81", "vllm-chat.service"), User(700, "p700", "nvidia-persistenced.service"))


def test_the_tool_that_the_look_itself_runs_is_nobody_who_uses_the_gpus(debian: LookedAt) -> None:
    debian.put("sys/module/nvidia/version", "535.309.01\n")
    debian.put("usr/bin/nvidia-smi")
    answer = debian.run

    def opens_the_devices(argv: list[str]) -> tuple[int, str, str]:
        if argv[0].endswith("nvidia-smi") and not (debian.root / "proc/900").exists():
            debian.put("proc/900/comm", "nvidia-smi\n")
            debian.link("proc/900/fd/3", "/dev/nvidiactl")
        return answer(argv)

    debian.run = opens_the_devices  # type: ignore[method-assign]
    assert debian.look().users == ()
    assert (debian.root / "proc/900").exists(), "nvidia-smi was asked"


@pytest.mark.parametrize(
    ("cgroup", "named"),
    [
        ("0::/system.slice/vllm-chat.service", "vllm-chat.service"),
        ("0::/system.slice/vllm-chat.service/workers", "vllm-chat.service"),
        ("0::/user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope", "user@1000.service"),
        ("0::/system.slice/docker-af30.scope", "docker-af30.scope"),
        ("12:devices:/a.service\n1:name=systemd:/system.slice/b.service\n0::/", "b.service"),
        ("0::/init.scope", "init.scope"),
        ("0::/", ""),
        ("", ""),
    ],
)
def test_units_of_processes(cgroup: str, named: str) -> None:
    assert unit(cgroup) == named


@pytest.mark.parametrize(
    ("files", "blocked"),
    [
        ({}, False),
        ({"etc/modprobe.d/x.conf": "blacklist nouveau\n"}, True),
        ({"usr/lib/modprobe.d/x.conf": "# why\nblacklist   nouveau # so\n"}, True),
        ({"etc/modprobe.d/x.conf": "install nouveau /bin/false\n"}, True),
        ({"etc/modprobe.d/x.conf": "install nouveau \\\n/usr/bin/true\n"}, True),
        ({"etc/modprobe.d/x.conf": "install nouveau modprobe -i nouveau\n"}, False),
        ({"etc/modprobe.d/x.conf": "#blacklist nouveau\noptions nouveau modeset=0\n"}, False),
        ({"etc/modprobe.d/x.txt": "blacklist nouveau\n"}, False),
        ({"etc/modprobe.d/x.conf": "", "usr/lib/modprobe.d/x.conf": "blacklist nouveau\n"}, False),
        ({"proc/cmdline": "ro quiet modprobe.blacklist=pcspkr,nouveau\n"}, True),
        ({"proc/cmdline": "ro rd.driver.blacklist=nouveau\n"}, True),
        ({"proc/cmdline": "ro nouveau.modeset=1\n"}, False),
    ],
)
def test_what_blocks_nouveau(host: LookedAt, files: dict[str, str], blocked: bool) -> None:
    host.kernel(KERNEL)
    host.put(f"lib/modules/{KERNEL}/modules.dep", "kernel/drivers/gpu/drm/nouveau/nouveau.ko.xz: kernel/x.ko\n")
    for path, content in files.items():
        host.put(path, content)
    assert host.look().nouveau_blocked is blocked


def test_nouveau_that_no_kernel_brings_needs_no_block(host: LookedAt) -> None:
    host.kernel(KERNEL)
    assert host.look().nouveau_blocked
    host.put("sys/module/nouveau/refcnt", "1")
    assert not host.look().nouveau_blocked


@pytest.mark.parametrize(("age", "early"), [(None, True), (-100, True), (100, False)])
@pytest.mark.parametrize("tool", ["lsinitramfs", "lsinitrd"])
def test_nouveau_in_an_initramfs_made_before_the_block(host: LookedAt, age: int | None, early: bool, tool: str) -> None:
    host.gpu()
    host.kernel(KERNEL)
    image = host.put(f"boot/initrd.img-{KERNEL}" if tool == "lsinitramfs" else f"boot/initramfs-{KERNEL}.img")
    lines = f"-rw-r--r-- 1 root root 9 usr/lib/modules/{KERNEL}/kernel/drivers/gpu/drm/nouveau/nouveau.ko.xz\n"
    host.answer(tool, lines)
    if age is not None:
        host.put("etc/modprobe.d/x.conf", "blacklist nouveau\n")
        os.utime(image, (time.time() + age, time.time() + age))
    assert [kernel.nouveau_in_initramfs for kernel in host.look().kernels] == [early]


PLAIN, DKMS_COPY = modinfo("580.95.05", "Dual MIT/GPL", "Canonical Ltd. Kernel Module Signing"), modinfo("570.169")


@pytest.mark.parametrize(
    ("listed", "rule", "version"),
    [
        ({}, "", None),
        ({"kernel/nvidia-580-server-open/nvidia.ko": PLAIN}, "", "580.95.05"),
        ({"extra/nvidia.ko.xz": PLAIN, "extra/nvidia-uvm.ko.xz": DKMS_COPY}, "", "580.95.05"),
        ({"updates/dkms/nvidia.ko.zst": PLAIN}, "", "580.95.05"),
        (
            {"updates/dkms/nvidia-current-open.ko": PLAIN, "updates/dkms/nvidia-current-open-uvm.ko": DKMS_COPY},
            "",
            "580.95.05",
        ),
        (
            {"updates/dkms/nvidia-current.ko": DKMS_COPY, "updates/dkms/nvidia-current-open.ko": PLAIN},
            "nvidia-current-open",
            "580.95.05",
        ),
        ({"updates/dkms/nvidia-current.ko": DKMS_COPY, "extra/nvidia.ko": PLAIN}, "", "580.95.05"),
        (
            {
                "kernel/drivers/usb/typec/altmodes/typec_nvidia.ko": DKMS_COPY,
                "kernel/drivers/video/fbdev/nvidia/nvidiafb.ko": DKMS_COPY,
            },
            "",
            None,
        ),
        ({"updates/dkms/nvidia-fs.ko": DKMS_COPY}, "", None),
        ({"updates/dkms/nvidia.ko": "filename: x\n"}, "", None),
    ],
)
def test_the_module_that_a_kernel_would_load(
    host: LookedAt, listed: dict[str, str], rule: str, version: str | None
) -> None:
    host.kernel(KERNEL, listed)
    if rule:
        host.put("etc/modprobe.d/nvidia.conf", f"install nvidia modprobe -i {rule} $CMDLINE_OPTS\n")
    state = host.look()
    module = state.kernels[0].module
    assert (module.version if module else None, state.rule) == (version, rule)


def test_kernels_that_are_installed(host: LookedAt) -> None:
    host.kernel("6.1.0-9-amd64")
    host.kernel("6.1.0-10-amd64", headers=False)
    # Remains of a removed kernel, and a running one that is only modules and headers.
    host.put("lib/modules/6.1.0-8-amd64/updates/dkms/nvidia.ko")
    host.put("lib/modules/5.14.0-503.el9.x86_64/vmlinuz")
    host.put("lib/modules/6.1.0-11-amd64/modules.dep")
    host.put("proc/sys/kernel/osrelease", "6.1.0-11-amd64\n")
    state = host.look()
    assert [(kernel.release, kernel.headers) for kernel in state.kernels] == [
        ("5.14.0-503.el9.x86_64", False),
        ("6.1.0-9-amd64", True),
        ("6.1.0-10-amd64", False),
        ("6.1.0-11-amd64", False),
    ]
    assert state.next_kernel == "6.1.0-10-amd64"


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("6.1.0-9-amd64", "6.1.0-10-amd64"),
        ("5.15.0-119-generic", "6.8.0-31-generic"),
        ("5.14.0-427.13.1.el9_4.x86_64", "5.14.0-503.11.1.el9_5.x86_64"),
        ("6.12", "6.12.3"),
    ],
)
def test_the_order_of_kernels(older: str, newer: str) -> None:
    assert sorted([newer, older], key=ordered) == [older, newer]


@given(st.lists(st.text("0123456789.-abcrel_", max_size=20)))
def test_any_names_of_kernels_have_an_order(names: list[str]) -> None:
    assert sorted(names, key=ordered) == sorted(names, key=ordered) or len(set(map(ordered, names))) < len(names)


GRUB = """
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
else
   set default="DEFAULT"
fi
function gfxmode {
\tset gfxpayload="${1}"
}
menuentry 'Debian GNU/Linux' --class debian --class os $menuentry_id_option 'gnulinux-simple-1' {
\tload_video
\tif [ x$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi
\tlinux\t/boot/vmlinuz-6.1.0-56-amd64 root=UUID=1 ro quiet
\tinitrd\t/boot/initrd.img-6.1.0-56-amd64
}
submenu 'Advanced options' $menuentry_id_option 'gnulinux-advanced-1' {
\tmenuentry 'Debian GNU/Linux, with Linux 6.1.0-56-amd64' --class os $menuentry_id_option 'gnulinux-6.1.0-56' {
\t\tlinux\t/boot/vmlinuz-6.1.0-56-amd64 root=UUID=1 ro quiet
\t}
\tmenuentry 'Debian GNU/Linux, with Linux 6.1.0-49-amd64' --class os $menuentry_id_option 'gnulinux-6.1.0-49' {
\t\tlinux\t/boot/vmlinuz-6.1.0-49-amd64 root=UUID=1 ro quiet
\t}
}
menuentry 'UEFI Firmware Settings' $menuentry_id_option 'uefi-firmware' {
\tfwsetup
}
"""


@pytest.mark.parametrize(
    ("default", "environment", "release"),
    [
        ("0", "", "6.1.0-56-amd64"),
        ("1>1", "", "6.1.0-49-amd64"),
        ("gnulinux-advanced-1>gnulinux-6.1.0-49", "", "6.1.0-49-amd64"),
        ("Advanced options>Debian GNU/Linux, with Linux 6.1.0-49-amd64", "", "6.1.0-49-amd64"),
        ("1", "", "6.1.0-56-amd64"),
        ("gone", "", "6.1.0-56-amd64"),
        ("9", "", "6.1.0-56-amd64"),
        ("${saved_entry}", "# GRUB\nsaved_entry=1>1\n####", "6.1.0-49-amd64"),
        ("${saved_entry}", "# GRUB\nsaved_entry=\n", "6.1.0-56-amd64"),
        ("0", "# GRUB\nnext_entry=gnulinux-advanced-1>gnulinux-6.1.0-49\n", "6.1.0-49-amd64"),
    ],
)
def test_the_kernel_that_grub_boots_next(host: LookedAt, default: str, environment: str, release: str) -> None:
    host.put("boot/grub/grub.cfg", GRUB.replace("DEFAULT", default))
    host.put("boot/grub/grubenv", environment)
    host.kernel("6.1.0-99-amd64")
    assert look_boot.next_kernel(host.root, host.run) == release


def test_other_boot_loaders(host: LookedAt) -> None:
    host.kernel("6.6.9-cloud")
    assert look_boot.next_kernel(host.root, host.run) == "6.6.9-cloud"
    host.put("boot/efi/loader/entries/x.conf")
    host.answer(
        "bootctl list --json=short",
        json.dumps([{"version": "9"}, {"isDefault": True, "version": "6.6.1", "linux": None}]),
    )
    assert look_boot.next_kernel(host.root, host.run) == "6.6.1"
    host.answer("bootctl list --json=short", "broken")
    assert look_boot.next_kernel(host.root, host.run) == "6.6.9-cloud"
    host.answer("grubby --default-kernel", "/boot/vmlinuz-5.14.0-503.11.1.el9_5.x86_64\n")
    assert look_boot.next_kernel(host.root, host.run) == "5.14.0-503.11.1.el9_5.x86_64"


@pytest.mark.parametrize(
    ("image", "release"),
    [
        ("/boot/vmlinuz-6.1.0-13-amd64", "6.1.0-13-amd64"),
        ("/vmlinuz-6.1.0-13-amd64", "6.1.0-13-amd64"),
        ("/vmlinuz", "6.1.0-7-amd64"),
        ("/boot/vmlinuz", "6.1.0-7-amd64"),
        ("/3f1e/6.6.9-200.fc39.x86_64/linux", "6.6.9-200.fc39.x86_64"),
        ("/EFI/Linux/arch.efi", ""),
        ("", ""),
    ],
)
def test_releases_in_paths_of_kernels(host: LookedAt, image: str, release: str) -> None:
    host.put("boot/vmlinuz-6.1.0-7-amd64")
    host.link("boot/vmlinuz", "vmlinuz-6.1.0-7-amd64")
    host.link("vmlinuz", "boot/vmlinuz-6.1.0-7-amd64")
    assert look_boot.release_of(host.root, image) == release


@given(st.text("menuentry 'x'{}\n\tlinux/vmlinuz-6.1\"set default=", max_size=200), st.text(max_size=10))
def test_any_menu_is_survived(config: str, wanted: str) -> None:
    assert isinstance(look_boot.chosen(look_boot.menu(config), wanted), str)
