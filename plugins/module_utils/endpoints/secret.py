"""The API key: read where it lies, and looked for where it must not be."""

from __future__ import annotations

import glob
import os
import shlex
from collections.abc import Iterator

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.check import Check, expect, probe, skip
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.client import Client
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service

VARIABLE = "VLLM_API_KEY"
PROCESSES = "/proc"


def read_key(path: str) -> str | None:
    """The value of VLLM_API_KEY in a file as systemd's EnvironmentFile= takes it; None when there is none.

    Raises:
        OSError: when the file is there but cannot be read.
    """
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return None
    key = None
    for line in lines:
        name, equals, value = line.strip().partition("=")
        if equals and name.strip() == VARIABLE:
            # The last one counts, as in systemd.
            key = "".join(shlex.split(value)) if value.strip()[:1] in ("'", '"') else value.strip()
    return key or None


def holders(key: str, processes: str = PROCESSES) -> list[str]:
    """The processes whose command line shows the key, as `PID (program)`: any user of the host can read it there."""
    found = []
    for path in glob.glob(os.path.join(processes, "[0-9]*", "cmdline")):
        try:
            with open(path, "rb") as file:
                words = file.read()
        except OSError:
            continue  # it ended meanwhile
        if key.encode() in words:
            program = words.split(b"\0", 1)[0].decode("utf-8", "replace")
            found.append(f"{path.split(os.sep)[-2]} ({program})")
    return found


@probe("key_hidden")
def key_hidden(client: Client, service: Service) -> Iterator[Check]:
    """No process of the host shows the API key in its command line; skipped where the check has no key."""
    if client.key is None:
        yield skip("key_hidden", "no API key was given to the check")
        return
    found = holders(client.key)
    yield expect(
        "key_hidden",
        not found,
        f"the key in the command line of {', '.join(found)}" if found else "in no command line",
        "the key in no process's command line",
    )
