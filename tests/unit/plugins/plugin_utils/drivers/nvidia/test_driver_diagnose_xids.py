"""The catalogue of Xids, and what becomes of one."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import (
    Device,
    DriverState,
    System,
    WantedDriver,
    Xid,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts, Gpu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import diagnose_xids
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.diagnose_case import Case
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding

A, B = "0000:01:00.0", "0000:02:00.0"


def judged(*xids: Xid, recovery: str = "") -> list[Finding]:
    gpus = tuple(Gpu(i, "nvidia", "H100", str(i), address, recovery=recovery) for i, address in enumerate((A, B)))
    state = DriverState(
        System("debian", "12"),
        gpus=(Device(A, "10de", "2330", "030200"),),
        xids=xids,
        facts=Facts("nvidia-smi", returncode=0, gpus=gpus),
    )
    return list(diagnose_xids.xids(Case(state, WantedDriver(), None)))


def test_every_code_has_a_known_action() -> None:
    data = yaml.safe_load(diagnose_xids.FILE.read_text())
    assert {entry["action"] for entry in data["codes"].values()} == set(data["actions"])
    assert all(set(action) <= {"fatal", "heal", "remedy"} for action in data["actions"].values())
    assert len(diagnose_xids.meanings()) == len(data["codes"]) >= 90


@pytest.mark.parametrize(
    ("code", "text", "recovery", "fatal"),
    [
        (13, "Graphics SM Warp Exception", "", False),
        (31, "MMU Fault", "", False),
        (43, "", "", False),
        (45, "", "", False),
        (48, "DBE", "", True),
        (63, "Row Remapper: New row marked for remapping", "", False),
        (64, "", "", True),
        (74, "", "", True),
        (79, "GPU has fallen off the bus", "", True),
        (92, "", "", False),
        (94, "Contained", "", False),
        (95, "Uncontained", "", True),
        (109, "CTX SWITCH TIMEOUT", "", True),
        (119, "Timeout after 6s of waiting for RPC response", "", True),
        (119, "Timeout after 6s of waiting for RPC response", "none", False),
        (119, "Timeout after 6s of waiting for RPC response", "reset", True),
        (140, "", "", True),
        (149, "NETIR_LINK_EVT  Fatal   XC0 i0 Link 01 (0x021425c6)", "", True),
        (149, "NETIR_LINK_EVT  Nonfatal XC0 i0 Link 01 (0x021425c6)", "", False),
        (145, "RLW_REMAP Non-fatal XC0", "", False),
        (154, "GPU recovery action changed from 0x0 (None) to 0x4 (Drain and Reset)", "", True),
        (154, "GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)", "", False),
        (4711, "", "", False),
    ],
)
def test_codes(code: int, text: str, recovery: str, fatal: bool) -> None:
    (finding,) = judged(Xid(A, code, 1, text), recovery=recovery)
    assert (finding.name, finding.fatal) == (f"xid-{code}", fatal)
    assert bool(finding.heal) is fatal


def test_a_loose_power_cable_is_nothing_that_a_reboot_mends() -> None:
    (finding,) = judged(Xid(A, 54, 1, ""))
    assert (finding.fatal, finding.heal) == (True, "")


def test_one_finding_for_each_code_with_all_its_gpus() -> None:
    found = judged(Xid(A, 31, 12, "first"), Xid(B, 31, 1, "second"), Xid(A, 63, 1, "third"))
    assert [finding.name for finding in found] == ["xid-31", "xid-63"]
    assert f"{A} (12 times), {B}" in found[0].message
    assert "memory page fault" in found[0].message
