"""What a rule on several options is, and what it may ask about the options of an entry."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import numbers
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.jsontext import as_mapping
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.sizes import size


class RefusedAlready(Exception):
    """A rule asks about an option whose value was refused: what it would say follows from that mistake."""


@dataclass(frozen=True)
class Given:
    """The args of one entry, with vLLM's own defaults behind them.

    Raises RefusedAlready: every question about an option that is among `refused`.
    """

    args: Values
    release: Release
    refused: Collection[str] = ()
    gpus: int | None = None

    def written(self, path: str) -> bool:
        """Whether the operator gives an option or a key (`eplb-config.communicator`), with whatever value."""
        option, dot, key = path.partition(".")
        return (self.key(option, key) if dot else self._read(option)) is not None

    def used(self, path: str) -> bool:
        """Whether an option has a value that is neither empty nor false, or a key one that is not vLLM's default either."""
        option, dot, key = path.partition(".")
        if not dot:
            return self.has(option)
        # Of a release whose keys are not known, false stands for the default.
        return self.changed(option, key) and (
            self.key(option, key) is not False or self._default_key(option, key) is not None
        )

    def met(self, path: str, values: Collection[str] = ()) -> bool:
        """Whether an option or a key is one of `values`; without any, whether it is on or has a value."""
        option, dot, key = path.partition(".")
        value = self.key(option, key) if dot else self._value(option)
        if values:
            return value in values
        return value is True or (bool(value) if dot else self.has(option))

    def has(self, *options: str) -> bool:
        """Whether any of them is written with a value that is neither empty nor false."""
        return any(self._read(option) not in (None, False, "") for option in options)

    def on(self, option: str) -> bool:
        """Whether a flag is on, be it written or by default."""
        return self._value(option) is True

    def off(self, option: str) -> bool:
        """Whether a flag is written as off."""
        return self._read(option) is False

    def text(self, option: str) -> str | None:
        """A text, written or by default."""
        value = self._value(option)
        return value if isinstance(value, str) else None

    def items(self, option: str) -> list[Any]:
        """What is written, as a list of one or more."""
        value = self._read(option)
        return list(value) if isinstance(value, (list, tuple)) else [value]

    def number(self, option: str) -> int | None:
        """A whole number or size of 0 or more, written or by default."""
        return size(self._value(option), self.release.version)

    def negative(self, option: str) -> bool:
        """Whether a number below 0 is written."""
        return str(self._read(option)).strip().startswith("-")

    def count(self, option: str) -> int:
        """A number of processes or devices: 1 where nothing else is said."""
        return self.number(option) or 1

    def above(self, option: str, limit: str) -> bool:
        """Whether both are known, the limit is not 0, and the first is the larger one."""
        number, most = self.number(option), self.number(limit)
        return number is not None and bool(most) and number > (most or 0)

    def mapping(self, option: str) -> Mapping[str, object]:
        """The keys of a JSON option, written as text or as YAML."""
        value = self._read(option)
        return {} if value is None else as_mapping(value)

    def key(self, option: str, key: str) -> Any:
        """What is written under one key of a JSON option."""
        return self.mapping(option).get(key)

    def setting(self, option: str, key: str) -> Any:
        """The same, or vLLM's default for the key."""
        written = self.key(option, key)
        return self._default_key(option, key) if written is None else written

    def changed(self, option: str, key: str) -> bool:
        """Whether a key is written, with a value that is neither empty nor vLLM's default."""
        return self.key(option, key) not in (None, "", self._default_key(option, key))

    def _default_key(self, option: str, key: str) -> Any:
        spec = self.release.options.get(option)
        config = self.release.configs.get((spec.config if spec else None) or "")
        field = config.fields.get(key) if config else None
        return field.default if field else None

    def default(self, option: str) -> Any:
        """What vLLM takes where nothing is written."""
        spec = self.release.options.get(option)
        return spec.default if spec else None

    def _value(self, option: str) -> Any:
        value = self._read(option)
        return self.default(option) if value is None else value

    def _read(self, option: str) -> Any:
        if option in self.refused:
            raise RefusedAlready(option)
        return self.args.get(option)


@dataclass(frozen=True)
class Rule:
    """`broken` is asked only where an option of `about` is written, and all of `needs` exist in the release.

    `at` is the key to mend, `source` the file of vLLM that raises, with the function.
    """

    at: str
    about: tuple[str, ...]
    broken: Callable[[Given], bool]
    reason: str
    remedy: str
    source: str
    since: str = "0"
    until: str = "9999"
    warns: bool = False
    needs: tuple[str, ...] = ()

    def is_broken(self, given: Given) -> bool:
        """Whether it holds in the release, and what is given breaks it."""
        if not numbers(self.since) <= numbers(given.release.version) <= numbers(self.until):
            return False
        if any(option not in given.release.options for option in self.needs):
            return False
        try:
            return self.broken(given)
        except RefusedAlready:
            return False
