"""Rules of the common forms: what one option needs, excludes, or must not exceed.

`option` and `other` are options or keys of JSON ones (`eplb-config.communicator`). An option counts where it is written with a
value that is neither empty nor false, a key where it is not vLLM's default either. `more` are further fields of the rule, with
a reason and a remedy where the usual words do not fit; `when` is a condition beside the form's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rule import Given, Rule

Condition = Callable[[Given], bool]


def needs(option: str, other: str, *values: str, when: Condition | None = None, **more: Any) -> Rule:
    """`other` has to be on, or to be one of `values` where some are named."""
    near = option.partition(".")[0] == other.partition(".")[0]
    pair = f"{other.rpartition('.')[2]}: {values[0] if values else 'true'}"
    usual = {"reason": f"needs {other}", "remedy": f"Write `{pair}` {'beside it' if near else 'too'}"}
    return _rule(option, lambda given: given.used(option) and not given.met(other, values), when, **{**usual, **more})


def excludes(option: str, other: str, *values: str, when: Condition | None = None, **more: Any) -> Rule:
    """`other` must not be on, or must be none of `values` where some are named."""
    usual = {"reason": f"excludes {other}", "remedy": "Keep one of the two"}
    return _rule(option, lambda given: given.used(option) and given.met(other, values), when, **{**usual, **more})


def asks_for(option: str, other: str, *values: str, when: Condition | None = None, **more: Any) -> Rule:
    """Where `option` is in use, or is one of `values`, `other` has to be written: that is the key to mend."""
    usual = {"reason": f"is missing, and {option.rpartition('.')[2]} needs it", "about": (option.partition(".")[0],)}

    def broken(given: Given) -> bool:
        return (given.met(option, values) if values else given.used(option)) and not given.used(other)

    return _rule(other, broken, when, **{**usual, **more})


def at_most(option: str, limit: str, when: Condition | None = None, **more: Any) -> Rule:
    """A number that must not be above another one, where both are known and the limit is not 0."""
    usual = {"reason": f"is above {limit}", "remedy": f"Write at most {limit}"}
    return _rule(option, lambda given: given.above(option, limit), when, **{**usual, **more})


def at_least(option: str, least: str, when: Condition | None = None, **more: Any) -> Rule:
    """A number that must not be below another one, where both are known and it is not 0."""
    usual = {"reason": f"is below {least}", "remedy": f"Write at least {least}"}
    return _rule(option, lambda given: given.above(least, option), when, **{**usual, **more})


def once(option: str, key: str, **more: Any) -> Rule:
    """An option that is also a key of a JSON option, and may be given in one of the two places only."""
    usual = {"reason": f"is also given as {key}", "remedy": "Keep one of the two"}
    return _rule(option, lambda given: given.written(key), None, **{**usual, **more})


def _rule(at: str, broken: Condition, when: Condition | None, **fields: Any) -> Rule:
    about = fields.pop("about", (at.partition(".")[0],))
    both = broken if when is None else lambda given: when(given) and broken(given)
    return Rule(at=at, about=about, broken=both, **fields)
