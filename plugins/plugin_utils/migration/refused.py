"""The last look at what was moved: what the release refuses all the same is taken out, and said."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import normal
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.change import OptionChange
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.check import read_arguments
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.extras import Extras
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.known import data
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.mending import mended_args
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.relations import check_relations


def take_out(args: Values, release: Release, extras: Extras) -> tuple[dict[str, object], list[OptionChange]]:
    """The args that `release` takes, and a change for each of the others."""
    good = mended_args(args, release)
    changes = [
        OptionChange(raw, "replaced", "", value, {raw: good[raw]}, "Numbers, true and false are written without quotes")
        for raw, value in args.items()
        if good[raw] is not value
    ]
    while True:
        problems = Problems()
        read_arguments("", good, release, extras, problems)
        wrong: dict[str, list[str]] = {}
        for problem in sorted(problems.found):
            wrong.setdefault(_option(problem.key, good), []).append(f"{problem.reason}. {problem.remedy}")
        if not wrong:
            return good, changes
        for raw, reasons in wrong.items():
            reasons += _lacks(raw, good, release)
            value = good.pop(raw)
            changes.append(OptionChange(raw, "gone", "", value, note=f"Left out, for its value {'; '.join(reasons)}"))


def _lacks(raw: str, args: Values, release: Release) -> list[str]:
    """What else is wrong with an option that is left out, so that whoever writes it again knows all of it."""
    option, value = normal(raw), data(args[raw])
    if not isinstance(value, Mapping):
        return []
    problems = Problems()
    check_relations("", {option: value}, release, problems)
    return [
        f"{problem.key[1:]} {problem.reason}. {problem.remedy}"
        for problem in sorted(problems.found)
        if problem.key.startswith(f".{option}.")
    ]


def conflicts(args: Values, release: Release, extras: Extras) -> list[OptionChange]:
    """Combinations that `release` refuses, each option by itself being good."""
    problems = Problems()
    check_relations("", read_arguments("", args, release, extras, Problems()), release, problems)
    return [
        OptionChange(
            problem.key[1:], "conflict", "", args.get(problem.key[1:]), note=f"It {problem.reason}. {problem.remedy}"
        )
        for problem in sorted(problems.found)
    ]


def _option(key: str, args: Values) -> str:
    """The option of `args` that a problem's key (`.option`, `.option.key`, `.option[0]`) is about."""
    about = key[1:]
    longest = max((raw for raw in args if about.startswith(raw)), key=len, default="")
    # A problem about no option at all would never go away.
    return longest or next(iter(args))
