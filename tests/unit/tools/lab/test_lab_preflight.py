"""What the lab says about a computer that cannot boot it."""

from __future__ import annotations

import pytest
from ansible_collections.baremetal.vllm.tools.lab.preflight import Computer, complaint, system_ids

DEBIAN = ("debian",)
ABLE = (("an overlay mount", True), ("a network bridge", True))


@pytest.mark.parametrize(
    ("computer", "words"),
    [
        (Computer(True, DEBIAN, (), ABLE), []),
        (Computer(True, ("linuxmint", "ubuntu", "debian"), (), ABLE), []),
        (Computer(False, DEBIAN, (), ()), ["must run as root", "sudo"]),
        (
            Computer(True, DEBIAN, ("systemd-nspawn", "mmdebstrap", "nft"), ()),
            [
                "systemd-nspawn, mmdebstrap and nft not found",
                "apt-get install --yes mmdebstrap nftables systemd-container",
            ],
        ),
        (
            Computer(False, DEBIAN, ("ssh", "ssh-keygen"), ()),
            ["must run as root", "ssh and ssh-keygen not found", "sudo apt-get install --yes openssh-client)"],
        ),
        (
            Computer(True, DEBIAN, (), (("an overlay mount", False), ("a veth pair", True))),
            ["not allow an overlay mount ("],
        ),
        (Computer(True, ("fedora",), ("mmdebstrap",), ()), ["this one is fedora", "Debian 12 or newer"]),
        (Computer(True, (), (), ()), ["unknown"]),
    ],
    ids=["able", "derived", "no root", "no tools", "neither", "kernel", "other system", "no os-release"],
)
def test_complaint_names_everything_in_one_sentence(computer: Computer, words: list[str]) -> None:
    said = complaint(computer)
    assert bool(said) == bool(words)
    assert "\n" not in said
    for word in words:
        assert word in said


def test_a_system_that_is_not_debian_is_not_told_to_use_apt() -> None:
    assert "apt-get" not in complaint(Computer(False, ("fedora",), ("nft",), ()))


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ('PRETTY_NAME="Debian"\nID=debian\n', ("debian",)),
        ('ID="linuxmint"\nID_LIKE="ubuntu debian"\n', ("linuxmint", "ubuntu", "debian")),
        ("", ()),
    ],
)
def test_system_ids(tmp_path, text: str, ids: tuple[str, ...]) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "os-release").write_text(text)
    assert system_ids(str(tmp_path / "os-release")) == ids


def test_system_ids_without_the_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    assert system_ids(str(tmp_path / "none")) == ()
