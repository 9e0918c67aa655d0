"""Package sources, pins and keys that a host gets; apt reads them where it is at hand."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.key import fingerprints
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import (
    Offer,
    Resolution,
    System,
    WantedDriver,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import repository
from offered import HOSTS

KEYS = Path(__file__).parent / "data" / "keys"
NVIDIA = "https://developer.download.nvidia.com/compute/cuda/repos"


ARCHIVES = {"bookworm": "http://archive.example/debian", "bookworm-security": "http://archive.example/debian-security"}


def texts(
    wanted: WantedDriver, system: System, mirror_key: str = "", archives: dict[str, str] = ARCHIVES
) -> dict[str, str]:
    return {file.path: file.content for file in repository.files(wanted, system, archives, mirror_key)}


@pytest.mark.parametrize(
    ("name", "wanted", "url"),
    [
        ("debian 12", WantedDriver(), f"{NVIDIA}/debian12/x86_64/"),
        ("ubuntu 26.04", WantedDriver(), f"{NVIDIA}/ubuntu2604/x86_64/"),
        ("debian 13", WantedDriver(mirror="https://mirror.example.com/nvidia/"), "https://mirror.example.com/nvidia/debian13/x86_64/"),
        ("ubuntu 24.04", WantedDriver(mirror="file:/srv/nvidia"), "file:/srv/nvidia/ubuntu2404/x86_64/"),
    ],
)  # fmt: skip
def test_apt_vendor(name: str, wanted: WantedDriver, url: str) -> None:
    written = texts(wanted, HOSTS[name][0])
    assert written[repository.MIRRORS].splitlines()[1:] == [url]
    source = written[repository.SOURCES]
    for line in (f"URIs: mirror+file:{repository.MIRRORS}", "Suites: /", f"Signed-By: {repository.KEYS['debian']}"):
        assert line in source.splitlines()
    assert "Components" not in source


def test_arm_servers() -> None:
    system = System("ubuntu", "24.04", arch="aarch64")
    assert f"{NVIDIA}/ubuntu2404/sbsa/" in texts(WantedDriver(), system)[repository.MIRRORS]


def test_apt_distribution() -> None:
    written = texts(WantedDriver(source="distribution"), HOSTS["debian 12"][0])
    source = written[repository.SOURCES]
    assert source.count("Components: contrib non-free non-free-firmware") == 2
    assert "Suites: bookworm bookworm-updates\n" in source
    assert "Suites: bookworm-security\n" in source
    assert written[repository.SECURITY_MIRRORS].endswith("\nhttp://archive.example/debian-security\n")
    assert written[repository.MIRRORS].endswith("\nhttp://archive.example/debian\n")
    assert repository.key(WantedDriver(source="distribution"), HOSTS["debian 12"][0]) is None
    mirrored = texts(WantedDriver(source="distribution", mirror="http://deb.example.com"), HOSTS["debian 12"][0])
    assert mirrored[repository.MIRRORS].endswith("http://deb.example.com/debian\n")


def test_where_debian_comes_from_is_as_the_host_has_it() -> None:
    wanted, system = WantedDriver(source="distribution"), HOSTS["debian 12"][0]
    plain = texts(wanted, system, archives={"bookworm": "http://archive.example/debian"})
    assert repository.SECURITY_MIRRORS not in plain
    assert "security" not in plain[repository.SOURCES]
    assert list(texts(wanted, system, archives={"sid": "http://archive.example/debian"})) == [repository.NOUVEAU]
    assert repository.SOURCES in texts(
        WantedDriver(source="distribution", mirror="http://deb.example.com"), system, archives={}
    )


def test_ubuntu_serves_itself() -> None:
    assert list(texts(WantedDriver(source="distribution"), HOSTS["ubuntu 24.04"][0])) == [repository.NOUVEAU]


@pytest.mark.parametrize(
    ("name", "wanted", "url", "keys"),
    [
        ("rocky 8", WantedDriver(), f"{NVIDIA}/rhel8/x86_64/", f"file://{repository.KEYS['rhel']}"),
        ("almalinux 10", WantedDriver(), f"{NVIDIA}/rhel10/x86_64/", f"{NVIDIA}/rhel10/x86_64/CDF6BA43.pub"),
        (
            "almalinux 9",
            WantedDriver(source="distribution"),
            "https://nvidia.repo.almalinux.org/cuda/9/x86_64/",
            f"file:///etc/pki/rpm-gpg/RPM-GPG-KEY-AlmaLinux-9 file://{repository.KEYS['rhel']}",
        ),
    ],
)
def test_dnf(name: str, wanted: WantedDriver, url: str, keys: str) -> None:
    parser = configparser.ConfigParser()
    parser.read_string(texts(wanted, HOSTS[name][0])[repository.REPO])
    section = parser[repository.REPO_ID]
    assert (section["baseurl"], section["gpgkey"], section["gpgcheck"]) == (url, keys, "1")


def test_own_key_of_a_mirror() -> None:
    wanted, system = WantedDriver(mirror="https://mirror.example.com"), HOSTS["almalinux 10"][0]
    assert f"file://{repository.KEYS['rhel']}" in texts(wanted, system, "files/own.asc")[repository.REPO]
    key = repository.key(wanted, system, "files/own.asc")
    assert key == repository.Key(repository.KEYS["rhel"], local="files/own.asc")


def test_keys_are_checked_by_fingerprint() -> None:
    key = repository.key(WantedDriver(), HOSTS["debian 13"][0])
    assert key is not None
    assert key.url == f"{NVIDIA}/debian13/x86_64/8793F200.pub"
    assert key.fingerprint == "02182E60104FCDC26EAE1B8597A5D4CB8793F200"


def test_nothing_but_nouveau_where_nothing_is_served() -> None:
    for system, source in ((System("fedora", "42"), "vendor"), (HOSTS["rocky 8"][0], "distribution")):
        assert list(texts(WantedDriver(source=source), system)) == [repository.NOUVEAU]
        assert repository.key(WantedDriver(source=source), system) is None


@pytest.mark.parametrize("name", HOSTS)
@pytest.mark.parametrize("source", ["vendor", "distribution"])
def test_every_file_is_known_and_marked(name: str, source: str) -> None:
    wanted = WantedDriver(source=source)
    for file in (
        *repository.files(wanted, HOSTS[name][0], ARCHIVES),
        *repository.pins(Resolution("580.95.05", "open", "dkms", {}), "debian"),
    ):
        assert file.path in repository.PATHS
        assert file.content.startswith(repository.MARK)
        assert file.content.endswith("\n")
        assert file.mode == 0o644


def test_whose_offer() -> None:
    assert repository.ours(Offer("a", "1", f"mirror+file:{repository.MIRRORS}"))
    assert repository.ours(
        Offer("a", "1", f"mirror+file:{repository.SECURITY_MIRRORS} bookworm-security/non-free amd64")
    )
    assert repository.ours(Offer("a", "1", "nvidia-driver"))
    assert not repository.ours(Offer("a", "1", f"{NVIDIA}/debian12/x86_64"))


def test_armour_keeps_the_key() -> None:
    binary = (KEYS / "rsa.gpg").read_bytes()
    text = repository.armoured(binary)
    assert text.startswith(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n")
    assert fingerprints(text) == fingerprints(binary) != ()
    assert repository.armoured(text) == text


def test_gpg_reads_the_armour(tmp_path: Path) -> None:
    gpg = shutil.which("gpg")
    if gpg is None:
        pytest.skip("no gpg here")
    binary = (KEYS / "rsa.gpg").read_bytes()
    argv = [gpg, "--homedir", str(tmp_path), "--batch", "--dearmor"]
    assert subprocess.run(argv, input=repository.armoured(binary), capture_output=True, check=True).stdout == binary


def test_apt_honours_the_pins(tmp_path: Path) -> None:
    """The pinned version is the candidate, be it older, and other packages are left alone."""
    apt = shutil.which("apt-cache")
    if apt is None:
        pytest.skip("no apt here")
    for folder in ("lists/partial", "archives/partial", "apt.conf.d", "preferences.d", "repository"):
        (tmp_path / folder).mkdir(parents=True)
    versions = {
        "nvidia-driver-cuda": ["580.95.05-1", "590.48.01-1"],
        "libcuda1": ["580.95.05-1", "590.48.01-1"],
        "nvidia-container-toolkit": ["1.18.0-1", "1.18.1-1"],
    }
    stanzas = [
        f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: a <a@b>\nFilename: ./{name}.deb\nSize: 1\n\n"
        for name, known in versions.items()
        for version in known
    ]
    (tmp_path / "repository" / "Packages").write_text("".join(stanzas), encoding="utf-8")
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] file:{tmp_path}/repository ./\n", encoding="utf-8")
    (tmp_path / "status").touch()
    pin = repository.pins(Resolution("580.95.05", "open", "dkms", {}), "debian")[0]
    (tmp_path / "preferences.d" / "nvidia-driver").write_text(pin.content, encoding="utf-8")
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc "{tmp_path}"; Dir::State "{tmp_path}"; Dir::State::status "{tmp_path}/status"; Dir::Cache "{tmp_path}";'
        ' Acquire::Languages "none"; APT::Sandbox::User "root";',
        encoding="utf-8",
    )
    environment = {**os.environ, "APT_CONFIG": str(tmp_path / "apt.conf"), "LC_ALL": "C"}
    subprocess.run(["apt-get", "update"], env=environment, capture_output=True, check=True)
    told = subprocess.run(
        [apt, "policy", *versions], env=environment, capture_output=True, text=True, check=True
    ).stdout
    candidates = [line.split()[1] for line in told.splitlines() if "Candidate" in line]
    assert candidates == ["580.95.05-1", "580.95.05-1", "1.18.1-1"]


def test_no_pins_for_dnf() -> None:
    assert repository.pins(Resolution("580.95.05", "open", "dkms", {}), "rhel") == ()
