"""Why a process is not as planned: typed, for a terminal and for a machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import SECRET
from ansible_collections.baremetal.vllm.plugins.module_utils.text.safe_values import SECRET_NAME, is_secret
from ansible_collections.baremetal.vllm.plugins.module_utils.text.words import few, printable

# Longer values are cut in the middle of a line; the whole ones stand in the details and in the JSON.
WIDEST = 40
SHOWN = 4
# Of these the name is the whole sentence.
PHRASES = ("file", "state", "order", "libraries")


@dataclass(frozen=True)
class Cause:
    """One thing that differs.

    `what`: option, release, weights, kind, gpus, environment, setting (of the unit), secrets, order (of the words),
    file, state or libraries. `before` and `after` are values as a person would write them, None where there is none ("" is an
    option without a value). `hidden` ones hold no values: they were, or look like, a secret.
    """

    what: str
    name: str
    before: str | None = None
    after: str | None = None
    hidden: bool = False

    def __str__(self) -> str:
        if self.before is None and self.after is None:
            return f"{self._label} changed" if self.what not in PHRASES else self.name
        if self.before is None:
            return f"+{self._label} {shorten(self.after or '')}".rstrip()
        if self.after is None:
            return f"-{self._label} {shorten(self.before)}".rstrip()
        return f"{self._label} {shorten(self.before) or 'nothing'} → {shorten(self.after) or 'nothing'}"

    @property
    def _label(self) -> str:
        return f"env {self.name}" if self.what == "environment" else self.name

    def lines(self) -> list[str]:
        """The same as a unified diff, in the words of an inventory, values in full."""
        if self.before is None and self.after is None:
            return [f"! {self}"]
        sides = (("-", self.before), ("+", self.after))
        return [f"{sign} {self._label}: {printable(value) or 'true'}" for sign, value in sides if value is not None]


SECRETS = Cause("secrets", "secrets", hidden=True)
COMMAND = Cause("order", "the same options in another order or spelling")


def changed(what: str, name: str, before: str | None, after: str | None) -> Cause:
    """A cause whose values are left out where they are secret by their name or look like one."""
    # Of a dotted option ("--x.y.api_key") the last key says what it holds.
    by_name = what in ("option", "environment") and ("." in name or what == "environment")
    secret = name in SECRET or (by_name and SECRET_NAME.search(name.rpartition(".")[2].upper()))
    if secret or any(is_secret(value or "") for value in (before, after)):
        return Cause(what, name, hidden=True)
    return Cause(what, name, before, after)


def shorten(value: str, widest: int = WIDEST) -> str:
    """A value on one line, its middle left out where it is long."""
    line = printable(" ".join(value.split()))
    half = (widest - 1) // 2
    return line if len(line) <= widest else f"{line[:half]}…{line[-half:]}"


def told(causes: Sequence[Cause]) -> str:
    """Causes in one line; beyond a few, how many more."""
    return few(list(map(str, causes)), SHOWN)
