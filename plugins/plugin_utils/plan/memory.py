"""What each service takes of its GPUs, as far as the model's files and the declared GPUs tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import HOSTS, Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.gpus import KnownGpu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.memory import UNDECLARED, Fit, fit
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.model_rules import check_model
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.setting import SHARE
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.support import check_support
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.verdict import check_fit
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.environment import as_text
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.hosts import DeclaredHost
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import Entry
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned import service as planned

NOT_AT_HAND = "its config.json is not at hand on the control node (docs/memory.md says how to put it there)"


class MemoryJudge:
    """Works out and judges the memory of services; what many hosts have in common is worked out once."""

    def __init__(self, facts: Mapping[str, ModelFacts | str], problems: Problems) -> None:
        self._facts, self._problems = facts, problems
        self._fits: dict[tuple[Any, ...], Fit] = {}

    def of(
        self,
        entry: Entry,
        args: Values,
        share: float | None,
        host: DeclaredHost,
        release: Release | None,
        placed: Sequence[int] = (),
    ) -> planned.Memory:
        """What one service takes of each of its GPUs.

        `args` as `read_arguments` gives them; `share` is the part of a shared GPU that the plan gives, None where it gives
        none; `placed`: the indices of its GPUs. Refuses what cannot run on the declared GPUs and driver.
        """
        at, read, kinds = f"vllm_models.{entry.name}", self._facts.get(entry.name, NOT_AT_HAND), host.kinds(placed)
        # Every rank must do with what the smallest GPU has.
        known = [kind for kind in kinds if kind is not None]
        gpu = min(known, key=lambda kind: kind.cuda) if len(known) == len(kinds) else None
        facts = read if isinstance(read, ModelFacts) else None
        if host.accelerator != "cpu":
            for kind in kinds:
                check_support(
                    at,
                    args,
                    facts,
                    kind,
                    host.driver,
                    release,
                    self._problems,
                    accelerator=host.accelerator,
                    host=host.name,
                )
            self._warn_of_kinds(at, kinds, host)
        if facts is None:
            unknown = [f"the model: {read}"]
            return _told(gpu.memory if gpu else None, None, unknown)
        env = as_text(entry.env, release)
        capability = gpu.capability if gpu and host.accelerator == "cuda" else None
        check_model(at, args, env, facts, release, self._problems, host=host.name, capability=capability)
        key = (entry.name, host.release, host.accelerator, gpu, share)
        if key not in self._fits:
            given = args if share is None else {SHARE: share, **args}
            pooling = entry.pooling
            self._fits[key] = fit(facts, given, gpu, release, env, pooling)
        found = self._fits[key]
        if host.accelerator != "cpu":
            name = gpu.name if gpu else "its GPU"
            check_fit(at, args, facts, found, name, self._problems, host.name, env)
        # A host without GPUs has none to declare.
        unknown = [what for what in found.unknown if what != UNDECLARED or host.accelerator != "cpu"]
        return _told(gpu.memory if gpu else None, found, unknown)

    def facts(self, entry: Entry) -> ModelFacts | None:
        """What is known of the entry's model."""
        read = self._facts.get(entry.name, NOT_AT_HAND)
        return read if isinstance(read, ModelFacts) else None

    def _warn_of_kinds(self, at: str, kinds: Sequence[KnownGpu | None], host: DeclaredHost) -> None:
        if len(kinds) > 1:
            names = " and ".join(kind.name if kind else "one that is not known" for kind in kinds)
            self._problems.warn(
                f"{at}.gpus",
                f"spans GPUs of several kinds on {HOSTS} ({names}): each does as much as the smallest",
                "List the indices of GPUs of one kind",
                host.name,
            )


def _told(gpu: int | None, fit: Fit | None, unknown: list[str]) -> planned.Memory:
    return planned.Memory(
        gpu=gpu,
        weights=fit.weights if fit else None,
        overhead=fit.overhead.total if fit else None,
        kv_cache=fit.left if fit else None,
        kv_per_token=fit.per_token if fit else None,
        longest=fit.longest if fit else None,
        unknown=tuple(unknown),
    )
