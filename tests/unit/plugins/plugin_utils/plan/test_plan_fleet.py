"""The plan: what a good inventory becomes, and what each bad one is told."""

from __future__ import annotations

import copy
import json
import zlib
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.fleet import Inventory, Outcome, plan_fleet
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import read_menu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.table import plan_table
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.screen import Screen
from hypothesis import given, settings
from hypothesis import strategies as st
from thoroughness import examples

COMMIT = "495f39366efef23836d0cfae4fbe635880d2be31"
CHAT: dict[str, Any] = {"model": "Qwen/Qwen2.5-72B-Instruct", "revision": COMMIT, "kind": "chat"}
GPU_HOST = {"vllm_accelerator": "cuda", "vllm_version": "0.33.0", "gpu_count": 8}
CPU_HOST = {"vllm_accelerator": "cpu", "vllm_version": "0.32.0"}


def plan(models: Any, hosts: Any = None, **more: Any) -> Outcome:
    hosts = {"gpu1": GPU_HOST} if hosts is None else hosts

    def match(pattern: str) -> list[str]:
        return [name for name in [*hosts, "stranger"] if name in pattern.split(",")]

    return plan_fleet(Inventory(menu=read_menu(models), hosts=hosts, match=match, keyed=True, **more))


def services(outcome: Outcome, host: str = "gpu1") -> dict[str, Any]:
    assert not outcome.problems, outcome.problems
    return {service["name"]: service for service in outcome.plan["hosts"][host]["services"]}


def test_one_model_becomes_one_unit_with_everything_resolved() -> None:
    outcome = plan({"qwen": {**CHAT, "gpus": 4, "args": {"tensor_parallel_size": 4, "max-model-len": "32k"}}})
    qwen = services(outcome)["qwen"]
    port = 8000 + zlib.crc32(b"qwen") % 1000
    path = f"/var/lib/vllm/models/hub/models--Qwen--Qwen2.5-72B-Instruct/{COMMIT}"
    assert qwen["unit"] == "vllm-qwen.service"
    assert qwen["gpus"] == [0, 1, 2, 3]
    assert qwen["environment"]["CUDA_VISIBLE_DEVICES"] == "0,1,2,3"
    assert " ".join(qwen["argv"]) == (
        f"/opt/vllm/0.33.0/bin/vllm serve {path} --host 0.0.0.0 --port {port} --served-model-name qwen "
        "--shutdown-timeout 60 --tensor-parallel-size 4 --max-model-len 32k"
    )
    assert qwen["prove"]["max_model_len"] == 32000
    assert outcome.plan["hosts"]["gpu1"]["weights"] == [
        {"source": "hub", "repo": "Qwen/Qwen2.5-72B-Instruct", "revision": COMMIT, "path": path}
    ]


def test_options_become_the_words_that_vllm_reads() -> None:
    args = {
        "enforce-eager": True,
        "enable-prefix-caching": False,
        "hf-overrides": {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}},
        "allowed-origins": ["https://a", "https://b"],
        "middleware": ["a.b", "c.d"],
        "enable-lora": True,
        "lora-modules": ["x=/a", "y=/b"],
        "chat-template": "{% for m in messages %}\n%s $HOME 'é'\n{% endfor %}",
        "seed": None,
        "override-generation-config": '{"temperature": 0.5}',
        "response-role": "-odd",
    }
    argv = services(plan({"m": {**CHAT, "args": args}}))["m"]["argv"]
    assert argv[argv.index("--enforce-eager") :] == [
        "--enforce-eager",
        "--no-enable-prefix-caching",
        "--hf-overrides",
        '{"rope_scaling":{"rope_type":"yarn","factor":4.0}}',
        "--allowed-origins",
        '["https://a","https://b"]',
        "--middleware",
        "a.b",
        "--middleware",
        "c.d",
        "--enable-lora",
        "--lora-modules",
        "x=/a",
        "y=/b",
        "--chat-template",
        "{% for m in messages %}\n%s $HOME 'é'\n{% endfor %}",
        "--override-generation-config",
        '{"temperature": 0.5}',
        "--response-role=-odd",
    ]


