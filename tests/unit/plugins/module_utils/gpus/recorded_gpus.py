"""The recordings in data/ as commands answer them (data/README.md says where they are from)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.gpus import amd, smi
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts

DATA = Path(__file__).parent / "data"
H100, A100_MIG, T4, V100S = "h100x2-565.57.01.xml", "a100-mig-535.54.03.xml", "t4-515.105.01.xml", "v100s-460.73.01.xml"
REPORTS = sorted(path.name for path in DATA.glob("*.xml"))


def report(name: str, **replaced: str) -> str:
    """A recording, with the contents of single elements replaced: report(H100, remapped_row_pending="Yes")."""
    text = (DATA / name).read_text()
    for tag, value in replaced.items():
        start, end = text.index(f"<{tag}>") + len(tag) + 2, text.index(f"</{tag}>")
        text = text[:start] + value + text[end:]
    return text


@dataclass
class Tool:
    """A stand-in for nvidia-smi: `answers` maps the first argument to (status, output); what it lacks exits with 2."""

    answers: dict[str, tuple[int, str]]
    asked: list[list[str]] = field(default_factory=list)

    def __call__(self, argv: list[str]) -> tuple[int, str, str]:
        self.asked.append(argv)
        found = next((answer for word, answer in self.answers.items() if argv[1].startswith(word)), None)
        return (2, "", "") if found is None else (*found, "")


def facts(text: str, csv: str = "", returncode: int = 0, **others: str) -> Facts:
    """What is read from a report, with the CSV query and others (`topo`, `nvlink`, `list_`) beside it."""
    words = {"--query": csv, "topo": others.get("topo"), "nvlink": others.get("nvlink"), "-L": others.get("list_")}
    given = {word: (0, answer) for word, answer in words.items() if answer}
    return smi.read(Tool({"-q": (returncode, text), **given}), Path("/nonexistent"))


def amd_tool(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((DATA / name).read_text())
    return read


def amd_facts(told: dict[str, Any], before: str = "", version: str = "") -> Facts:
    """What is read from amd-smi's answers by subcommand; `before` stands above each."""
    answers = {verb: (0, before + json.dumps(answer, indent=4)) for verb, answer in told.items()}
    return amd.read(Tool({**answers, "version": (0, version)}), Path("/nonexistent"))
