"""Which option of a release an operator's spelling stands for, and what to say where it stands for none."""

from __future__ import annotations

from typing import Any, NamedTuple

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import OWNED, SECRET, is_name, nearest
from ansible_collections.baremetal.vllm.plugins.module_utils.text.safe_values import Wrong
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.advice import on_option
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.extras import Extras, declared
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Option, Release

# Types whose value is one JSON object, so that `x.key` can name a part of it.
_KEYED = ("json", "json-or-str", "config", "kvs")

# A short form that no option declares: vLLM rewrites it before it parses (vllm/utils/argparse_utils.py from 0.12.0 on).
_REWRITTEN = {"O": "optimization-level"}


class Spelled(NamedTuple):
    """`option`: its canonical name; `spec`: None where anything goes; `path`: the keys after the first dot."""

    option: str
    spec: Option | None
    path: tuple[str, ...]


class Unresolved(NamedTuple):
    """Why a name stands for no option of the operator's, and the option that was probably meant ("" where none was)."""

    wrong: Wrong
    meant: str = ""


def resolve(name: str, value: Any, release: Release | None, extras: Extras) -> Spelled | Unresolved:
    """The option that a normalised name stands for. `value` is what it was given, for advice on what to write instead."""
    head, *path = name.split(".")
    long = _long(head, release)
    if long is not None:
        return Unresolved(Wrong(f"is the short form of {long}", f"Write `{long}`"), long)
    wrong = _not_the_operators(name)
    if wrong is not None:
        return Unresolved(wrong)
    if release is None:
        return Spelled(head, None, tuple(path))
    option = release.spellings.get(head)
    if option is None:
        if head in extras.options:
            return Spelled(head, declared(head, extras.options[head]), tuple(path))
        return _unknown(head, name, value, release)
    spec = release.options[option]
    # An alias of an option that is not the operator's is not the operator's either.
    wrong = _not_the_operators(option) or _negated(head, value, spec, release)
    if wrong is None and path and spec.type not in _KEYED:
        wrong = Wrong(f"{option} has no keys in vLLM {release.version}", f"Write one value as `{option}`")
    return Unresolved(wrong, option) if wrong else Spelled(option, spec, tuple(path))


def _long(head: str, release: Release | None) -> str | None:
    """The option that a short form stands for; a few are capital letters, which no long name has."""
    if release is None:
        return None
    if _REWRITTEN.get(head) in release.options:
        return _REWRITTEN[head]
    return next((option.name for option in release.options.values() if head in option.short), None)


def _not_the_operators(name: str) -> Wrong | None:
    head = name.partition(".")[0].lower()
    if head in SECRET:
        return Wrong("is a secret, and every user of the host can read a command line", f"Use {SECRET[head]}")
    if head in OWNED:
        by = OWNED[head]
        return Wrong(
            "is written by the plan",
            by.replace("nothing", "Remove it") if by[:7] == "nothing" else f"It follows from {by}",
        )
    if name.endswith("+"):
        return Wrong("appends to a list, which YAML needs no option for", f"Write the whole list as `{name[:-1]}`")
    if not is_name(name):
        return Wrong("is not the name of a long option", "Write it as in `vllm serve --help`, without the dashes")
    return None


def _negated(head: str, value: Any, spec: Option, release: Release) -> Wrong | None:
    if head == spec.name or head not in spec.negatives:
        return None
    meant = "true" if value is False else "false"
    return Wrong(f"switches {spec.name} off in vLLM {release.version}", f"Write `{spec.name}: {meant}`")


def _unknown(head: str, name: str, value: Any, release: Release) -> Unresolved:
    reason = f"is not an option of vLLM {release.version}"
    advised = on_option(name, value, release.version)
    if advised is not None:
        return Unresolved(Wrong(reason, advised))
    # What argparse would complete today is ambiguous, and another option, in some later release.
    longer = sorted({option for spelling, option in release.spellings.items() if spelling.startswith(head)})
    if len(longer) == 1:
        return Unresolved(Wrong(f"is an abbreviation of {longer[0]}", f"Write `{longer[0]}` in full"), longer[0])
    if longer:
        return Unresolved(Wrong("is an abbreviation of several options", f"Write one in full: {', '.join(longer)}"))
    near = nearest(head, tuple(release.spellings))
    if near:
        return Unresolved(Wrong(reason, f'Did you mean "{near}"'), release.spellings[near])
    return Unresolved(Wrong(reason, "Remove it, or declare it under `vllm_extra_options` where a plug-in adds it"))
