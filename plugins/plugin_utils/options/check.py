"""`args` of a model entry, read for exactly the release that its hosts run.

Everything here takes plain YAML data and a `Problems` collector; a mistake becomes a problem, never an exception.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import normal
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.deprecation import deprecation, outdated
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.dotted import typed_key
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.extras import Extras
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Option, Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.spelling import Unresolved, resolve
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.values import check_value, check_words

# Options that name a file with further values for another option: what it registers cannot be known here.
OPENED_BY = {"tool-call-parser": "tool-parser-plugin", "reasoning-parser": "reasoning-parser-plugin"}


class Arguments(dict[str, Any]):
    """Canonical option to value, in the operator's order: those that passed.

    `written`: canonical option to the operator's spelling; `refused`: those that did not, and those that a misspelling stood for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.written: dict[str, str] = {}
        self.refused: set[str] = set()


def read_arguments(at: str, args: Values, release: Release | None, extras: Extras, problems: Problems) -> Arguments:
    """`args` by canonical option; `x.y: 1` becomes `x: {y: 1}`, null is as if it were not written.

    `release` None: only what holds for every release is checked.
    """
    read = Arguments()
    specs: dict[str, Option | None] = {}
    for raw, value in args.items():
        spelled = resolve(normal(str(raw)), value, release, extras)
        if isinstance(spelled, Unresolved):
            if (
                value is None
                and release is not None
                and _elsewhere(normal(str(raw)).partition(".")[0], release.version)
            ):
                # Merged from what entries of several releases share, and it writes nothing.
                continue
            problems.add(f"{at}.{raw}", *spelled.wrong)
            read.refused.add(spelled.meant)
        elif value is not None:
            specs[spelled.option] = spelled.spec
            value = typed_key(value, spelled.spec, spelled.path, release) if spelled.path else value
            _take(at, str(raw), value, spelled.option, spelled.path, read, problems)
    for option in list(read):
        key = f"{at}.{read.written[option]}"
        if not _passes(key, option, specs[option], read, release, extras, problems):
            read.refused.add(option)
            del read[option]
    return read


@lru_cache(maxsize=4096)
def _elsewhere(name: str, version: str) -> bool:
    """Whether a name is an option of other releases only; all of them are read only when one is asked for."""
    having = [known for known in load.releases() if name in getattr(load.release(known), "spellings", {})]
    return bool(having) and version not in having


def _take(
    at: str, raw: str, value: Any, option: str, path: tuple[str, ...], read: Arguments, problems: Problems
) -> None:
    """Put one value where it belongs, or refuse it for what stands there already."""
    key, at_once = f"{at}.{raw}", read.written.get(option)
    dotted = at_once is not None and isinstance(read[option], _Dotted)
    if at_once is not None and not path and not dotted:
        problems.add(key, "is given twice under two spellings", f"Keep one of them, as `{option}`")
    elif at_once is not None and bool(path) != dotted:
        problems.add(
            key,
            f"stands beside `{at_once}`, and vLLM would use only one of the two",
            f"Put all keys under one `{option}`",
        )
    elif not path:
        read[option], read.written[option] = value, raw
    else:
        if at_once is None:
            read[option], read.written[option] = _Dotted(), raw.partition(".")[0]
        if not _set(read[option], path, value):
            problems.add(key, "is given twice", f"Put all keys under one `{option}`")


class _Dotted(dict[str, Any]):
    """A mapping made of `x.y` options."""


def _set(tree: dict[str, object], path: tuple[str, ...], value: Any) -> bool:
    for key in path[:-1]:
        branch = tree.setdefault(key, _Dotted())
        if not isinstance(branch, _Dotted):
            return False
        tree = branch
    if path[-1] in tree:
        return False
    tree[path[-1]] = value
    return True


def _passes(
    at: str,
    option: str,
    spec: Option | None,
    read: Arguments,
    release: Release | None,
    extras: Extras,
    problems: Problems,
) -> bool:
    value = read[option]
    if release is None or spec is None:
        return check_words(at, option, value, None, problems)
    further = extras.choices.get(option, ())
    if OPENED_BY.get(option) in read and isinstance(value, str):
        further = (*further, value)
    good = check_value(at, spec, value, further, release, problems) and check_words(
        at, option, value, release, problems
    )
    warning = deprecation(option, value, release) if good else None
    if spec.deprecated and good:
        problems.warn(at, *outdated(option, value, spec.deprecated, release))
    elif warning:
        problems.warn(at, *warning)
    return good
