"""Which packages and units of DCGM a host lacks."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance import dcgm_observe
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance.dcgm_model import (
    ENGINE,
    EXPORTER,
    DcgmSeen,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import ServiceState
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.acceptance import dcgm
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.acceptance.dcgm import DcgmRefusalError, Todo, todo

UP = ServiceState("active", True)
CUDA13, CUDA12 = "datacenter-gpu-manager-4-cuda13", "datacenter-gpu-manager-4-cuda12"
METRICS = "datacenter-gpu-manager-exporter"
WHOLE = DcgmSeen({CUDA13: "1:4.4.2-1", METRICS: "4.5.0-1"}, "580.95.05", {ENGINE: UP, EXPORTER: UP}, "text", "debian")


def having(**changes: object) -> DcgmSeen:
    return DcgmSeen(**{**WHOLE.__dict__, **changes})


@pytest.mark.parametrize(
    ("seen", "exporter", "expected"),
    [
        (WHOLE, True, Todo()),
        (DcgmSeen(driver="580.95.05"), True, Todo(install=(CUDA13, METRICS), write=True, start=(ENGINE, EXPORTER))),
        (DcgmSeen(driver="570.195.03"), False, Todo(install=(CUDA12,), start=(ENGINE,))),
        (having(drop_in="other"), True, Todo(write=True, start=(EXPORTER,))),
        (having(units={ENGINE: ServiceState("failed", True), EXPORTER: UP}), True, Todo(start=(ENGINE,))),
        (having(units={ENGINE: UP, EXPORTER: ServiceState("active", False)}), True, Todo(start=(EXPORTER,))),
        (WHOLE, False, Todo(delete=True, stop=(EXPORTER,))),
        (having(units={ENGINE: UP}, drop_in=""), False, Todo()),
        # A new driver that speaks a newer CUDA; the single package of DCGM 3.
        (having(packages={CUDA12: "1:4.4.2-1", METRICS: "1"}), True, Todo(install=(CUDA13,), start=(ENGINE, EXPORTER))),
        (
            having(packages={"datacenter-gpu-manager": "1:3.3.9"}), False,
            Todo(remove=("datacenter-gpu-manager",), install=(CUDA13,), delete=True, start=(ENGINE,), stop=(EXPORTER,)),
        ),
    ],
)  # fmt: skip
def test_what_is_to_be_done(seen: DcgmSeen, exporter: bool, expected: Todo) -> None:
    done = todo(seen, 0, exporter, "text")
    assert done == expected
    assert done.changes == (expected != Todo())


@pytest.mark.parametrize(
    ("driver", "cuda"), [("590.44.01", 13), ("580.65.06", 13), ("575.57.08", 12), ("525.60", 12), ("470.256.02", 11)]
)
def test_the_cuda_that_a_driver_speaks(driver: str, cuda: int) -> None:
    assert dcgm.cuda_of(driver) == cuda


@pytest.mark.parametrize(
    ("driver", "words"), [("", "dcgm_cuda: 13"), ("390.157", "450 or newer"), ("unknown", "not loaded")]
)
def test_what_cannot_be_told(driver: str, words: str) -> None:
    with pytest.raises(DcgmRefusalError, match=words):
        todo(DcgmSeen(driver=driver), 0, True, "")
    assert todo(DcgmSeen(driver=driver), 13, False, "").install == (CUDA13,)


UNITS = f"Id={ENGINE}\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n\nId={EXPORTER}\nLoadState=not-found\nActiveState=inactive\n"


@pytest.mark.parametrize(
    ("dpkg", "rpm", "family", "packages"),
    [
        (
            (0, f"installed {CUDA13} 1:4.4.2-1\nconfig-files datacenter-gpu-manager 1:3.3.9\n", ""),
            None,
            "debian",
            {CUDA13: "1:4.4.2-1"},
        ),
        ((1, "", "dpkg-query: no packages found"), None, "debian", {}),
        ((127, "", ""), (0, f"installed {CUDA13} 4.4.2-1\n", ""), "rhel", {CUDA13: "4.4.2-1"}),
        ((127, "", ""), (127, "", ""), "", {}),
    ],
)
def test_what_is_seen_on_a_host(
    tmp_path: Path,
    dpkg: tuple[int, str, str],
    rpm: tuple[int, str, str] | None,
    family: str,
    packages: dict[str, str],
) -> None:
    (tmp_path / "sys/module/nvidia").mkdir(parents=True)
    (tmp_path / "sys/module/nvidia/version").write_text("580.95.05\n")
    answers = {"dpkg-query": dpkg, "rpm": rpm or (127, "", ""), "systemctl": (0, UNITS, "")}
    seen = dcgm_observe.look(Path("/etc/drop-in.conf"), lambda argv: answers[argv[0]], tmp_path)
    assert seen == DcgmSeen(packages, "580.95.05", {ENGINE: UP}, "", family)
