"""The program that keeps the servers' state (templates/usr/local/libexec/haproxy-vllm-state), run as it is, where the disk is full."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[5] / "templates/usr/local/libexec/haproxy-vllm-state"
CONFIG = "backend model.m\n    server gpu1 10.0.0.1:8001 check\n"


def line(port: int, admin: int = 1) -> str:
    fields = ["4", "model.m", "1", "gpu1", "10.0.0.1", "2", str(admin), *["0"] * 11, str(port), "-", "0"]
    return " ".join(fields)


class Gateway:
    def __init__(self, root: Path) -> None:
        self.config, self.state = root / "vllm.cfg", root / "server-state"
        self.config.write_text(CONFIG)
        text = PROGRAM.read_text()
        for name, path in (("CONFIG", self.config), ("STATE", self.state), ("LOCK", root / "lock")):
            (before,) = [found for found in text.splitlines() if found.startswith(f"{name} = ")]
            text = text.replace(before, f"{name} = {str(path)!r}")
        self.program = root / "program"
        self.program.write_text(text)

    def fill(self) -> None:
        """From now on every write is answered as on a full disk."""
        Path(f"{self.state}.draft").symlink_to("/dev/full")

    def keep(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, self.program, "keep"], capture_output=True, text=True, check=False)


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


def test_a_kept_state_is_fitted_to_the_configuration(gateway: Gateway) -> None:
    assert gateway.keep().returncode == 0
    assert gateway.state.read_text() == "1\n"
    gateway.state.write_text(f"1\n{line(8000)}\n{line(8000).replace('gpu1', 'gone')}\n")
    assert gateway.keep().returncode == 0
    assert gateway.state.read_text() == f"1\n{line(8001)}\n"


def test_on_a_full_disk_the_gateway_starts_with_what_was_kept_last(gateway: Gateway) -> None:
    drained = f"1\n{line(8001, admin=9)}\n"
    gateway.state.write_text(drained)
    gateway.fill()
    done = gateway.keep()
    assert (done.returncode, done.stderr) == (0, ""), "nothing changes, so nothing has to be written"
    gateway.state.write_text(f"{drained}{line(8001).replace('gpu1', 'gone')}\n")
    done = gateway.keep()
    assert done.returncode == 0, done.stderr
    assert "server-state: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert gateway.state.read_text().startswith(drained)


def test_on_a_full_disk_a_gateway_that_never_ran_starts_as_well(gateway: Gateway) -> None:
    gateway.fill()
    done = gateway.keep()
    assert done.returncode == 0, done.stderr
    assert "No space left on device" in done.stderr