def test_models_that_share_a_gpu_start_one_after_the_other_and_divide_its_memory() -> None:
    found = services(plan({name: {**CHAT, "gpus": [0]} for name in ("a", "b")} | {"c": {**CHAT, "gpus": [1]}}))
    assert [found[name]["after"] for name in "abc"] == [[], ["vllm-a.service"], []]
    assert found["a"]["argv"][-2:] == ["--gpu-memory-utilization", "0.46"]
    assert "--gpu-memory-utilization" not in found["c"]["argv"]


def test_a_port_does_not_move_when_another_model_leaves_the_menu() -> None:
    menu = {f"m{i}": {**CHAT, "gpus": 1} for i in range(8)}
    before = {name: service["port"] for name, service in services(plan(menu)).items()}
    del menu["m0"]
    after = {name: service["port"] for name, service in services(plan(menu)).items()}
    assert after == {name: port for name, port in before.items() if name != "m0"}
    assert len(set(before.values())) == 8


def test_pushed_weights_and_adapters_lie_under_their_content_address() -> None:
    entry = {"push_from": "/srv/tiny", "kind": "chat", "adapters": {"polite": {"push_from": "/srv/lora"}}}
    outcome = plan({"m": entry}, {"gpu1": CPU_HOST}, digests={"/srv/tiny": "a" * 64, "/srv/lora": "b" * 64})
    service = services(outcome)["m"]
    lora = "/var/lib/vllm/models/pushed/lora/" + "b" * 16
    assert service["weights"] == "/var/lib/vllm/models/pushed/tiny/" + "a" * 16
    assert service["argv"][-3:] == ["--enable-lora", "--lora-modules", f"polite={lora}"]
    assert service["prove"]["adapters"] == ["polite"]
    assert [item["path"] for item in outcome.plan["hosts"]["gpu1"]["weights"]] == [service["weights"], lora]


def test_without_a_key_endpoints_listen_on_loopback_and_the_operator_is_told() -> None:
    outcome = plan_fleet(Inventory(menu=read_menu({"m": CHAT}), hosts={"gpu1": GPU_HOST}, match=lambda pattern: []))
    assert services(outcome)["m"]["address"] == "127.0.0.1"
    assert [warning.key for warning in outcome.warnings] == ["vllm_api_key"]


def test_the_table_names_every_endpoint() -> None:
    planned = plan({"m": {**CHAT, "port": 8123, "gpus": 2}}, {"gpu1": GPU_HOST}).fleet
    lines = plan_table(planned, Screen(200)).splitlines()
    assert lines[1].split()[:8] == ["gpu1", "m", "chat", "0,1", "?", "?", "0.0.0.0:8123", "0.33.0"]
    assert lines[2:] == [
        "",
        "not known of m: the model: its config.json is not at hand on the control node (docs/memory.md says how to put it there)",
        "1 endpoint of 1 model on 1 host; 2 of 8 GPUs in use",
    ]


