"""ansible-lint as `make lint` runs it: ``lint.py [options of ansible-lint]``.

Most of what ansible-lint costs here is starting `ansible-playbook --syntax-check` once for each playbook and role. Each is
checked so here too, in a process of its own, but one forked from a Python that has read Ansible already (tests/ansible_runs.py).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from ansiblelint import __main__, runner

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import ansible_runs


class _Subprocess:
    """What ansible-lint's runner uses of `subprocess`."""

    PIPE = subprocess.PIPE

    @staticmethod
    def run(command: list[str], *, env: Mapping[str, str], **_options: Any) -> subprocess.CompletedProcess[str]:
        return ansible_runs.run(*command, env=env)


if __name__ == "__main__":
    with mock.patch.object(runner, "subprocess", _Subprocess):
        # What the console script `ansible-lint` runs; it ends this process with its status.
        __main__._run_cli_entrypoint()
