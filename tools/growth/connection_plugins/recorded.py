"""A connection that answers from a folder of records. Development only: it stands in for a host, and for the network to it.

What it stands in for: ssh and its process on the control node, the network, sudo, the host's Python, and what a module does
there. An answer is there at once, whatever was asked. What it does not stand in for, so that it is measured: everything that
Ansible and this collection do on the control node for a task (workers, templating, building the module with its arguments,
reading its answer, results, variables).

A module's answer is the file `<its name>.json` of the folder, or `<host>.<its name>.json` of a host that has its own. Each
question is a line `<host> <name>` in the file `asked`, so that a run can be held to what it asked. A module without a record is a
failure.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = r"""
---
name: recorded
short_description: Answers from records
description:
  - Stands in for hosts where the control node alone is measured.
author: The baremetal.vllm contributors (@baremetal-vllm)
extends_documentation_fragment:
  - connection_pipelining
options:
  answers:
    description: The folder of records.
    type: path
    required: true
    env:
      - name: GROWTH_ANSWERS
"""

# Of what Ansible wraps around a module (`_get_ansiballz_code`, ansible/executor/module_common.py of ansible-core 2.19 to 2.21).
_MODULE = re.compile(rb"^module_fqn='([\w.]+)',$", re.MULTILINE)
# What Ansible asks a host once for its Python (`discover_interpreter`, ansible/executor/interpreter_discovery.py).
_DISCOVERY, _PYTHON = "echo FOUND", b"FOUND\n/usr/bin/python3\nENDFOUND\n"


class Connection(ConnectionBase):
    """One stand-in host."""

    transport = "recorded"
    has_pipelining = True

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """The record of the module that comes as `in_data`."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        if not in_data and _DISCOVERY in cmd:
            return 0, _PYTHON, b""
        found = _MODULE.search(in_data or b"")
        if not found:
            raise AnsibleError(f"Only modules have records, and this is none: {cmd[:200]}")
        return 0, self._record(found[1].decode().rpartition(".")[2]), b""

    def _record(self, module: str) -> bytes:
        folder, host = Path(self.get_option("answers")), self._play_context.remote_addr
        # One write of one line: workers append beside each other.
        asked = os.open(folder / "asked", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(asked, f"{host} {module}\n".encode())
        finally:
            os.close(asked)
        own = folder / f"{host}.{module}.json"
        try:
            return (own if own.exists() else folder / f"{module}.json").read_bytes()
        except FileNotFoundError:
            raise AnsibleError(f"{host} was asked for {module}, of which there is no record") from None

    def put_file(self, in_path: str, out_path: str) -> None:
        """Nothing is transferred: modules come by pipelining."""
        raise AnsibleError(f"{in_path} would be copied to {out_path}: nothing here takes files")

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Nothing is fetched either."""
        raise AnsibleError(f"{in_path} would be fetched: nothing here has files")

    def close(self) -> None:
        """Nothing is kept open."""
        self._connected = False
