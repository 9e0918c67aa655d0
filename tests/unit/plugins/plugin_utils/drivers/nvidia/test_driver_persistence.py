"""The persistence daemon of Ubuntu persists only by a unit of ours, which never replaces one of the operator's."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import (
    DriverState,
    System,
    WantedDriver,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import persistence

OURS = persistence.files(DriverState(System("ubuntu", "24.04")), {}, WantedDriver())[0]


def test_our_unit_keeps_the_gpus_initialised_and_can_be_enabled() -> None:
    assert "--persistence-mode" in OURS.content
    assert "WantedBy=multi-user.target" in OURS.content


@pytest.mark.parametrize(
    ("users", "chosen"),
    [
        (["root", "nvidia-persistenced"], "nvidia-persistenced"),
        (["root", "nvpd"], "nvpd"),
        (["root"], "root"),
    ],
)
def test_the_daemon_runs_as_whom_its_package_made(users: list[str], chosen: str, tmp_path: Path) -> None:
    """The line as systemd reads it, with stand-ins for id and the daemon."""
    line = re.search(r"^ExecStart=/bin/sh -c '(.*)'$", OURS.content, re.MULTILINE)
    assert line
    daemon = tmp_path / "nvidia-persistenced"
    daemon.write_text('#!/bin/sh\necho "$*"\n')
    (tmp_path / "id").write_text(f'#!/bin/sh\ncase "$2" in {"|".join(users)}) echo 1 ;; *) exit 1 ;; esac\n')
    for tool in tmp_path.iterdir():
        tool.chmod(0o755)
    # systemd.service(5): "$$" is one dollar sign.
    text = line[1].replace("$$", "$").replace("/usr/bin/nvidia-persistenced", str(daemon))
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(["sh", "-c", text], env={"PATH": path}, capture_output=True, text=True, check=True)
    assert done.stdout == f"--user {chosen} --persistence-mode --verbose\n"


@pytest.mark.parametrize(
    ("system", "there", "wanted", "expected"),
    [
        (System("ubuntu", "22.04"), {}, WantedDriver(), True),
        (System("ubuntu", "22.04"), {persistence.PATH: OURS.content}, WantedDriver(), True),
        (System("ubuntu", "22.04"), {persistence.PATH: "[Unit]\n"}, WantedDriver(), False),
        (System("ubuntu", "22.04"), {}, WantedDriver(persistence=False), False),
        (System("debian", "12"), {}, WantedDriver(), False),
    ],
)
def test_where_it_is_written(system: System, there: dict[str, str], wanted: WantedDriver, expected: bool) -> None:
    assert bool(persistence.files(DriverState(system), there, wanted)) is expected
