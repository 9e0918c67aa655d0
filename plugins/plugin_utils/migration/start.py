"""One start of vLLM, as scripts, units, containers and manifests lead to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.values import Word

# Names of variables that hold options, and no value of one.
FURTHER = re.compile(r"(?i)arg|opt|extra|flag|param|further|more|@")


@dataclass(frozen=True)
class Mount:
    """`named`: the source is a volume of the container engine or the cluster, and no directory of the host."""

    source: str
    target: str
    named: bool = False


@dataclass(frozen=True)
class Start:
    """One start of vLLM. `words`: what follows `vllm serve`; `release`: what the image's tag or a requirement says.

    `gpus`: "" where nothing says it, `all`, a count (`count=2`), or what names them (`0,1`). `ports`: (host, container)
    pairs that are published. `env_files`: files with variables that come before `env`. `module`: started as a Python
    module, not by `vllm serve`. `passed_over`: as the script stands alone, another way is gone. `machine`: where ssh starts
    it, "" where no ssh does.
    """

    words: tuple[Word, ...]
    env: Mapping[str, Word] = field(default_factory=dict)
    release: str = ""
    gpus: str = ""
    notes: tuple[str, ...] = ()
    line: int = 0
    module: bool = False
    container: bool = False
    ports: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Mount, ...] = ()
    directory: str | None = None
    env_files: tuple[str, ...] = ()
    passed_over: bool = False
    machine: str = ""
