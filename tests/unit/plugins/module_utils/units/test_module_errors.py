"""Modules that write files: an error of the disk or of SELinux's tool is a message, not a traceback."""

from __future__ import annotations

import errno
import json
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import HostFile
from ansible_collections.baremetal.vllm.plugins.module_utils.host.labels import LabelError
from ansible_collections.baremetal.vllm.plugins.modules import driver, model_service

FULL = OSError(errno.ENOSPC, "No space left on device", "/etc/x")
LABEL = LabelError(["restorecon", "-R", "/etc/x"], "Operation not supported")


def raises(error: OSError) -> Any:
    def refuse(*__: Any) -> None:
        raise error

    return refuse


@pytest.mark.parametrize("module", [driver, model_service])
@pytest.mark.parametrize(
    ("error", "told"),
    [(FULL, "/etc/x: No space left on device"), (LABEL, "restorecon -R /etc/x: Operation not supported")],
)
def test_a_file_that_cannot_be_written_is_a_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: ModuleType, error: OSError, told: str
) -> None:
    monkeypatch.setattr(HostFile, "write", raises(error))
    monkeypatch.setitem(model_service.PHASES, "restore", lambda asked: HostFile("/etc/x", "", 0o644).write())
    asked: dict[str, Any] = {"phase": "restore"}
    if module is driver:
        asked = {"step": "files", "files": [{"path": "/nonexistent/x", "content": "x", "mode": "0644"}]}
    with patch_module_args(asked), pytest.raises(SystemExit):
        module.main()
    said = json.loads(capsys.readouterr().out)
    assert (said["failed"], said["msg"]) == (True, told)
