"""Releases: options are judged by exactly the one that a host runs, or not at all where the operator says so."""

from __future__ import annotations

from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import releases


def test_an_unknown_release_is_refused_once_for_all_its_hosts_with_the_known_ones_and_the_ways_on(fleet: Any) -> None:
    hosts = {f"gpu{i}": {**fleet.gpu_host, "vllm_version": "9.9.9"} for i in range(6)}
    assert fleet.told({"m": fleet.chat}, hosts) == [
        f"vllm_version: the catalogue of options does not know vLLM 9.9.9 (gpu0, gpu1, gpu2 and 3 more); it knows {', '.join(releases())}. "
        "Run one of these, add it (`make catalogue RELEASE=9.9.9` in a checkout of this collection), or go on without checks: "
        'vllm_unchecked_releases: ["9.9.9"].'
    ]


def test_an_unchecked_release_takes_what_is_written_and_the_operator_is_told(fleet: Any) -> None:
    host = {**fleet.gpu_host, "vllm_version": "9.9.9"}
    entry = {**fleet.chat, "args": {"option-of-tomorrow": [1, 2], "max-model-len": "4k"}}
    outcome = fleet.plan({"m": entry}, {"gpu1": host}, unchecked=["9.9.9"])
    assert outcome.problems == []
    argv = outcome.plan["hosts"]["gpu1"]["services"][0]["argv"]
    assert argv[argv.index("--option-of-tomorrow") :] == ["--option-of-tomorrow", "1", "2", "--max-model-len", "4k"]
    assert [w.key for w in outcome.warnings] == ["vllm_unchecked_releases.9.9.9"]


def test_secrets_and_owned_options_are_refused_unchecked_too(fleet: Any) -> None:
    host = {**fleet.gpu_host, "vllm_version": "9.9.9"}
    entry = {**fleet.chat, "args": {"api-key": "x", "port": 1}}
    found = fleet.plan({"m": entry}, {"gpu1": host}, unchecked=["9.9.9"]).problems
    assert [p.key for p in found] == ["vllm_models.m.args.api-key", "vllm_models.m.args.port"]


def test_one_entry_on_two_releases_is_judged_by_each(fleet: Any) -> None:
    hosts = {"old": {**fleet.gpu_host, "vllm_version": "0.9.2"}, "new": fleet.gpu_host}
    task = fleet.told({"m": {**fleet.chat, "args": {"task": "generate"}}}, hosts)
    assert [("vLLM 0.33.0" in line, "runner: generate" in line) for line in task] == [(True, True)]
    runner = fleet.told({"m": {**fleet.chat, "args": {"runner": "generate"}}}, hosts)
    assert ["vLLM 0.9.2" in line for line in runner] == [True]


def test_what_a_plug_in_adds_is_accepted_when_it_is_declared(fleet: Any) -> None:
    entry = {
        **fleet.chat,
        "args": {"my-option": 3, "enable-auto-tool-choice": True, "tool-call-parser": "my_parser"},
        "env": {"VLLM_MY_PLUGIN": "1"},
    }
    assert len(fleet.told({"m": entry})) == 3
    extra = {
        "extra_options": {"my-option": {"type": "int"}},
        "extra_choices": {"tool-call-parser": ["my_parser"]},
        "extra_env": ["VLLM_MY_PLUGIN"],
    }
    outcome = fleet.plan({"m": entry}, **extra)
    assert outcome.problems == []
    argv = outcome.plan["hosts"]["gpu1"]["services"][0]["argv"]
    assert argv[argv.index("--my-option") + 1] == "3"


def test_a_list_of_unchecked_releases_that_is_none_is_refused(fleet: Any) -> None:
    assert fleet.told({"m": fleet.chat}, unchecked="0.33.0") == [
        "vllm_unchecked_releases: '0.33.0' is not a list of releases. Write a list: [\"0.34.0\"]."
    ]


def test_an_unreadable_host_leaves_its_models_to_be_checked(fleet: Any) -> None:
    host = {**fleet.gpu_host, "gpu_count": "many"}
    keys = [p.key for p in fleet.plan({"m": {**fleet.chat, "args": {"task": "embed"}}}, {"gpu1": host}).problems]
    assert keys == ["gpu1.gpu_count", "vllm_models.m.args.task"]
