"""What is wrong with an inventory, told so that the person at the terminal can mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from ansible_collections.baremetal.vllm.plugins.module_utils.text.words import few, printable

# Stands in a reason for the hosts where it holds: a mistake on a thousand hosts is told once.
HOSTS = "\x00hosts\x00"
_NAMED = 3


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake: `key` is its dotted place in the inventory, `reason` what is wrong, `remedy` what to write instead."""

    key: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        # What the operator wrote is told back, and must not steer the terminal.
        return printable(f"{self.key}: {self.reason}. {self.remedy}.")


_Hosts = dict[Problem, dict[str, None]]


@dataclass
class Problems:
    """Collects every problem of a plan, so that none has to be found one run at a time."""

    _found: _Hosts = field(default_factory=dict)
    _warned: _Hosts = field(default_factory=dict)

    def add(self, key: str, reason: str, remedy: str, host: str = "") -> None:
        """Refuse. `host` is one of those that the word HOSTS in `key` and `reason` stands for."""
        self._found.setdefault(Problem(key, reason, remedy), {})[host] = None

    def warn(self, key: str, reason: str, remedy: str, host: str = "") -> None:
        """Tell, and go on."""
        self._warned.setdefault(Problem(key, reason, remedy), {})[host] = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """As they were added, HOSTS and all."""
        return tuple(self._found)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """Likewise, those that are only told."""
        return tuple(self._warned)

    @property
    def found(self) -> set[Problem]:
        """What refuses the plan, with the names of hosts in the place of HOSTS."""
        return {_named(problem, hosts) for problem, hosts in self._found.items()}

    @property
    def warned(self) -> set[Problem]:
        """What is only told, with the names of hosts in the place of HOSTS."""
        return {_named(problem, hosts) for problem, hosts in self._warned.items()}


def _named(problem: Problem, hosts: Iterable[str]) -> Problem:
    text = some(list(hosts))
    return Problem(problem.key.replace(HOSTS, text), problem.reason.replace(HOSTS, text), problem.remedy)


def some(names: list[str]) -> str:
    """A few names of many: "a", "a and b", "a, b, c and 997 more"."""
    if len(names) > _NAMED + 1:
        return few(names, _NAMED)
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`Did you mean "x"` for the nearest known word, else the list of them all."""
    candidates = sorted(known)
    near = difflib.get_close_matches(word, candidates, n=1, cutoff=0.6)
    return f'Did you mean "{near[0]}"' if near else f"Known are: {', '.join(candidates)}"
