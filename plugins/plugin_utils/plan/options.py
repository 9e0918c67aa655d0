"""The options of every entry, checked once per release that serves it."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.adapters import check_adapters
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import whole
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import check
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.environment import check_environment
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.extras import Extras
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.relations import check_relations
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import Entry


class Options:
    """Reads and checks `args` and `env`. An entry that a thousand hosts serve is read once for each of their releases."""

    def __init__(
        self, extras: Extras, adapters: Mapping[str, Mapping[str, Mapping[str, object]]], problems: Problems
    ) -> None:
        """`adapters`: by entry and adapter the `adapter_config.json` of those that are at hand."""
        self._extras, self._adapters, self._problems = extras, adapters, problems
        self._read: dict[tuple[str, str], dict[str, object]] = {}

    def read(self, entry: Entry, release: Release | None) -> dict[str, object]:
        """The entry's `args` by canonical option, in the operator's order; `release` None: as written, unchecked."""
        key = (entry.name, release.version if release else "")
        if key not in self._read:
            self._read[key] = self._check(entry, release)
        return self._read[key]

    def _check(self, entry: Entry, release: Release | None) -> dict[str, object]:
        at = f"vllm_models.{entry.name}"
        args = check.read_arguments(f"{at}.args", entry.args, release, self._extras, self._problems)
        gpus = entry.gpus if isinstance(entry.gpus, int) or entry.gpus is None else len(entry.gpus)
        if entry.adapters and "lora-modules" not in args:
            # The plan adds it with the adapters; what needs it is not to complain.
            args.setdefault("enable-lora", True)
        check_relations(f"{at}.args", args, release, self._problems, gpus=gpus)
        check_adapters(at, args, self._adapters.get(entry.name, {}), release, self._problems)
        check_environment(f"{at}.env", entry.env, release, self._extras, self._problems)
        _check_kind(at, entry, args, self._problems)
        _check_span(at, args, self._problems)
        return args


def _check_kind(at: str, entry: Entry, args: Values, problems: Problems) -> None:
    """What the kind of a model asks of its options."""
    if entry.kind == "reasoning" and not args.get("reasoning-parser"):
        problems.add(
            f"{at}.args.reasoning-parser",
            "is missing for a model of kind reasoning",
            "Name the parser of the model's family (deepseek_r1, qwen3, …), or set kind: chat",
        )
    if entry.adapters and "lora-modules" in args:
        problems.add(f"{at}.args.lora-modules", "stands beside `adapters`", "Keep one of the two")
    runner, wanted = args.get("runner"), entry.runner
    if wanted and runner in ("generate", "pooling") and runner != wanted:
        problems.add(
            f"{at}.args.runner",
            f"is {runner}, and a model of kind {entry.kind} is served by the runner {wanted}",
            f"Write `runner: {wanted}`, leave it out, or correct `kind`",
        )


def _check_span(at: str, args: Values, problems: Problems) -> None:
    """An engine over several hosts is more than a unit on each: its members start and fall together."""
    if (whole(args.get("nnodes")) or 1) > 1:
        written = getattr(args, "written", {}).get("nnodes", "nnodes")
        problems.add(
            f"{at}.args.{written}",
            "asks for an engine over several hosts, and groups of hosts are not built yet",
            "Choose parallel sizes that one host has GPUs for, and leave nnodes, node-rank and master-addr out",
        )
