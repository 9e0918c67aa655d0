"""`data/cuda.yml`: drivers by CUDA. Branches are whole numbers (580), releases of CUDA pairs ((12, 8))."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import DATA, read_yaml

FILE = DATA / "cuda.yml"


class Cuda(NamedTuple):
    """`majors`: CUDA major to the least branch that runs it; `toolkits`: release to the branch that it came with; `generations`:
    compute capability from which on a GPU needs that release, and the branch that came with it."""

    majors: dict[int, int]
    toolkits: dict[tuple[int, int], int]
    generations: dict[tuple[int, int], tuple[int, int]]


@lru_cache(maxsize=1)
def read() -> Cuda:
    """The file as it stands. Raises OSError or KeyError where it is not the collection's own."""
    told = read_yaml(FILE)
    return Cuda(
        {int(major): int(branch) for major, branch in told["majors"].items()},
        {pair(release): int(branch) for release, branch in told["toolkits"].items()},
        {pair(capability): pair(release) for capability, release in told["generations"].items()},
    )


def pair(text: str) -> tuple[int, int]:
    """ "12.8" or "9.0a" as two numbers."""
    major, __, minor = str(text).partition(".")
    return int(major), int(minor.rstrip("af") or 0)


def told(release: tuple[int, int]) -> str:
    """(12, 8) as "12.8"."""
    return f"{release[0]}.{release[1]}"
