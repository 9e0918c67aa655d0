"""YAML that people bring, of whatever tool: tags of that tool are passed over."""

from __future__ import annotations

from typing import Any

import yaml


class UnreadableYaml(ValueError):
    """A file that says less than an entry needs, because it cannot be read."""


# Items of a document with its aliases unfolded. Compose files and manifests have hundreds.
MOST = 100_000


class _Loader(yaml.SafeLoader):
    def construct_document(self, node: Any) -> Any:
        _unfolded(node, {})
        return super().construct_document(node)


def _unfolded(node: Any, sizes: dict[int, int]) -> int:
    """How many items a node has once each alias is replaced by what it names: ten lines can name billions.

    Each is counted once. Raises Unreadable above MOST, and where an alias stands within what it names.
    """
    if id(node) not in sizes:
        # Found again before it is counted, it holds itself.
        sizes[id(node)] = MOST
        if isinstance(node, yaml.MappingNode):
            inner = [part for pair in node.value for part in pair]
        else:
            inner = node.value if isinstance(node, yaml.SequenceNode) else []
        sizes[id(node)] = 1 + sum(_unfolded(part, sizes) for part in inner)
        if sizes[id(node)] > MOST:
            line = node.start_mark.line + 1
            raise UnreadableYaml(f"line {line}: with its aliases unfolded it has more than {MOST} items")
    return sizes[id(node)]


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
        raise UnreadableYaml(f"{where}{getattr(error, 'problem', None) or str(error).splitlines()[0]}") from error
    except UnreadableYaml:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        raise UnreadableYaml(f"it is no YAML ({error})") from error
