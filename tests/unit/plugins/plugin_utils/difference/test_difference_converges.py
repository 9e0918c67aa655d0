"""Apply a difference, look again: it is empty. Whatever a host is like, `plan --diff`, `site --check` and `site` say the same of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jinja2
import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions import follow
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.host import host_changes, topics
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.look import read_look
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan import render
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.compare import compare_fleet
from drawn_sites import GPUS, HOST, LYING, SOURCES, Site, sites
from drifts import DRIFTS, REFUSED, befallen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served_host import ServedHost, can_be_made, served_host
from served_roles import ROLES, Control, FailedTask

pytestmark = pytest.mark.skipif(not can_be_made(), reason="a host with directories of its own is root's to make")
# One takes a second or more: `make exhaustive` draws a thousand.
HISTORIES = int(os.environ.get("HOST_HISTORIES") or (1000 if os.environ.get("EXHAUSTIVE") else 8))


class Quiet:
    def display(self, *__: Any, **___: Any) -> None:
        pass


@pytest.fixture(scope="module")
def host() -> Iterator[ServedHost]:
    patch = pytest.MonkeyPatch()
    patch.setattr(follow, "display", Quiet())
    # Every run evaluates the same expressions of the same roles.
    patch.setattr(jinja2.Environment, "compile", _once(jinja2.Environment.compile))
    with served_host() as made:
        yield made
    patch.undo()


def _once(compile_template: Any) -> Any:
    kept: dict[Any, Any] = {}

    def compiled(self: Any, source: Any, name: Any = None, filename: Any = None, *more: Any) -> Any:
        key = (type(self), str(source), name, filename, more)
        if key not in kept:
            kept[key] = compile_template(self, source, name, filename, *more)
        return kept[key]

    return compiled


class Seen:
    """A host after a look: the topics that differ, and what is told of it."""

    def __init__(self, control: Control, site: Site) -> None:
        look = read_look(HOST, control.look())
        assert look["status"] == "read", look
        self.topics = topics(site.plan, look)
        self.refused = {change.topic for change in host_changes(site.plan, look) if change.change == "refused"}
        differences = compare_fleet(site.outcome.fleet, {HOST: look})
        self.pending = render.pending(site.outcome.fleet, differences, {HOST: look})
        self.told = [*host_changes(site.plan, look), *(d for d in differences if d.change != "unchanged")]
        self.verbs = {step["verb"] for step in look["steps"]}


def deployed(host: ServedHost, site: Site) -> Control:
    """A host with what a site plans for it: the one that a test before this has left so, or a fresh one."""
    if host.serves is site:
        host.serves = None
        return Control(host, site.variables)
    host.do("reset")
    host.do("model", LYING)
    control = Control(host, site.variables)
    control.roles()
    return control


def agree(control: Control, site: Site) -> Seen:
    """What a look says is what check mode says, topic by topic, and neither touches anything."""
    before = control.host.do("files")
    seen = Seen(control, site)
    said = {topic: asked(control, role) for role, topic in ROLES.items()}
    assert control.host.do("files") == before
    assert {topic for topic, changes in said.items() if changes is None} == seen.refused, (seen.told, said)
    assert {topic for topic, changes in said.items() if changes is not False} == seen.topics, (seen.told, said)
    if not seen.refused:
        assert seen.pending == any(said.values()), seen.told
    return seen


def asked(control: Control, role: str) -> bool | None:
    """Whether a role would change anything, None where it refuses."""
    try:
        return control.role(role, check=True)
    except FailedTask:
        return None


def equal(control: Control, site: Site) -> None:
    """Nothing is in the difference."""
    seen = Seen(control, site)
    assert (seen.topics, seen.told, seen.pending, seen.verbs - {"keep"}) == (set(), [], False, set())
    control.host.serves = site


def settled(control: Control, site: Site) -> None:
    """Nothing is left to do: nothing is in the difference, no role would change anything, and none does."""
    equal(control, site)
    agree(control, site)
    before = control.host.do("files")
    assert not any(control.roles().values())
    assert control.host.do("files") == before


@given(earlier=st.lists(sites(), max_size=2), site=sites(), names=st.sets(st.sampled_from(sorted(DRIFTS)), max_size=4))
@settings(
    max_examples=HISTORIES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_whatever_a_host_was_like_it_is_as_planned_after_one_run(
    host: ServedHost, earlier: list[Site], site: Site, names: set[str]
) -> None:
    host.serves = None
    host.do("reset")
    host.do("model", LYING)
    for before in earlier:
        # What is refused leaves the host half as planned.
        with contextlib.suppress(FailedTask):
            Control(host, before.variables).roles()
    if earlier:
        befallen(host, earlier[-1].plan, dict.fromkeys(sorted(names)))
    control = Control(host, site.variables)
    if agree(control, site).refused:
        with pytest.raises(FailedTask):
            control.roles()
        # As the refusals say: what uses the engine goes first, and what is not there is fetched.
        Control(host, replace(site, models={}).variables).roles()
        site = replace(site, site={**site.site, "model_weights_offline": False})
        control = Control(host, site.variables)
        assert not agree(control, site).refused
    control.roles()
    settled(control, site)


WHOLE = Site(
    {
        name: {**SOURCES[at], "kind": "chat", "args": {"max-model-len": "8k"}}
        for name, at in (("alpha", 0), ("beta", 2), ("gamma", 3))
    },
    {**GPUS, "vllm_version": "0.33.0"},
    {"vllm_api_key": "first-key", "vllm_hf_token": "hf_first"},
)


@pytest.mark.parametrize("name", DRIFTS)
def test_each_drift_is_in_its_topic_alone(host: ServedHost, name: str) -> None:
    control = deployed(host, WHOLE)
    expected = befallen(host, WHOLE.plan, {name: None})
    seen = agree(control, WHOLE)
    assert seen.topics == expected, seen.told
    control.roles()
    equal(control, WHOLE)


@pytest.mark.parametrize("name", REFUSED)
def test_what_nobody_but_the_operator_may_mend_is_refused_in_its_topic(host: ServedHost, name: str) -> None:
    control = deployed(host, WHOLE)
    topic, befall, mend = REFUSED[name]
    befall(host, WHOLE.plan)
    seen = agree(control, WHOLE)
    assert (seen.refused, seen.topics) == ({topic}, {topic}), seen.told
    with pytest.raises(FailedTask):
        control.roles()
    mend(host, WHOLE.plan)
    control.roles()
    equal(control, WHOLE)


def test_a_start_that_is_under_way_is_waited_for_and_is_no_change(host: ServedHost) -> None:
    control = deployed(host, WHOLE)
    host.do("starting", WHOLE.plan.services[0].unit)
    seen = Seen(control, WHOLE)
    assert (seen.topics, seen.told, seen.pending) == ({"units"}, [], False)
    host.do("starting", WHOLE.plan.services[0].unit)
    assert not any(control.roles().values())
    equal(control, WHOLE)


def test_a_release_goes_with_the_last_generation_that_names_it(host: ServedHost) -> None:
    model = {**SOURCES[2], "kind": "chat"}
    before = Site(
        {"alpha": {**model, "args": {"max-model-len": "8k"}}},
        {"vllm_accelerator": "cpu", "vllm_version": "0.32.0"},
        WHOLE.site,
    )
    deployed(host, before)
    left = []
    for length in ("8k", "9k", "10k", "11k"):
        site = Site(
            {"alpha": {**model, "args": {"max-model-len": length}}},
            {**before.host, "vllm_version": "0.33.0"},
            before.site,
        )
        control = Control(host, site.variables)
        control.roles()
        left.append(host.do("is_there", "/opt/vllm/0.32.0"))
        equal(control, site)
    assert left == [True, True, False, False]