# Each: what is wrong, the menu, the key that must be named, words that the message must hold.
BAD = [
    ("a name that is no unit name", {"a b": CHAT}, "vllm_models.a b", "cannot be part of a systemd unit name"),
    ("a hub id as name", {"Qwen/Q": CHAT}, "vllm_models.Qwen/Q", "aliases"),
    ("a number as name", {7: CHAT}, "vllm_models.7", "quoted"),
    ("an unknown kind", {"m": {**CHAT, "kind": "chatt"}}, "vllm_models.m.kind", 'Did you mean "chat"'),
    ("no kind", {"m": {"model": "/m"}}, "vllm_models.m.kind", "is missing"),
    ("an unknown key", {"m": {**CHAT, "hots": "x"}}, "vllm_models.m.hots", 'Did you mean "hosts"'),
    ("a key as option", {"m": {**CHAT, "args": {"api-key": "x"}}}, "vllm_models.m.args.api-key", "vllm_api_key"),
    (
        "a key as option, other spelling",
        {"m": {**CHAT, "args": {"--api_key": "x"}}},
        "vllm_models.m.args.--api_key",
        "vault",
    ),
    (
        "a token in a value",
        {"m": {**CHAT, "args": {"chat-template": "hf_" + "a" * 30}}},
        "vllm_models.m.args.chat-template",
        "secret",
    ),
    ("a token in the environment", {"m": {**CHAT, "env": {"HF_TOKEN": "x"}}}, "vllm_models.m.env.HF_TOKEN", "secret"),
    ("an owned option", {"m": {**CHAT, "args": {"port": 1}}}, "vllm_models.m.args.port", "`port` of the entry"),
    (
        "one option twice",
        {"m": {**CHAT, "args": {"max-num-seqs": 1, "max_num_seqs": 1}}},
        "vllm_models.m.args.max_num_seqs",
        "twice",
    ),
    ("no such host", {"m": {**CHAT, "hosts": "gpuX"}}, "vllm_models.m.hosts", "matches no host"),
    ("a host outside", {"m": {**CHAT, "hosts": "gpu1,stranger"}}, "vllm_models.m.hosts", "outside the group"),
    (
        "too many GPUs",
        {"m": {**CHAT, "gpus": 9}},
        "vllm_models.m.gpus",
        "needs 9 GPUs, and of the 8 of gpu1 8 are left",
    ),
    ("GPUs that are not there", {"m": {**CHAT, "gpus": [8]}}, "vllm_models.m.gpus", "names GPU 8"),
    (
        "fewer GPUs than tensor parallel",
        {"m": {**CHAT, "gpus": 1, "args": {"tensor-parallel-size": 2}}},
        "vllm_models.m.gpus",
        "need 2",
    ),
    (
        "GPUs gone",
        {"a": {**CHAT, "gpus": 8}, "b": CHAT},
        "vllm_models.b.gpus",
        "of the 8 of gpu1 0 are left (used: a on [0, 1",
    ),
    (
        "one port twice",
        {"a": {**CHAT, "port": 8000}, "b": {**CHAT, "port": 8000}},
        "vllm_models.b.port",
        "also the port of a",
    ),
    ("a privileged port", {"m": {**CHAT, "port": 80}}, "vllm_models.m.port", "1024 to 65535"),
    ("one name twice", {"a": {**CHAT, "aliases": ["b"]}, "b": CHAT}, "vllm_models.b", "tell it from a"),
    ("no revision", {"m": {"model": "Qwen/Q", "kind": "chat"}}, "vllm_models.m.revision", "40-digit commit"),
    ("a moving revision", {"m": {**CHAT, "revision": "main"}}, "vllm_models.m.revision", "can move"),
    ("a relative path", {"m": {"model": "./m", "kind": "chat"}}, "vllm_models.m.model", "neither a hub id nor"),
    ("no model", {"m": {"kind": "chat"}}, "vllm_models.m.model", "is missing"),
    ("push_from and model", {"m": {**CHAT, "push_from": "/x"}}, "vllm_models.m.push_from", "stands beside"),
    ("a push of nothing", {"m": {"push_from": "/x", "kind": "chat"}}, "vllm_models.m.push_from", "was not hashed"),
    (
        "reasoning without a parser",
        {"m": {**CHAT, "kind": "reasoning"}},
        "vllm_models.m.args.reasoning-parser",
        "is missing",
    ),
    (
        "tools without a parser",
        {"m": {**CHAT, "args": {"enable-auto-tool-choice": True}}},
        "vllm_models.m.args.tool-call-parser",
        "needs it",
    ),
    ("NUL", {"m": {**CHAT, "args": {"chat-template": "a\0b"}}}, "vllm_models.m.args.chat-template", "NUL"),
    (
        "no character",
        {"m": {**CHAT, "args": {"chat-template": "a\ufffe"}}},
        "vllm_models.m.args.chat-template",
        "no character",
    ),
    (
        "half a character",
        {"m": {**CHAT, "args": {"chat-template": "a\ud800"}}},
        "vllm_models.m.args.chat-template",
        "no character",
    ),
    ("a bell in the environment", {"m": {**CHAT, "env": {"X": "a\a"}}}, "vllm_models.m.env.X", "control character"),
    (
        "too long",
        {"m": {**CHAT, "args": {"chat-template": "é" * 70000}}},
        "vllm_models.m.args.chat-template",
        "longer than the kernel",
    ),
    ("args as a list", {"m": {**CHAT, "args": ["a"]}}, "vllm_models.m.args", "is not a dictionary"),
    (
        "GPUs by environment",
        {"m": {**CHAT, "env": {"CUDA_VISIBLE_DEVICES": "0"}}},
        "vllm_models.m.env.CUDA_VISIBLE_DEVICES",
        "`gpus`",
    ),
    ("an unknown proof", {"m": {**CHAT, "prove": {"meanin": False}}}, "vllm_models.m.prove.meanin", "meaning"),
    ("an entry that is text", {"m": "Qwen/Q"}, "vllm_models.m", "is not a dictionary"),
    ("no menu at all", None, "vllm_models", "is missing"),
    ("a menu that is a list", [CHAT], "vllm_models", "is not a dictionary"),
]


