"""Arbitrary YAML, from the inventory to the unit file: refused, or received as it was written; never a traceback.

How systemd itself splits a unit's command is shown with real processes in molecule/service/tests/test_argv.py.
"""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitfile import read_unit
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import TEMPLATES
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.control import render_units
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.fleet import Inventory, plan_fleet
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import read_menu
from hypothesis import event, given, settings
from hypothesis import strategies as st
from thoroughness import examples

NEWEST = release("0.33.0")
assert NEWEST is not None
HOSTS = {"gpu1": {"vllm_accelerator": "cuda", "vllm_version": "0.33.0", "gpu_count": 8}}

leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
anything = st.recursive(
    leaf, lambda c: st.lists(c, max_size=3) | st.dictionaries(st.text(max_size=6), c, max_size=3), max_leaves=8
)
# Options that take any text or any JSON, so that odd values get as far as the unit.
open_options = st.sampled_from(
    ["chat-template", "response-role", "hf-overrides", "tokenizer", "middleware", "ignore-patterns"]
)
arguments = st.dictionaries(
    open_options | st.sampled_from(sorted(NEWEST.spellings)) | st.text(max_size=8), anything | st.text(), max_size=4
)
environment = st.dictionaries(st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), leaf, max_size=3)


@settings(max_examples=examples(400), deadline=None)
@given(args=arguments, env=environment)
def test_what_the_unit_hands_to_the_process_is_what_the_plan_says(args: dict[str, Any], env: dict[str, Any]) -> None:
    models = {"m": {"model": "/m", "kind": "chat", "args": args, "env": env}}
    outcome = plan_fleet(Inventory(menu=read_menu(models), hosts=HOSTS, match=lambda pattern: [], keyed=True))
    event("refused" if outcome.problems else "planned")
    if outcome.problems:
        assert all(str(problem).isprintable() for problem in outcome.problems)
        return
    [planned] = outcome.fleet.hosts["gpu1"].services
    [unit] = render_units(TEMPLATES, [planned])
    read = read_unit(unit.text)
    assert tuple(read.command) == planned.argv
    assert {name: read.environment[name] for name in planned.environment} == planned.environment
    for option in ("chat-template", "response-role", "tokenizer"):
        if isinstance(args.get(option), str):
            argv = planned.argv
            flag = f"--{option}"
            assert f"{flag}={args[option]}" in argv or argv[argv.index(flag) + 1] == args[option]
    if isinstance(args.get("hf-overrides"), dict):
        argv = planned.argv
        assert json.loads(argv[argv.index("--hf-overrides") + 1]) == args["hf-overrides"]
