"""Packages of the driver as package managers tell of them, and remains of other ways of installing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import look_packages
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.look import family
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import Dkms, System
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from look_host import LookedAt

V = "580.95.05-1"


@pytest.fixture
def host(tmp_path: Path) -> LookedAt:
    return LookedAt(tmp_path)


def dpkg(host: LookedAt, *lines: str) -> look_packages.Packages:
    host.answer("dpkg-query", "".join(f"{line}\n" for line in lines))
    return look_packages.packages(host.root, host.run, "debian")


def rpm(host: LookedAt, *lines: str) -> look_packages.Packages:
    host.answer("rpm -qa", "".join(f"{line}\n" for line in lines))
    return look_packages.packages(host.root, host.run, "rhel")


def test_where_apt_has_its_suites_from(host: LookedAt) -> None:
    # As apt 2.6.1 prints them; the names of hosts are others. The last ones: lists not fetched yet, a list of mirrors as
    # Debian's cloud images have it, and our own source.
    told = """\
bookworm|bookworm|http://archive.example/debian/
bookworm-updates|bookworm-updates|http://archive.example/debian/
bookworm-security|stable-security|http://archive.example/debian-security/
bookworm|bookworm|http://second.example/debian/
|trixie|http://archive.example/debian/
sid|sid|mirror+file:/etc/apt/mirrors/debian.list/
forky|forky|mirror+file:/etc/apt/mirrors/nvidia-driver.list/
bullseye|bullseye|cdrom://Debian/
"""
    host.put(
        "etc/apt/mirrors/debian.list",
        "# the nearest first\nhttps://near.example/debian priority:1\nhttps://far.example/debian\n",
    )
    host.put("etc/apt/mirrors/nvidia-driver.list", "https://near.example/debian\n")
    host.answer("apt-get indextargets", told)
    assert look_packages.archives(host.root, host.run) == {
        "bookworm": "http://archive.example/debian",
        "bookworm-updates": "http://archive.example/debian",
        "bookworm-security": "http://archive.example/debian-security",
        "trixie": "http://archive.example/debian",
        "sid": "https://near.example/debian",
    }


@pytest.mark.parametrize(
    ("line", "installed", "held", "broken"),
    [
        (f"libcuda1\t{V}\tii ", True, False, False),
        (f"libcuda1\t{V}\thi ", True, True, False),
        (f"nvidia-kernel-open-dkms\t{V}\tiF ", True, False, True),
        (f"nvidia-kernel-open-dkms\t{V}\tiHR", True, False, True),
        (f"nvidia-kernel-open-dkms\t{V}\tiU ", True, False, True),
        (f"libcuda1\t{V}\trc ", False, False, False),
        ("libcuda1\t\tun ", False, False, False),
        ("dkms\t3.0.10-8+deb12u1\tii ", True, False, False),
        ("linux-headers-6.1.0-56-amd64\t6.1.179-1\tii ", True, False, False),
        ("linux-headers-6.1.0-56-amd64\t6.1.179-1\tiF ", True, False, True),
        ("linux-image-6.1.0-56-amd64\t6.1.179-1\tiF ", False, False, True),
        ("nvidia-container-toolkit\t1.18.0-1\tii ", False, False, False),
        ("nvidia-cuda-toolkit\t11.8.89~11.8.0-5\tii ", False, False, False),
        ("bash\t5.2\tiF ", False, False, False),
        ("nvidia", False, False, False),
        ("", False, False, False),
    ],
)
def test_lines_of_dpkg(host: LookedAt, line: str, installed: bool, held: bool, broken: bool) -> None:
    found = dpkg(host, line)
    assert (bool(found.installed), bool(found.held), bool(found.broken)) == (installed, held, broken)


@pytest.mark.parametrize(
    ("preferences", "held"),
    [
        ("", False),
        ("Package: *nvidia* libcuda1\nPin: version 580.95.05-*\nPin-Priority: 1001\n", True),
        ("# ours\nPackage: libcuda1\nPin: version 580.95.05-1\nPin-Priority: 1000\n", True),
        ("Package: /^libcuda/\nPin: version /^580\\.95/\nPin-Priority: 1001\n", True),
        (
            "Package: *\nPin: origin x\nPin-Priority: 1001\n\nPackage: libcuda1\nPin: version 580*\nPin-Priority: 1001\n",
            True,
        ),
        ("Package: libcuda1\nPin: version 570*\nPin-Priority: 1001\n", False),
        ("Package: libcuda1\nPin: version 580*\nPin-Priority: 990\n", False),
        ("Package: libcuda1\nPin: version 580*\nPin-Priority: high\n", False),
        ("Package: libcuda1\nPin: release a=bookworm\nPin-Priority: 1001\n", False),
        ("Package: libnvidia-ml1\nPin: version 580*\nPin-Priority: 1001\n", False),
    ],
)
def test_pins_of_apt(host: LookedAt, preferences: str, held: bool) -> None:
    host.put("etc/apt/preferences.d/nvidia-driver", preferences)
    host.put("etc/apt/preferences.d/nvidia-driver.bak", "Package: *\nPin: version *\nPin-Priority: 1001\n")
    assert bool(dpkg(host, f"libcuda1\t{V}\tii ").held) is held


def test_packages_of_rpm(host: LookedAt) -> None:
    found = rpm(
        host,
        "nvidia-driver-cuda\t3:580.95.05-1.el9\tx86_64",
        "nvidia-driver-cuda-libs\t3:580.95.05-1.el9\tx86_64",
        "nvidia-driver-cuda-libs\t3:580.95.05-1.el9\ti686",
        "nvidia-fabricmanager\t0:580.95.05-1\tx86_64",
        "kernel-devel\t5.14.0-503.el9\tx86_64",
        "kernel-devel\t5.14.0-570.el9\tx86_64",
        "kmod-nvidia-580.95.05-503\t3:580.95.05-3.el9\tx86_64",
        "bash\t5.1-9.el9\tx86_64",
    )
    assert found.installed == {
        "nvidia-driver-cuda": "3:580.95.05-1.el9",
        "nvidia-driver-cuda-libs": "3:580.95.05-1.el9",
        "nvidia-fabricmanager": "580.95.05-1",
        "kernel-devel": "5.14.0-570.el9",
        "kmod-nvidia-580.95.05-503": "3:580.95.05-3.el9",
    }
    assert (found.held, found.broken) == ((), ())


def test_a_transaction_of_rpm_that_was_cut_off(host: LookedAt) -> None:
    found = rpm(host, "nvidia-driver-cuda\t3:570.195.03-1.el9\tx86_64", "nvidia-driver-cuda\t3:580.95.05-1.el9\tx86_64")
    assert found.broken == ("nvidia-driver-cuda",)


@pytest.mark.parametrize(
    ("path", "content", "held"),
    [
        ("etc/dnf/plugins/versionlock.list", "nvidia-driver-cuda-3:580.95.05-1.el9.*\n", True),
        ("etc/dnf/plugins/versionlock.list", "# Added locks on Mon\nnvidia-driver-*\n", True),
        ("etc/yum/pluginconf.d/versionlock.list", "3:nvidia-driver-cuda-580.95.05-1.el9.*\n", True),
        ("etc/dnf/plugins/versionlock.list", "nvidia-driver-cuda-3:570.195.03-1.el9.*\n", False),
        ("etc/dnf/plugins/versionlock.list", "!nvidia-driver-cuda-3:580.95.05-1.el9.*\n", False),
        ("etc/dnf/plugins/versionlock.list", "nvidia-driver-3:580.95.05-1.el9.*\n", False),
        ("etc/dnf/dnf.conf", "[main]\ngpgcheck=1\nexcludepkgs=kernel*, nvidia-driver*\n", True),
        ("etc/dnf/dnf.conf", "[main]\nexclude=kernel*\n", False),
        (
            "etc/dnf/versionlock.toml",
            'version = "1.0"\n\n[[packages]]\nname = "nvidia-driver-cuda"\n'
            '[[packages.conditions]]\nkey = "evr"\ncomparator = "="\nvalue = "3:580.95.05-1.el9"\n',
            True,
        ),
        (
            "etc/dnf/versionlock.toml",
            '[[packages]]\nname = "nvidia-driver-cuda"\n[[packages.conditions]]\nkey = "evr"\ncomparator = "="\nvalue = "3:570.1-1.el9"\n',
            False,
        ),
    ],
)
def test_locks_of_dnf(host: LookedAt, path: str, content: str, held: bool) -> None:
    host.put(path, content)
    assert bool(rpm(host, "nvidia-driver-cuda\t3:580.95.05-1.el9\tx86_64").held) is held


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        (
            "nvidia/580.95.05, 6.1.0-56-amd64, x86_64: installed",
            Dkms("nvidia", "580.95.05", "6.1.0-56-amd64", "installed"),
        ),
        (
            "nvidia, 535.54.03, 5.15.0-76-generic, x86_64: installed",
            Dkms("nvidia", "535.54.03", "5.15.0-76-generic", "installed"),
        ),
        (
            "nvidia/550.78, 6.8.0-31-generic, x86_64: installed (WARNING! Diff between built and installed module!)",
            Dkms("nvidia", "550.78", "6.8.0-31-generic", "installed"),
        ),
        ("nvidia/580.95.05: added", Dkms("nvidia", "580.95.05", "", "added")),
        ("nvidia/570.169, 6.1.0-9-amd64, x86_64: built", Dkms("nvidia", "570.169", "6.1.0-9-amd64", "built")),
        ("nvidia/570.169: broken", Dkms("nvidia", "570.169", "", "broken")),
        ("nvidia-current-open/535.261.03: added", Dkms("nvidia-current-open", "535.261.03", "", "added")),
        (
            "nvidia-srv/535.183.01, 5.15.0-1-generic, x86_64: installed",
            Dkms("nvidia-srv", "535.183.01", "5.15.0-1-generic", "installed"),
        ),
        ("nvidia-fs/2.20.5, 6.8.0-31-generic, x86_64: installed", None),
        ("zfs/2.2.2, 6.8.0-31-generic, x86_64: installed", None),
        ("Error! Could not locate dkms.conf file.", None),
        ("File: /var/lib/dkms/nvidia/2.7/source/dkms.conf does not exist.", None),
        ("", None),
    ],
)
def test_lines_of_dkms(host: LookedAt, line: str, entry: Dkms | None) -> None:
    host.put("var/lib/dkms/mok.pub")
    host.answer("dkms status", f"{line}\n")
    assert look_packages.dkms(host.root, host.run) == ((entry,) if entry else ())


@given(st.text(max_size=80))
def test_any_output_is_survived(text: str) -> None:
    host = LookedAt(Path("/nonexistent"))
    for command in ("dpkg-query", "rpm -qa", "dkms"):
        host.answer(command, text)
    for kind in ("debian", "rhel"):
        assert isinstance(look_packages.packages(host.root, host.run, kind).installed, dict)


@pytest.mark.parametrize(
    ("links", "version"),
    [
        ({}, ""),
        ({"usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1": "libnvidia-ml.so.580.95.05"}, "580.95.05"),
        ({"usr/lib64/libnvidia-ml.so.1": "libnvidia-ml.so.570.169"}, "570.169"),
        ({"usr/lib64/libcuda.so.1": "libcuda.so.550.54.15"}, "550.54.15"),
        (
            {
                "usr/lib64/libnvidia-ml.so.1": "/etc/alternatives/ml",
                "etc/alternatives/ml": "../../usr/lib64/libnvidia-ml.so.470.256.02",
            },
            "470.256.02",
        ),
        ({"usr/lib64/libnvidia-ml.so.1": "libnvidia-ml.so.1"}, ""),
    ],
)
def test_the_version_of_the_libraries(host: LookedAt, links: dict[str, str], version: str) -> None:
    for path, target in links.items():
        host.link(path, target)
    for target in links.values():
        if target.rpartition("/")[2].startswith("lib") and target != "libnvidia-ml.so.1":
            folder = "usr/lib/x86_64-linux-gnu" if any("x86_64" in path for path in links) else "usr/lib64"
            host.put(f"{folder}/{target.rpartition('/')[2]}")
    assert look_packages.userspace(host.root, "x86_64") == version


@pytest.mark.parametrize(
    ("files", "packages", "libraries", "version"),
    [
        ({}, {}, "", ""),
        ({}, {"libcuda1": V}, "580.95.05", ""),
        ({}, {"nvidia-driver-cuda-libs": V}, "580.95.05", ""),
        ({"usr/bin/nvidia-uninstall": ""}, {}, "", "unknown"),
        ({"usr/bin/nvidia-uninstall": ""}, {}, "535.54.03", "535.54.03"),
        ({"usr/bin/nvidia-uninstall": ""}, {"libcuda1": V}, "580.95.05", "580.95.05"),
        (
            {"var/lib/nvidia/log": "535.54.03\nNVIDIA Accelerated Graphics Driver\n"},
            {"libcuda1": V},
            "580.95.05",
            "535.54.03",
        ),
        (
            {
                "usr/bin/nvidia-installer": "",
                "var/log/nvidia-installer.log": "nvidia-installer log file\ncreation time: x\ninstaller version: 295.41\n",
            },
            {},
            "",
            "295.41",
        ),
        # Its log stays when it is uninstalled.
        ({"var/log/nvidia-installer.log": "installer version: 295.41\n"}, {}, "", ""),
        # Libraries that no package brought.
        ({}, {}, "570.169", "570.169"),
        ({}, {"dkms": "3.0"}, "570.169", "570.169"),
    ],
)
def test_remains_of_the_installer(
    host: LookedAt, files: dict[str, str], packages: dict[str, str], libraries: str, version: str
) -> None:
    for path, content in files.items():
        host.put(path, content)
    assert look_packages.runfile(host.root, packages, libraries) == version


@pytest.mark.parametrize(
    ("name", "like", "whose"),
    [
        ("debian", (), "debian"),
        ("ubuntu", ("debian",), "debian"),
        ("linuxmint", ("ubuntu", "debian"), "debian"),
        ("rocky", ("rhel", "centos", "fedora"), "rhel"),
        ("ol", ("fedora",), "rhel"),
        ("rhel", ("fedora",), "rhel"),
    ],
)
def test_whose_package_manager(name: str, like: tuple[str, ...], whose: str) -> None:
    assert family(System(name, "1", like=like)) == whose
