"""What a host's upkeep is about to do: read from apt's and dnf's own words, and from file systems."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.units import upkeep

ON = 'APT::Periodic::Unattended-Upgrade "1";\nUnattended-Upgrade::Automatic-Reboot "true";\n'
APT = [
    ("", ""),
    (ON, "now"),
    (f'{ON}Unattended-Upgrade::Automatic-Reboot-Time "02:00";\n', "02:00"),
    # As apt-config prints lists and names beside it.
    (f'APT "";\nAPT::Periodic "";\n{ON}Unattended-Upgrade::Origins-Pattern:: "origin=Debian";\n', "now"),
    (ON.replace('"true"', '"false"'), ""),
    (ON.replace('"true"', '"yes"'), "now"),
    ('Unattended-Upgrade::Automatic-Reboot "true";\n', ""),
    (ON.replace('"1"', '"0"'), ""),
    (f'{ON}APT::Periodic::Enable "0";\n', ""),
]


@pytest.mark.parametrize(("text", "when"), APT)
def test_unattended_upgrades_reboots_only_where_it_runs_and_is_told_to(text: str, when: str) -> None:
    assert upkeep._apt_reboots(text) == when


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("[commands]\nreboot = when-needed\n", "now"),
        ("[commands]\nreboot = when-changed\nreboot_command = \"shutdown -r +5 'a % b'\"\n", "now"),
        ("[commands]\nreboot = never\n", ""),
        ("[commands]\nupgrade_type = security\n", ""),
        ("no file of its kind\n", ""),
    ],
)
def test_dnf_automatic_reboots_where_it_is_told_to(tmp_path: Path, text: str, when: str) -> None:
    path = tmp_path / "automatic.conf"
    assert upkeep._dnf_reboots(path) == ""
    path.write_text(text)
    assert upkeep._dnf_reboots(path) == when


def test_a_reboot_is_due_where_the_system_says_so_and_for_what(tmp_path: Path) -> None:
    path = tmp_path / "reboot-required"
    assert upkeep._due(path) is None
    path.write_text("*** System restart required ***\n")
    assert upkeep._due(path) == ""
    (tmp_path / "reboot-required.pkgs").write_text("linux-image-6.8\nlibc6\nlibc6\n")
    assert upkeep._due(path) == "linux-image-6.8, libc6"


def room(blocks: int, inodes: int = 10**6) -> SimpleNamespace:
    return SimpleNamespace(f_bavail=blocks, f_frsize=4096, f_blocks=10**6, f_files=10**6, f_favail=inodes)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (room(10**6), {}),
        (room(2560), {"/a": "10 MiB free"}),
        (room(10**6, 3), {"/a": "3 inodes free"}),
        # btrfs counts no inodes; pseudo file systems have no blocks.
        (SimpleNamespace(f_bavail=10**6, f_frsize=4096, f_blocks=10**6, f_files=0, f_favail=0), {}),
        (SimpleNamespace(f_bavail=0, f_frsize=4096, f_blocks=0, f_files=0, f_favail=0), {}),
    ],
)
def test_a_file_system_is_told_once_where_little_is_left(
    monkeypatch: pytest.MonkeyPatch, state: SimpleNamespace, told: dict[str, str]
) -> None:
    devices = {"/a": 1, "/a/b": 1}
    monkeypatch.setattr(os, "stat", lambda place: SimpleNamespace(st_dev=devices[place]))
    monkeypatch.setattr(os, "statvfs", lambda place: state)
    assert upkeep.low(["/a", "/a/b"]) == told


def test_a_host_is_read_as_it_is(tmp_path: Path) -> None:
    found = upkeep.look()
    assert set(found.low) <= set(upkeep.PLACES)
    assert upkeep.low([str(tmp_path / "nothing")]) == {}