@pytest.mark.parametrize(("models", "key", "words"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_entry_is_refused_by_its_key_with_a_remedy(models: Any, key: str, words: str) -> None:
    outcome = plan(models)
    assert outcome.plan == {}
    assert words in " ".join(str(p) for p in outcome.problems if p.key == key), outcome.problems


BAD_HOSTS = [
    ({"vllm_accelerator": "gpu"}, "h.vllm_accelerator", "cuda"),
    ({"vllm_accelerator": None}, "h.vllm_accelerator", "is missing"),
    ({"vllm_version": 0.33}, "h.vllm_version", "Write the whole release as text"),
    ({"vllm_version": "latest"}, "h.vllm_version", "not a vLLM release"),
    ({"gpu_count": "many"}, "h.gpu_count", "not a count"),
    ({"gpu_count": 0}, "h.gpu_count", "how many GPUs"),
]


@pytest.mark.parametrize(("change", "key", "words"), BAD_HOSTS)
def test_a_bad_host_is_refused_by_its_key(change: dict[str, Any], key: str, words: str) -> None:
    found = plan({"m": CHAT}, {"h": {**GPU_HOST, **change}}).problems
    assert [(p.key, words in str(p)) for p in found] == [(key, True)]


def test_every_problem_is_told_at_once_and_in_order() -> None:
    outcome = plan({"a b": CHAT, "c": {**CHAT, "kind": "x", "prot": 1}}, {"h": {**GPU_HOST, "vllm_version": 1}})
    assert [p.key for p in outcome.problems] == [
        "h.vllm_version",
        "vllm_models.a b",
        "vllm_models.c.kind",
        "vllm_models.c.prot",
    ]


def test_a_cpu_host_takes_models_without_gpus_and_refuses_those_that_ask_for_one() -> None:
    assert services(plan({"m": {"model": "/m", "kind": "chat"}}, {"gpu1": CPU_HOST}))["m"]["gpus"] == []
    assert "gpu1 can give none (accelerator cpu)" in str(
        plan({"m": {**CHAT, "gpus": 1}}, {"gpu1": CPU_HOST}).problems[0]
    )


@pytest.mark.parametrize(
    ("args", "gpus"),
    [
        ({}, 1),
        ({"tensor-parallel-size": 2, "pipeline-parallel-size": 2}, 4),
        ({"tensor-parallel-size": 2, "data-parallel-size": 4}, 8),
        ({"data-parallel-size": 16, "data-parallel-size-local": 4}, 4),
        # Ray finds the others itself.
        ({"tensor-parallel-size": 16, "distributed-executor-backend": "ray"}, 8),
    ],
)
def test_the_parallel_sizes_decide_how_many_gpus_a_model_gets(args: dict[str, Any], gpus: int) -> None:
    assert len(services(plan({"m": {**CHAT, "args": args}}))["m"]["gpus"]) == gpus


def test_an_engine_over_several_hosts_is_refused_and_ray_for_more_gpus_than_there_are_is_warned_of() -> None:
    spread = {"tensor-parallel-size": 16, "nnodes": 2, "node-rank": 0, "master-addr": "10.0.0.1"}
    assert "vllm_models.m.args.nnodes: asks for an engine over several hosts" in str(
        plan({"m": {**CHAT, "args": spread}}).problems[0]
    )
    ray = {"tensor-parallel-size": 8, "pipeline-parallel-size": 2, "distributed-executor-backend": "ray"}
    told = "\n".join(map(str, plan({"m": {**CHAT, "args": ray}}).warnings))
    assert "asks Ray for 16 GPUs, and gpu1 gives 8" in told
    assert "brings no more since 0.18.0" in told


def test_a_host_without_models_needs_no_engine() -> None:
    outcome = plan({"m": {**CHAT, "hosts": "a"}}, {"a": GPU_HOST, "b": GPU_HOST})
    idle = outcome.plan["hosts"]["b"]
    assert (idle["engine"], idle["weights"], idle["services"]) == (None, [], [])


def test_the_plan_says_what_each_host_is_so_that_what_is_found_there_can_be_compared() -> None:
    declared = {**GPU_HOST, "gpu_name": "H100-80GB", "nvidia_driver_version": 580}
    assert plan({"m": CHAT}, {"a": declared}).plan["hosts"]["a"]["host"] == {
        "accelerator": "cuda",
        "release": GPU_HOST["vllm_version"],
        "gpu_count": 8,
        "gpu_name": "H100-80GB",
        "gpu_memory": 81559 * 2**20,
        "driver": "580",
        "cut": [],
        "settings": [],
        "rocm": None,
    }


def test_memory_alone_is_compared_as_memory_alone() -> None:
    host = plan({"m": CHAT}, {"a": {**GPU_HOST, "gpu_memory_gib": 80}}).plan["hosts"]["a"]["host"]
    assert (host["gpu_name"], host["gpu_memory"]) == ("", 80 * 2**30)


def test_a_gpu_that_is_cut_is_given_to_no_model() -> None:
    host = {**GPU_HOST, "gpu_name": "H100-80GB", "gpu_mig": {0: ["3g.40gb", "3g.40gb"]}}
    assert services(plan({"m": CHAT}, {"a": host}), "a")["m"]["gpus"] == [1]
    named = plan({"m": {**CHAT, "gpus": [0]}}, {"a": host})
    assert [p.reason for p in named.problems] == ["names GPU 0 of a, which is cut into 3g.40gb, 3g.40gb (gpu_mig)"]


def test_a_misspelled_variable_of_the_driver_is_told() -> None:
    wrong = plan({"m": CHAT}, {"a": {**GPU_HOST, "nvidia_driver_verison": "580"}})
    assert [(p.key, p.remedy) for p in wrong.problems] == [
        ("a.nvidia_driver_verison", 'Did you mean "nvidia_driver_version"')
    ]


leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
anything = st.recursive(
    leaf, lambda c: st.lists(c, max_size=3) | st.dictionaries(st.text(max_size=6) | st.integers(), c, max_size=3)
)
keys = st.sampled_from(
    ["model", "revision", "kind", "hosts", "gpus", "port", "aliases", "adapters", "args", "env", "prove", "push_from"]
)


@settings(max_examples=examples(300), deadline=None)
@given(
    entry=st.dictionaries(keys, anything, max_size=12) | anything,
    host=st.dictionaries(st.sampled_from(["vllm_accelerator", "vllm_version", "gpu_count"]), anything),
)
def test_arbitrary_yaml_is_planned_or_refused_but_never_a_traceback(entry: Any, host: dict[str, Any]) -> None:
    before = copy.deepcopy(entry)
    outcome = plan({"m": {**CHAT, **entry} if isinstance(entry, dict) else entry}, {"gpu1": {**GPU_HOST, **host}})
    assert bool(outcome.plan) != bool(outcome.problems)
    assert repr(entry) == repr(before)
    json.dumps(outcome.plan, allow_nan=False)
