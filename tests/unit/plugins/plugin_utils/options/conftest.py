"""Reads args and env as the plan does, and gives what the operator is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.check import read_arguments
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.environment import check_environment
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.extras import NO_EXTRAS, Extras
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.relations import check_relations
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.words import words


class Told:
    """`read`: canonical option to value; `words`: the command line; `problems`, `warnings`: sentences, sorted."""

    def __init__(
        self,
        version: str | None,
        args: Mapping[Any, Any],
        env: Mapping[str, str | bool] | None = None,
        extras: Extras = NO_EXTRAS,
        gpus: int | None = None,
    ) -> None:
        found = Problems()
        self.release: Release | None = release(version) if version else None
        self.read = read_arguments("args", args, self.release, extras, found)
        check_relations("args", self.read, self.release, found, gpus=gpus)
        check_environment("env", env or {}, self.release, extras, found)
        self.problems = sorted(str(problem) for problem in found.found)
        self.warnings = sorted(str(problem) for problem in found.warned)
        self.words = [word for option, value in self.read.items() for word in words(option, value, self.release)]


@pytest.fixture(scope="session")
def tell() -> type[Told]:
    """`tell(version, args, env, extras, gpus)`: what comes of them in a release; None is a release not known."""
    return Told
