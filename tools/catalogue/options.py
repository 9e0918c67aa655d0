"""One option of `vllm serve`, described from its argparse action."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import typing
from typing import Any

from ansible_collections.baremetal.vllm.tools.catalogue import configs, hints
from ansible_collections.baremetal.vllm.tools.catalogue.deprecation import deprecation
from ansible_collections.baremetal.vllm.tools.catalogue.serve import Origin
from ansible_collections.baremetal.vllm.tools.catalogue.standins import missing
from ansible_collections.baremetal.vllm.tools.catalogue.values import COMPUTED, Kind, is_config, kind_of, plain


class Options:
    """Describes the actions of one parser; collects the dataclasses behind them, and what stand-ins hide."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parser = parser
        self.configs: dict[str, dict[str, Any]] = {}
        self.doubts: list[str] = []

    def describe(self) -> dict[str, dict[str, Any]]:
        """The spec of every option by canonical name, in the shape of `data/catalogue.json`."""
        groups = {id(item): group.title for group in self._parser._action_groups for item in group._group_actions}
        # Not from the actions: they hold the spellings that the help shows, and the parser takes others too.
        spelled: dict[int, list[str]] = {}
        for spelling, action in self._parser._option_string_actions.items():
            spelled.setdefault(id(action), []).append(spelling)
        described = {}
        for action in self._parser._actions:
            if id(action) in spelled:
                name, spec = self._option(action, spelled[id(action)])
                group = groups.get(id(action)) or ""
                if group not in ("", "options", "positional arguments"):
                    spec["group"] = group
                described[name] = spec
        return described

    def _option(self, action: argparse.Action, spellings: list[str]) -> tuple[str, dict[str, Any]]:
        long = list(dict.fromkeys(_normal(item) for item in spellings if item.startswith("--")))
        name = _dashed(action.dest) if _dashed(action.dest) in long else long[0]
        negatives = self._negatives(action, name, long)
        arity, origin = _arity(action), _origin(action)
        kind = self._kind(action, arity)
        spec: dict[str, Any] = {
            "aliases": [item for item in long if item != name and item not in negatives],
            "short": [item.lstrip("-") for item in spellings if not item.startswith("--")],
            "negatives": negatives,
            "arity": "" if arity == "value" else arity,
            "type": "" if kind.name == "str" else kind.name,
            "choices": _choices(action, origin),
            # A closed set that leaves null out refuses it, whatever the conversion makes of it.
            "nullable": kind.nullable and (not action.choices or None in action.choices),
            "suggestions": [] if action.choices else _suggestions(action),
            "config": self._config(action, kind),
            "bounds": hints.bounds(*origin) if origin else {},
            "deprecated": self._deprecated(action),
        }
        if origin:
            hint = configs.hint_of(*origin)
            self.doubts += [f"--{name} is typed by {part}, which could not be imported" for part in missing(hint)]
            if kind.name == "str" and not spec["choices"] and not spec["suggestions"]:
                # An enum's names, for instance: any word parses, and another one ends the engine's start.
                field = configs.typed(*origin, hint)
                spec["suggestions"] = [word for word in field.get("choices", []) if isinstance(word, str)]
                spec["type"] = field["type"] if field["type"] in ("caseless", "folded") else ""
        default = plain(action.default)
        if default is COMPUTED:
            spec["computed"] = True
        spec = {key: value for key, value in spec.items() if value}
        if default is not COMPUTED and default is not None and default != argparse.SUPPRESS:
            spec["default"] = default
        return name, spec

    def _effect(self, action: argparse.Action, values: Any, spelling: str) -> Any:
        """What the option leaves in the namespace, or None where it ends the process or fails."""
        namespace = argparse.Namespace()
        try:
            action(self._parser, namespace, values, spelling)
        except (SystemExit, Exception):
            return None
        return getattr(namespace, action.dest, None)

    def _negatives(self, action: argparse.Action, name: str, long: list[str]) -> list[str]:
        if action.nargs != 0 or isinstance(action, argparse._HelpAction):
            return []
        positive = self._effect(action, [], f"--{name}")
        return [item for item in long if self._effect(action, [], f"--{item}") != positive]

    def _reader(self, action: argparse.Action) -> Any:
        return None if action.type is None else self._parser._registry_get("type", action.type, action.type)

    def _kind(self, action: argparse.Action, arity: str) -> Kind:
        if arity == "flag":
            return Kind("bool")
        kind, spelling = kind_of(self._reader(action)), action.option_strings[0]
        if arity == "list":
            made = self._effect(action, ["name=/path"], spelling)
            first = made[0] if isinstance(made, list) and made else None
            # LoRA modules, and the prompt adapters of releases up to 0.9.2.
            if "/path" in (getattr(first, "path", ""), getattr(first, "local_path", "")):
                as_json = self._effect(action, ['{"name": "name", "path": "/path"}'], spelling)
                return Kind("lora" if as_json else "name=path", kind.nullable, type(first))
        if kind.name == "str" and self._effect(action, "true", spelling) is True:
            return Kind("bool")
        return kind

    def _config(self, action: argparse.Action, kind: Kind) -> str:
        """The name of the dataclass that the option's value becomes, at once or after parsing; "" where none does."""
        config = kind.config or (_judged_later(action.dest) if kind.name in ("json", "kvs", "json-or-str") else None)
        if config is None:
            return ""
        read = self._reader(action) if kind.name == "config" else lambda text: config(**json.loads(text))
        configs.describe(config, read, self.configs, self.doubts)
        return config.__name__

    def _deprecated(self, action: argparse.Action) -> str:
        declared = action in getattr(self._parser, "_deprecated", ()) or getattr(action, "deprecated", False)
        return deprecation(action.dest, action.help or "", declared)


def _normal(spelling: str) -> str:
    return _dashed(spelling[2:])


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _arity(action: argparse.Action) -> str:
    if action.nargs == 0:
        return "flag"
    if isinstance(action, argparse._AppendAction):
        return "repeated"
    if action.nargs == "?":
        return "optional"
    return "value" if action.nargs is None else "list"


def _origin(action: argparse.Action) -> tuple[type, str] | None:
    return (action.help.owner, action.help.field) if isinstance(action.help, Origin) else None


def _choices(action: argparse.Action, origin: tuple[type, str] | None) -> list[Any]:
    """The parser's choices; of 0.8.5's option that is typed by two closed sets it takes the one that a hash puts first, and
    here both count."""
    choices = [plain(choice) for choice in action.choices or () if choice not in (None, "None")]
    sets = (
        [part for part in hints.members(configs.hint_of(*origin)) if typing.get_origin(part) is typing.Literal]
        if origin
        else []
    )
    return (
        sorted({*choices, *(item for one in sets for item in typing.get_args(one))})
        if choices and sets[1:]
        else choices
    )


def _suggestions(action: argparse.Action) -> list[str]:
    if isinstance(action.metavar, (list, tuple)):
        return [str(word) for word in action.metavar if word is not None]
    if isinstance(action.metavar, str) and action.metavar.startswith("{"):
        return action.metavar[1 : action.metavar.index("}")].split(",")
    return []


def _judged_later(dest: str) -> type | None:
    """The dataclass that vLLM makes of a plain JSON option after parsing: `VllmConfig` has a field of that name for it."""
    vllm_config = getattr(importlib.import_module("vllm.config"), "VllmConfig", None)
    if not (isinstance(vllm_config, type) and dataclasses.is_dataclass(vllm_config)):
        return None
    found = (part for part in hints.members(configs.hint_of(vllm_config, dest)) if is_config(part))
    return next(found, None)
