"""Variables that nothing of this collection reads, although their names look as if something should.

`data/variables.json` has every variable that is read; `tools/variables.py` makes it from roles and playbooks.
"""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import HOSTS, Problems, some
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import DATA
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.gateway import GATEWAY_PREFIX
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.hosts import HOST_PREFIXES

FILE = DATA / "variables.json"
# Whatever begins so is meant for this collection. Other prefixes (`gpu_`, `model_`) may well be an operator's own.
OURS = ("vllm_", "rollout_", *HOST_PREFIXES)
# Shorter names are near to too much: `gpu_min` and `gpu_map` are no `gpu_mig`.
_SHORTEST = 8


@lru_cache(maxsize=1)
def known_variables() -> frozenset[str]:
    """The name of every variable that a playbook, a role or a plug-in of this collection reads."""
    return frozenset(json.loads(FILE.read_text(encoding="utf-8")))


def check_variables(
    hosts: Mapping[str, Iterable[str]], gateways: Mapping[str, Iterable[str]], problems: Problems
) -> None:
    """Warn about names that are no variable of ours and were probably meant to be one.

    `hosts` and `gateways`: by host of either group the names of all its variables. What is refused elsewhere (`nvidia_driver_*`
    of hosts, `gateway_*` of gateways) is not told twice.
    """
    _check_gatewayless(hosts, gateways, problems)
    refused = {name for names in hosts.values() for name in names if name.startswith(HOST_PREFIXES)}
    refused.update(name for names in gateways.values() for name in names if name.startswith(GATEWAY_PREFIX))
    carriers: dict[str, dict[str, None]] = {}
    for host, names in (*hosts.items(), *gateways.items()):
        for name in names:
            if name not in known_variables() and name not in refused and not name.startswith(("_", "ansible_")):
                carriers.setdefault(name, {})[host] = None
    for name, carrying in carriers.items():
        near = nearest(name)
        if not near and not name.startswith(OURS):
            continue
        remedy = f'Did you mean "{near}"' if near else "Take it out; begin the name of a variable of your own otherwise"
        for host in carrying:
            problems.warn(f"{HOSTS}.{name}", "is no variable of this collection, nothing reads it", remedy, host)


def _check_gatewayless(
    hosts: Mapping[str, Iterable[str]], gateways: Mapping[str, Iterable[str]], problems: Problems
) -> None:
    """Settings of a gateway, in a fleet that has none."""
    set_of = {name for names in hosts.values() for name in names if name.startswith(GATEWAY_PREFIX)}
    idle = sorted(set_of & known_variables())
    if idle and not gateways:
        problems.warn(
            some(idle),
            "set for hosts, and none of them is a gateway: clients reach the engines themselves",
            "Put a host into the group gateways (or name another group with vllm_gateway_group), or take it out",
        )


def nearest(name: str) -> str:
    """The known variable that is one or two letters away (two neighbours that changed places are two); "" for none.

    >>> nearest("vllm_api_kye"), nearest("gpu_rack")
    ('vllm_api_key', '')
    """
    found: list[tuple[int, str]] = []
    letters = Counter(name)
    for known, of_known in _letters().items():
        # Most are told apart by their letters alone, a hundred times as fast.
        if max((letters - of_known).total(), (of_known - letters).total()) <= 2:
            away = _letters_away(name, known)
            if away <= 2:
                found.append((away, known))
    return min(found)[1] if found else ""


@lru_cache(maxsize=1)
def _letters() -> Mapping[str, Counter[str]]:
    """By known variable that a name may be near to how often it has each letter: no more of them differ than letters are away."""
    # `model`, `to`, `host`: what is asked of one run, and words of everybody's inventory.
    return {known: Counter(known) for known in known_variables() if "_" in known and len(known) >= _SHORTEST}


def _letters_away(one: str, other: str) -> int:
    """Letters to change, add or take away, counted over the runs that difflib finds equal: never too few."""
    steps = difflib.SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    return sum(max(a2 - a1, b2 - b1) for step, a1, a2, b1, b2 in steps if step != "equal")
