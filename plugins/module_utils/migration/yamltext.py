"""YAML that people bring, of whatever tool: tags of that tool are passed over."""

from __future__ import annotations

from typing import Any

import yaml


class Unreadable(ValueError):
    """A file that says less than an entry needs, because it cannot be read."""


class _Loader(yaml.SafeLoader):
    pass


def _untagged(loader: Any, suffix: str, node: Any) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)


_Loader.add_multi_constructor("!", _untagged)


def load_all(text: str) -> list[Any]:
    """The documents of a YAML text. Raises Unreadable with the line where it is none."""
    try:
        return list(yaml.load_all(text, Loader=_Loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise Unreadable(f"{where}{getattr(error, 'problem', None) or str(error).splitlines()[0]}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise Unreadable(f"it is no YAML ({error})") from error
