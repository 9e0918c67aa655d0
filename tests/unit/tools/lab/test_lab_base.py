"""What goes into a machine's root, and under which digest it is kept."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.tools.lab.base import (
    POOL,
    POOL_SCRIPT_TEXT,
    Root,
    mmdebstrap_command,
    prepare,
    settings_of,
    sources_of,
)

DEB822 = """\
Types: deb
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""
ONE_LINE = """\
deb [arch=amd64 signed-by=/x.gpg] https://mirror.example/debian bookworm main non-free  # ours
deb-src https://mirror.example/debian bookworm main
deb https://packages.example/apt tool-bookworm main
"""
THIRD_PARTY = "Types: deb\nURIs: https://node.example\nSuites: nodistro\nComponents: main\n"
DISABLED = "Types: deb\nEnabled: no\nURIs: http://off.example\nSuites: bookworm\nComponents: main\n"
ROOT = Root("bookworm", (), "", (), ())


@pytest.mark.parametrize(
    ("suite", "own", "files", "expected"),
    [
        (
            "bookworm",
            "bookworm",
            [("debian.sources", DEB822)],
            [
                ("http://mirror.example/debian", "bookworm bookworm-updates"),
                ("http://mirror.example/debian-security", "bookworm-security"),
            ],
        ),
        (
            "trixie",
            "bookworm",
            [("debian.sources", DEB822)],
            [
                ("http://mirror.example/debian", "trixie trixie-updates"),
                ("http://mirror.example/debian-security", "trixie-security"),
            ],
        ),
        ("bookworm", "bookworm", [("sources.list", ONE_LINE)], [("https://mirror.example/debian", "bookworm")]),
        ("bookworm", "bookworm", [("n.sources", THIRD_PARTY), ("o.sources", DISABLED)], []),
        ("bookworm", "", [("sources.list", ONE_LINE)], []),
    ],
    ids=["deb822", "other suite", "one line", "not Debian's", "not a Debian"],
)
def test_sources(suite: str, own: str, files: list[tuple[str, str]], expected: list[tuple[str, str]]) -> None:
    stanzas = [
        dict(line.split(": ", 1) for line in part.splitlines())
        for part in sources_of(suite, own, files).split("\n\n")
        if part
    ]
    assert [(stanza["URIs"], stanza["Suites"]) for stanza in stanzas] == expected


def test_only_settings_of_the_network_are_carried() -> None:
    dump = (
        'APT::Architecture "amd64";\nAcquire::http::Proxy "http://proxy:3128";\nAcquire::https::Proxy "";\n'
        'Acquire::Check-Date "false";\nAcquire::http::Proxy-Auto-Detect "/x";\n'
    )
    assert settings_of(dump) == (("Acquire::http::Proxy", "http://proxy:3128"), ("Acquire::Check-Date", "false"))


@pytest.mark.parametrize(
    "other",
    [
        replace(ROOT, suite="trixie"),
        replace(ROOT, packages=("git",)),
        replace(ROOT, sources="Types: deb\n"),
        replace(ROOT, settings=(("Acquire::http::Proxy", "http://p"),)),
        replace(ROOT, certificates=(("a.crt", "x"),)),
    ],
)
def test_the_digest_changes_with_everything_that_goes_in(other: Root) -> None:
    assert other.digest != ROOT.digest
    assert replace(ROOT).digest == ROOT.digest


def test_the_command_names_a_mirror_only_when_this_computer_does(tmp_path: Path) -> None:
    target = tmp_path / "root"
    assert mmdebstrap_command(ROOT, tmp_path, target)[-2:] == ["bookworm", str(target)]
    mirrored = mmdebstrap_command(replace(ROOT, sources="Types: deb\n"), tmp_path, target)
    assert mirrored[-3:] == ["bookworm", str(target), str(tmp_path / "lab.sources")]
    assert "://" not in " ".join(mirrored)


def test_extra_packages_are_included(tmp_path: Path) -> None:
    command = mmdebstrap_command(replace(ROOT, packages=("g++",)), tmp_path, tmp_path / "root")
    (included,) = [word for word in command if word.startswith("--include=")]
    assert {"g++", "openssh-server", "systemd"} <= set(included.removeprefix("--include=").split(","))


def test_what_the_command_refers_to_is_there(tmp_path: Path) -> None:
    prepare(replace(ROOT, certificates=(("a.crt", "PEM"),)), tmp_path)
    assert (tmp_path / "finish").exists()
    assert (tmp_path / "files/usr/local/share/ca-certificates/a.crt").read_text() == "PEM"


def test_a_package_that_one_machine_has_downloaded_is_there_for_the_next(tmp_path: Path) -> None:
    pool, archives = tmp_path / "pool", tmp_path / "archives"
    pool.mkdir()
    archives.mkdir()
    script = tmp_path / "script"
    script.write_text(POOL_SCRIPT_TEXT.replace(POOL, str(pool)).replace("/var/cache/apt/archives", str(archives)))
    (archives / "g++_4%3a12_amd64.deb").write_text("first")
    (pool / "old_1_all.deb").write_text("old")
    names = f"{archives}/g++_4%3a12_amd64.deb\n"
    subprocess.run(["sh", script, "keep"], input=names, text=True, check=True)
    assert sorted(path.name for path in pool.iterdir()) == ["g++_4%3a12_amd64.deb", "old_1_all.deb"]
    (archives / "g++_4%3a12_amd64.deb").unlink()
    subprocess.run(["sh", script, "offer"], check=True)
    assert (archives / "g++_4%3a12_amd64.deb").read_text() == "first"
    assert (archives / "old_1_all.deb").is_symlink()
    # What came out of the pool is not copied into it again.
    subprocess.run(["sh", script, "keep"], input=names, text=True, check=True)
    assert len(list(pool.iterdir())) == 2
