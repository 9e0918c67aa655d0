"""Which GPUs can be cut, and into what: data/mig.yml."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache

from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import DATA, read_yaml

FILE = DATA / "mig.yml"


@dataclass(frozen=True)
class Profile:
    """Slices that one GPU instance takes, and how many instances of this profile a GPU holds at most."""

    compute: int
    memory: int
    most: int


@dataclass(frozen=True)
class Cuts:
    """What a GPU can be cut into. `profiles` is empty where they are not known here."""

    compute: int
    memory: int
    profiles: dict[str, Profile]


def cuts(gpu: str) -> Cuts | None:
    """For a GPU by its name in data/gpus.yml; None where it cannot be cut."""
    return _table().get(gpu)


def cuttable() -> list[str]:
    """Names of all GPUs that can be cut."""
    return list(_table())


def misfit(gpu: str, layout: tuple[str, ...]) -> str:
    """Why a GPU cannot be cut like that, in words; "" where it can as far as the slices tell (the driver places them)."""
    known = cuts(gpu)
    if known is None:
        return f"{gpu} cannot be cut"
    if not known.profiles:
        return ""
    unknown = [name for name in layout if name not in known.profiles]
    if unknown:
        return f"{gpu} has no profile {', '.join(sorted(set(unknown)))}; it has {', '.join(known.profiles)}"
    for name, count in Counter(layout).items():
        if count > known.profiles[name].most:
            return f"{gpu} holds {known.profiles[name].most} of {name} at most, not {count}"
    compute = sum(known.profiles[name].compute for name in layout)
    memory = sum(known.profiles[name].memory for name in layout)
    if compute > known.compute or memory > known.memory:
        return (
            f"{', '.join(layout)} take {compute} slices of compute and {memory} of memory;"
            f" {gpu} has {known.compute} and {known.memory}"
        )
    return ""


@cache
def _table() -> dict[str, Cuts]:
    data = read_yaml(FILE)
    table = {}
    for name, sizes in data["gpus"].items():
        if sizes is None:
            table[name] = Cuts(0, 0, {})
            continue
        kind = data["kinds"][sizes["kind"]]
        profiles = {pattern.format(**sizes): Profile(*numbers) for pattern, numbers in kind["profiles"].items()}
        table[name] = Cuts(kind["compute"], kind["memory"], profiles)
    return table
