"""Ports: one per model, steady while the menu changes, never the same twice on a host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import Entry
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.ports import PORTS, ports
from ansible_collections.baremetal.vllm.plugins.plugin_utils.weights.source import Source
from hypothesis import given
from hypothesis import strategies as st


def chosen(menu: Mapping[str, tuple[int | None, Sequence[str]]]) -> tuple[dict[str, int], list[str]]:
    """`menu`: model to (written port, its hosts)."""
    problems = Problems()
    entries = [Entry(name, Source("/m"), "chat", port=port) for name, (port, __) in menu.items()]
    found = ports(entries, {name: hosts for name, (__, hosts) in menu.items()}, problems)
    return found, sorted(str(p) for p in problems.found)


def test_models_of_different_hosts_may_have_one_port() -> None:
    found, problems = chosen({f"m{i}": (None, [f"h{i}"]) for i in range(5 * PORTS)})
    assert (len(found), problems) == (5 * PORTS, [])


def test_a_host_with_more_models_than_ports_is_told() -> None:
    __, problems = chosen({f"m{i}": (None, ["h"]) for i in range(PORTS + 1)})
    assert [p.split(":")[0] for p in problems] == [f"vllm_models.m{PORTS}.port"]


def test_one_written_port_twice_is_told_once_for_all_hosts() -> None:
    hosts = [f"h{i}" for i in range(9)]
    assert chosen({"a": (8100, hosts), "b": (8100, hosts)})[1] == [
        "vllm_models.b.port: 8100 is also the port of a on h0, h1, h2 and 6 more. "
        "Give one of them another port, or leave `port` out."
    ]


names = st.text("abcdefghij0123456789", min_size=1, max_size=4)


@given(st.dictionaries(names, st.lists(st.sampled_from("pqrs"), min_size=1, unique=True), min_size=1, max_size=40))
def test_no_host_sees_a_port_twice_and_a_leaving_model_moves_nobody_before_it(menu: dict[str, list[str]]) -> None:
    found, problems = chosen({name: (None, hosts) for name, hosts in menu.items()})
    assert problems == []
    for host in "pqrs":
        here = [found[name] for name, hosts in menu.items() if host in hosts]
        assert len(here) == len(set(here))
    last = list(menu)[-1]
    del menu[last]
    assert chosen({name: (None, hosts) for name, hosts in menu.items()})[0] == {
        name: port for name, port in found.items() if name != last
    }
