"""A systemd that does not answer is told once, and not waited for again unit by unit."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.host import systemd


def test_a_systemctl_that_hangs_is_told_and_asked_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def run(argv: Sequence[str], timeout: float, **__: Any) -> None:
        calls.append(argv)
        raise subprocess.TimeoutExpired(argv, timeout)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(systemd.SystemdError, match=r"systemctl show .*: no end after 120 s"):
        systemd.show(["a.service", "b.service"])
    assert len(calls) == 1
