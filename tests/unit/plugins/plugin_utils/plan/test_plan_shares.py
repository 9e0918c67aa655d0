"""Models that share a GPU: what each gets, and when they do not fit beside one another."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.gpus import find
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.setting import LEAST_SHARE
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.hosts import DeclaredHost
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import Entry
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.shares import share
from ansible_collections.baremetal.vllm.plugins.plugin_utils.weights.source import Source
from hypothesis import given
from hypothesis import strategies as st

SHARE = "gpu-memory-utilization"


def shares(models: dict[str, tuple[list[int], Any]], default: float = 0.92) -> tuple[dict[str, float], list[str]]:
    """`models`: name to (GPU indices, written share or None)."""
    problems = Problems()
    entries = [
        (Entry(name, Source("/m"), "chat"), {} if written is None else {SHARE: written})
        for name, (__, written) in models.items()
    ]
    placed = {name: gpus for name, (gpus, __) in models.items()}
    return share(host(), entries, placed, default, problems), sorted(str(p) for p in problems.found)


def host(gpu: str = "") -> DeclaredHost:
    return DeclaredHost("gpu1", "cuda", "0.33.0", 8, find(gpu) if gpu else None)


def told(written: list[Any], gpu: str = "", kind: str = "chat", **first: Any) -> tuple[list[str], list[str]]:
    """What is refused and what is warned of, of models with these shares (None: none written) on one GPU. `kind` and further
    options are the first one's."""
    problems = Problems()
    entries = [
        (
            Entry(name, Source("/m"), "chat" if name != "a" else kind),
            ({} if value is None else {SHARE: value}) | (first if name == "a" else {}),
        )
        for name, value in zip("abc", written)
    ]
    share(host(gpu), entries, {entry.name: [0] for entry, __ in entries}, 0.92, problems)
    return sorted(map(str, problems.found)), sorted(map(str, problems.warned))


@pytest.mark.parametrize(
    ("models", "wanted"),
    [
        ({"a": ([0], None), "b": ([1], None)}, {}),
        ({"a": ([0], None), "b": ([0], None)}, {"a": 0.46, "b": 0.46}),
        ({"a": ([0], None), "b": ([0], None), "c": ([0], None)}, {"a": 0.3, "b": 0.3, "c": 0.3}),
        ({"a": ([0], 0.5), "b": ([0], None), "c": ([0], None)}, {"b": 0.21, "c": 0.21}),
        ({"a": ([0], "0.5"), "b": ([0], None)}, {"b": 0.42}),
        # One value serves all of a model's GPUs, so the narrowest of them decides.
        ({"a": ([0, 1], None), "b": ([0], 0.6), "c": ([1], None)}, {"a": 0.32, "c": 0.46}),
        ({"a": ([0], 0.5), "b": ([0], 0.45)}, {}),
    ],
)
def test_those_that_say_nothing_divide_what_is_left(models: dict[str, Any], wanted: dict[str, float]) -> None:
    assert shares(models) == (wanted, [])


def test_written_shares_beyond_the_whole_gpu_are_refused() -> None:
    assert shares({"a": ([0], 0.6), "b": ([0], 0.5)})[1] == [
        "vllm_models.b.args.gpu-memory-utilization: the shares of GPU 0 on gpu1 add up to 1.1 (a 0.6, b 0.5), and the CUDA "
        "contexts of its engines are there before vLLM looks. Lower them so that they add up to 0.97 at most, or place one of "
        "the models elsewhere."
    ]


@pytest.mark.parametrize(
    ("written", "gpu", "refused", "warned"),
    [
        ([1.0], "", True, False),
        (["1.0"], "H100-80GB", True, False),
        ([0.999], "H100-80GB", True, False),
        ([0.995], "H100-80GB", False, True),
        ([0.99], "H100-80GB", False, False),
        # Of a smaller GPU a context is a greater part.
        ([0.995], "T4", True, False),
        ([0.98], "T4", False, True),
        # vLLM looks at what the first one holds, which is seldom all of its share.
        ([0.5, 0.5], "", False, True),
        ([0.5, 0.5], "H100-80GB", False, True),
        ([0.6, 0.3, 0.1], "", False, True),
        ([0.5, 0.51], "H100-80GB", True, False),
        # Beside others one share is bounded all the same.
        ([0.995, 0.5], "H100-80GB", True, True),
        ([0.5, 0.495], "H100-80GB", False, True),
        ([0.5, 0.48], "H100-80GB", False, False),
        ([0.4, 0.4, 0.19], "", False, True),
        ([0.95], "", False, False),
        ([None], "H100-80GB", False, False),
        ([None, None], "H100-80GB", False, False),
    ],
)
def test_a_share_that_contexts_leave_no_room_for_is_told(
    written: list[Any], gpu: str, refused: bool, warned: bool
) -> None:
    found = told(written, gpu)
    assert (bool(found[0]), bool(found[1])) == (refused, warned), found
    assert all("gpu-memory-utilization: " in text for text in (*found[0], *found[1]))


@pytest.mark.parametrize(
    ("written", "kind", "options", "refused", "warned"),
    [
        ([0.5, 0.9], "embedding", {}, False, True),
        ([0.9, 0.5], "rerank", {}, False, True),
        ([0.9, 0.5], "chat", {"kv-cache-memory-bytes": "4G"}, False, True),
        ([0.3, 0.6], "embedding", {}, False, False),
        # It still needs its share once, and the others fill theirs.
        ([1.0, 0.3], "embedding", {}, True, True),
        ([0.1, 0.6, 0.6], "embedding", {}, True, False),
        ([0.9, 0.5], "chat", {}, True, False),
        ([0.9, 0.5], "chat", {"kv-cache-memory-bytes": None}, True, False),
    ],
)
def test_a_model_that_holds_less_than_its_share_is_warned_of(
    written: list[Any], kind: str, options: dict[str, Any], refused: bool, warned: bool
) -> None:
    found = told(written, "H100-80GB", kind, **options)
    assert (bool(found[0]), bool(found[1])) == (refused, warned), found
    assert all("the order of their starts decides" in text for text in found[1] if "add up" in text)


def test_a_whole_gpu_is_refused_with_what_to_write() -> None:
    assert told([1.0], "H100-80GB")[0] == [
        "vllm_models.a.args.gpu-memory-utilization: 1 of a GPU is never free at the start on gpu1: its own CUDA context is there "
        "before vLLM looks. Write 0.99 or less."
    ]


def test_a_model_that_finds_nothing_left_is_refused() -> None:
    assert shares({"a": ([0], 0.91), "b": ([0], None)})[1] == [
        "vllm_models.b.gpus: finds nothing left of GPU 0 on gpu1: its neighbours take 0.91 of it. "
        "Lower their gpu-memory-utilization, or place the model elsewhere."
    ]


@given(
    st.dictionaries(
        st.sampled_from("abcdefgh"),
        st.tuples(
            st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True),
            st.none() | st.floats(0.01, 1) | st.sampled_from(["0.3", "many", True]),
        ),
        max_size=8,
    )
)
def test_the_shares_of_a_gpu_never_exceed_it_unless_refused(models: dict[str, Any]) -> None:
    derived, problems = shares(models)
    if problems:
        return
    assert all(value >= LEAST_SHARE for value in derived.values())
    for gpu in range(4):
        on = [name for name, (gpus, __) in models.items() if gpu in gpus]
        if len(on) > 1:
            written = [models[n][1] for n in on if isinstance(models[n][1], float) or models[n][1] == "0.3"]
            assert sum(derived.get(n, 0) for n in on) + sum(map(float, written)) <= 1 + 1e-6
