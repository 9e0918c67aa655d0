"""Packages by apt-get and dnf: what is asked of them, and what is told when they refuse."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.host.packages import (
    PackageError,
    change,
    installed,
    manager_of,
)


class Tool:
    """Answers by the first of `answers` whose word is in the command; `verbs` are what was asked, without options."""

    def __init__(self, **answers: tuple[int, str]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, command: Sequence[str]) -> tuple[int, str]:
        self.asked.append(tuple(command))
        return next((answer for word, answer in self.answers.items() if word in command), (0, ""))

    @property
    def verbs(self) -> list[str]:
        known = ("install", "update", "remove")
        return [word for command in self.asked for word in command if word in known]


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """Lists that apt has just read."""
    (tmp_path / "deb.example.com_dists_InRelease").touch()
    return tmp_path


ROWS = "g++\tg++:amd64\t4:12.2\tinstalled\nlibnuma1\tlibnuma1:amd64\t2.0\tconfig-files\n"


def test_what_is_installed() -> None:
    asked = ["g++", "g++:amd64", "g++=4:12.2", "g++=4:13", "libnuma1", "nowhere"]
    assert installed("apt-get", asked, lambda command: (1, ROWS)) == {"g++", "g++:amd64", "g++=4:12.2"}
    assert installed("dnf", ["gcc-c++", "x"], lambda command: (0 if command[-1] == "gcc-c++" else 1, "")) == {"gcc-c++"}


@pytest.mark.parametrize(
    ("family", "programs", "manager"),
    [
        ("debian", {"apt-get", "dnf"}, "apt-get"),
        ("rhel", {"apt-get", "dnf"}, "dnf"),
        ("fedora", {"dnf"}, "dnf"),
        ("", {"dnf"}, "dnf"),
        ("", {"zypper"}, ""),
    ],
)
def test_the_distributions_own_manager_is_asked(family: str, programs: set[str], manager: str) -> None:
    assert manager_of(family, programs.__contains__) == manager


def test_fresh_lists_are_not_read_again(lists: Path) -> None:
    tool = Tool()
    change("apt-get", ["g++"], tool, lists=lists)
    assert tool.verbs == ["install"]
    assert "--no-install-recommends" in tool.asked[0]


@pytest.mark.parametrize("age", [7200, None])
def test_old_lists_and_none_are_read_first(lists: Path, age: int | None) -> None:
    if age is None:
        next(lists.glob("*_*")).unlink()
    else:
        os.utime(lists, (time.time() - age,) * 2)
    tool = Tool()
    change("apt-get", ["g++"], tool, lists=lists, recommended=True)
    assert tool.verbs == ["update", "install"]
    assert "--install-recommends" in tool.asked[1]


def test_what_apt_refuses_is_told_in_its_own_last_words(lists: Path) -> None:
    said: list[str] = []
    tool = Tool(
        install=(100, "Reading package lists...\nE: Unable to locate package g++\n"), update=(100, "E: 407 Proxy")
    )
    with pytest.raises(PackageError, match=r"install g\+\+ failed \(100\):\nE: Unable to locate package g\+\+$"):
        change("apt-get", ["g++"], tool, lists=lists, say=said.append)
    assert tool.verbs == ["install", "update", "install"]
    assert said == ["apt-get update failed: E: 407 Proxy"]


@pytest.mark.parametrize(
    ("absent", "recommended", "command"),
    [
        (False, False, "dnf -y --setopt=install_weak_deps=False install gcc-c++"),
        (False, True, "dnf -y --setopt=install_weak_deps=True install gcc-c++"),
        (True, False, "dnf -y remove --noautoremove gcc-c++"),
    ],
)
def test_dnf(absent: bool, recommended: bool, command: str) -> None:
    tool = Tool()
    change("dnf", ["gcc-c++"], tool, absent=absent, recommended=recommended)
    assert [" ".join(asked) for asked in tool.asked] == [command]
