"""Engines that would listen on a family of addresses that their host does not have are told, with the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import PlannedUnit, ProvedBy
from ansible_collections.baremetal.vllm.plugins.module_utils.units.reach import hindrances

SERVICE: ProvedBy = {
    "name": "m", "unit": "vllm-m.service", "kind": "chat", "address": "", "port": 8001, "served_names": ["m"], "prove": {},
}  # fmt: skip
LOOPBACK4 = "        |-- 127.0.0.1\n           /32 host LOCAL\n"
OWN4 = "           |-- 10.0.0.5\n              /32 host LOCAL\n           |-- 10.0.0.255\n              /32 link BROADCAST\n"
LOOPBACK6 = "00000000000000000000000000000001 01 80 10 80       lo\n"
LINK6 = "fe8000000000000050c28bfffed02644 06 40 20 80     eth0\n"
OWN6 = "fd000000000000000000000000000002 04 40 00 82     eth0\n"


@pytest.mark.parametrize(
    ("listens", "ipv4", "ipv6", "told"),
    [
        ("0.0.0.0", LOOPBACK4 + OWN4, LOOPBACK6 + OWN6, ""),
        ("0.0.0.0", LOOPBACK4 + OWN4, None, ""),
        ("0.0.0.0", LOOPBACK4, LOOPBACK6 + LINK6 + OWN6, "no IPv4 address that others reach, only fd00::2: write vllm_address"),
        # No network at all: nothing that an address could mend.
        ("0.0.0.0", LOOPBACK4, LOOPBACK6 + LINK6, ""),
        ("0.0.0.0", None, LOOPBACK6 + OWN6, ""),
        ("::", LOOPBACK4 + OWN4, LOOPBACK6, ""),
        ("::", LOOPBACK4 + OWN4, None, "kernel has no IPv6: write vllm_address: 0.0.0.0"),
        ("127.0.0.1", LOOPBACK4, OWN6, ""),
        ("10.0.0.5", LOOPBACK4, OWN6, ""),
    ],
)  # fmt: skip
def test_what_nobody_reaches_is_told(
    tmp_path: Path, listens: str, ipv4: str | None, ipv6: str | None, told: str
) -> None:
    for name, text in (("fib_trie", ipv4), ("if_inet6", ipv6)):
        if text is not None:
            (tmp_path / name).write_text(text)
    units = [
        PlannedUnit("vllm-m.service", "", "", service=SERVICE | {"address": listens}),
        PlannedUnit("vllm-unknown.service", "", ""),
    ]
    lines = hindrances(units, tmp_path)
    assert len(lines) == bool(told)
    assert told in " ".join(lines)
    assert all("vllm-m.service" in line and "unknown" not in line for line in lines)
