"""What the catalogue says: figures known from vLLM's own parsers, and what holds for every release."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release, releases
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import (
    UNKNOWN,
    Config,
    Field,
    Option,
    Release,
)
from packaging.specifiers import SpecifierSet
from packaging.version import Version

SEED = json.loads((Path(__file__).parent / "seed_spellings.json").read_text())
# Where a spelling of the source document left and came back, or was missing in between: release by release.
GAPS = {
    # The negation of --enable-log-requests from 0.33.0 on.
    "disable-log-requests": {"0.17.1", "0.18.1", "0.19.1", "0.20.2", "0.21.0", "0.22.1", "0.23.0", "0.24.0", "0.25.1",
                             "0.26.0", "0.27.1", "0.28.0", "0.29.0", "0.30.0", "0.31.0", "0.32.0"},
    # `vllm serve` of 0.9.0 does not register it at all.
    "model": {"0.9.0"},
}  # fmt: skip
OPTION_TYPES = {
    "str", "int", "float", "bool", "size", "size-or-auto", "json", "json-or-str", "config", "csv", "kvs", "caseless", "folded",
    "name=path", "lora",
}  # fmt: skip
FIELD_TYPES = {"str", "int", "float", "bool", "config", "caseless", "folded", "any", "dict"}
VARIABLE_TYPES = {"str", "int", "float", "bool", "truth", "switch", "csv", "caseless", "any"}
ALL = releases()


def known(version: str) -> Release:
    found = release(version)
    assert found is not None
    return found


def option(name: str, version: str) -> Option:
    return known(version).options[name]


def test_every_stable_release_is_there_oldest_first() -> None:
    assert len(ALL) == len(set(ALL)) >= 45
    assert list(ALL) == sorted(ALL, key=Version)
    assert (ALL[0], "0.33.0" in ALL) == ("0.8.5", True)
    assert {"0.8.5.post1", "0.9.0.1", "0.10.1.1", "0.15.0", "0.15.1"} <= set(ALL)
    # No minor release is skipped.
    minors = [Version(version).minor for version in ALL]
    assert set(range(min(minors), max(minors) + 1)) == set(minors)


def test_a_release_that_is_not_there_is_none() -> None:
    assert release("0.99.0") is None
    assert release("") is None
    # By its exact name: a post release is a release of its own.
    assert release("0.8.5.post2") is None


# Counted are the options of the parser, `--help` included and the positional model not.
@pytest.mark.parametrize(("version", "count"), [("0.11.0", 184), ("0.11.2", 201), ("0.32.0", 317), ("0.33.0", 321)])
def test_the_number_of_options(version: str, count: int) -> None:
    assert len(known(version).options) == count


def test_the_switches_of_0_33_0() -> None:
    flags = [option for option in known("0.33.0").options.values() if option.arity == "flag" and option.name != "help"]
    assert sum(1 for flag in flags if flag.negatives) == 89
    assert {flag.name for flag in flags if not flag.negatives} == {
        "disable-log-stats", "headless", "grpc", "aggregate-engine-logging", "data-parallel-multi-port-external-lb",
    }  # fmt: skip


def test_the_number_of_variables() -> None:
    assert len(known("0.33.0").environment) == 318
    names = {name for version in ALL for name in known(version).environment}
    assert len(names) >= 418
    assert {"VLLM_USE_V1", "VLLM_ATTENTION_BACKEND"} <= names - set(known("0.33.0").environment)


@pytest.mark.parametrize(("name", "last"), [("VLLM_USE_V1", "0.11.0"), ("VLLM_ATTENTION_BACKEND", "0.14.1"),
                                            ("VLLM_ALL2ALL_BACKEND", "0.15.1"), ("VLLM_TORCH_PROFILER_DIR", "0.15.1")])  # fmt: skip
def test_the_last_release_that_reads_a_variable(name: str, last: str) -> None:
    assert [version for version in ALL if name in known(version).environment][-1] == last


@pytest.mark.parametrize("spelling", SEED["spellings"])
def test_the_releases_that_know_a_spelling_of_the_source_document(spelling: str) -> None:
    sampled, span = SEED["releases"], SEED["spellings"][spelling]
    expected = sampled[sampled.index(span[0]) : sampled.index(span[1]) + 1] if span else []
    expected = [version for version in expected if version not in GAPS.get(spelling, ())]
    assert [version for version in sampled if spelling in known(version).spellings] == expected


@pytest.mark.parametrize(
    ("name", "version", "facts"),
    [
        ("max-model-len", "0.33.0", {"type": "size-or-auto", "arity": "value", "nullable": False, "default": None}),
        ("max-model-len", "0.12.0", {"type": "size", "nullable": False}),
        ("revision", "0.12.0", {"type": "str", "nullable": True}),
        ("max-num-seqs", "0.33.0", {"type": "int", "bounds": {"ge": 1}}),
        ("gpu-memory-utilization", "0.33.0", {"type": "float", "bounds": {"gt": 0, "le": 1}, "default": 0.92}),
        ("tensor-parallel-size", "0.33.0", {"short": ("tp",), "type": "int", "default": 1, "group": "ParallelConfig"}),
        ("quantization", "0.8.5", {"short": ("q",), "suggestions": None}),
        ("api-key", "0.10.0", {"arity": "value"}),
        ("api-key", "0.10.2", {"arity": "list"}),
        ("middleware", "0.33.0", {"arity": "repeated", "type": "str", "default": []}),
        ("hf-token", "0.33.0", {"arity": "optional"}),
        ("allowed-origins", "0.33.0", {"arity": "value", "type": "json", "default": []}),
        ("lora-modules", "0.33.0", {"arity": "list", "type": "lora", "config": "LoRAModulePath"}),
        ("device-ids", "0.33.0", {"type": "csv"}),
        ("moe-backend", "0.33.0", {"type": "folded"}),
        ("hf-overrides", "0.33.0", {"type": "json-or-str"}),
        ("limit-mm-per-prompt", "0.9.2", {"type": "kvs"}),
        ("limit-mm-per-prompt", "0.10.0", {"type": "json"}),
        ("speculative-config", "0.33.0", {"type": "json", "config": "SpeculativeConfig"}),
        ("compilation-config", "0.33.0", {"type": "config", "config": "CompilationConfig", "short": ("cc",)}),
        ("enable-log-requests", "0.33.0", {"negatives": ("no-enable-log-requests", "disable-log-requests")}),
        ("enable-log-requests", "0.32.0", {"negatives": ("no-enable-log-requests",)}),
        ("enable-auto-tool-choice", "0.9.2", {"arity": "flag", "negatives": ()}),
        ("guided-decoding-disable-fallback", "0.11.0", {"arity": "value", "type": "bool"}),
        ("guided-decoding-backend", "0.8.5", {"choices": ("auto", "guidance", "lm-format-enforcer", "outlines", "xgrammar")}),
        ("gpu-memory-utilization", "0.33.0", {"aliases": ("device-memory-utilization",)}),
    ],
)  # fmt: skip
def test_facts_of_options(name: str, version: str, facts: dict[str, Any]) -> None:
    assert {key: getattr(option(name, version), key) for key in facts} == facts


# First and last release of each stretch in which vLLM calls the option deprecated.
@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("task", "0.10.1", "0.12.0"),
        ("disable-log-requests", "0.10.1", "0.16.0"),
        ("enable-reasoning", "0.9.0", "0.9.2"),
        ("guided-decoding-backend", "0.11.0", "0.11.2"),
        ("override-pooler-config", "0.11.0", "0.11.2"),
        ("lora-extra-vocab-size", "0.10.2", "0.11.2"),
        ("enable-lora-bias", "0.10.2", "0.11.0"),
        ("cuda-graph-sizes", "0.11.1", "0.12.0"),
        ("calculate-kv-scales", "0.19.0", "0.27.1"),
        ("disable-cascade-attn", "0.32.0", "0.33.0"),
        ("tokenizer-pool-size", "0.8.5", "0.9.2"),
    ],
)
def test_deprecations(name: str, first: str, last: str) -> None:
    deprecated = [
        v for v in ALL if name in known(v).options and option(name, v).deprecated and Version(v) <= Version(last)
    ]
    assert (deprecated[0], deprecated[-1]) == (first, last)
    assert deprecated == list(ALL[ALL.index(first) : ALL.index(last) + 1])


def test_a_deprecation_names_what_to_use() -> None:
    assert (
        option("cuda-graph-sizes", "0.12.0").deprecated == "use --cudagraph-capture-sizes, removal announced for 0.13.0"
    )
    assert option("swap-space", "0.17.1").deprecated == ""


@pytest.mark.parametrize(
    ("name", "version", "names"),
    [
        ("tool-call-parser", "0.8.5", {"hermes", "mistral", "llama3_json"}),
        ("tool-call-parser", "0.33.0", {"hermes", "mistral", "llama3_json", "openai"}),
        ("reasoning-parser", "0.33.0", {"deepseek_r1", "qwen3"}),
        ("quantization", "0.33.0", {"fp8", "compressed-tensors"}),
        ("load-format", "0.33.0", {"auto", "safetensors", "runai_streamer"}),
        ("attention-backend", "0.33.0", {"FLASH_ATTN", "TRITON_ATTN", "auto"}),
        ("tokenizer-mode", "0.33.0", {"auto", "mistral"}),
        ("kv-cache-dtype", "0.33.0", {"auto", "fp8"}),
    ],
)
def test_open_sets_have_the_names_that_vllm_knows(name: str, version: str, names: set[str]) -> None:
    assert names <= set(option(name, version).suggestions or ())
    assert option(name, version).choices is None


@pytest.mark.parametrize(
    ("config", "version", "extra"),
    [
        ("CompilationConfig", "0.10.2", "ignored"),
        ("StructuredOutputsConfig", "0.14.1", "ignored"),
        ("CompilationConfig", "0.14.1", "refused"),
        ("StructuredOutputsConfig", "0.16.0", "refused"),
        ("SpeculativeConfig", "0.33.0", "refused"),
        ("LoRAModulePath", "0.33.0", "refused"),
    ],
)
def test_what_becomes_of_an_unknown_key(config: str, version: str, extra: str) -> None:
    assert known(version).configs[config].extra == extra


def test_from_0_16_0_on_every_unknown_key_is_refused() -> None:
    later = [v for v in ALL if Version(v) >= Version("0.16.0")]
    assert {config.extra for v in later for config in known(v).configs.values()} == {"refused"}


def test_keys_of_dataclasses() -> None:
    compilation = known("0.33.0").configs["CompilationConfig"].fields
    assert compilation["pass_config"].config == "PassConfig"
    assert {3, "VLLM_COMPILE"} <= set(compilation["mode"].choices or ())
    assert compilation["mode"].type == "caseless"
    speculative = known("0.33.0").configs["SpeculativeConfig"].fields
    assert {"ngram", "eagle3"} <= set(speculative["method"].choices or ())
    assert dict(speculative["num_speculative_tokens"].bounds) == {"gt": 0}
    assert "disable_logprobs" not in speculative
    assert known("0.33.0").configs["LoRAModulePath"].fields["path"].required


@pytest.mark.parametrize(
    ("version", "cuda", "oldest"),
    [("0.8.5", "12.4", "7.0"), ("0.12.0", "12.9", "7.0"), ("0.19.1", "12.9", "7.0"), ("0.20.0", "13.0", "7.5"), ("0.33.0", "13.0", "7.5")],
)  # fmt: skip
def test_what_the_published_wheel_is_built_for(version: str, cuda: str, oldest: str) -> None:
    assert (known(version).cuda, known(version).capabilities[0]) == (cuda, oldest)


@pytest.mark.parametrize("version", ALL)
def test_what_holds_for_every_release(version: str) -> None:
    found = known(version)
    assert found.version == version
    assert 130 < len(found.options) < 1000
    assert re.fullmatch(r"\d+\.\d+", found.cuda)
    assert all(re.fullmatch(r"\d+\.\d[af]?", capability) for capability in found.capabilities)
    assert "3.10" in SpecifierSet(found.python) or "3.11" in SpecifierSet(found.python)
    assert list(faults(found)) == []


def faults(found: Release) -> Iterator[str]:
    """Everything in a release that contradicts something else in it."""
    spelled: list[str] = []
    for name, spec in found.options.items():
        spelled += [name, *spec.aliases, *spec.negatives]
        if spec.name != name or any(
            found.spellings.get(word) != name for word in (name, *spec.aliases, *spec.negatives)
        ):
            yield f"{name}: its spellings do not lead back to it"
        if spec.type not in OPTION_TYPES:
            yield f"{name}: type {spec.type}"
        if spec.arity not in ("flag", "value", "list", "repeated", "optional"):
            yield f"{name}: arity {spec.arity}"
        if spec.negatives and spec.arity != "flag":
            yield f"{name}: switched off, but no switch"
        if spec.choices is not None and spec.suggestions is not None:
            yield f"{name}: closed and open at once"
        if spec.type in ("config", "lora") and spec.config is None:
            yield f"{name}: keys of nothing"
        yield from misfits(name, spec, found.configs)
    if sorted(spelled) != sorted(found.spellings) or not all(
        re.fullmatch(r"[a-z0-9][a-z0-9-]*", word) for word in spelled
    ):
        yield "a spelling belongs to two options, or is none"
    for config in found.configs.values():
        if config.extra not in ("refused", "ignored", "allowed") or not config.fields:
            yield f"{config.name}: {config.extra}, {len(config.fields)} keys"
        for key, field in config.fields.items():
            if field.type not in FIELD_TYPES:
                yield f"{config.name}.{key}: type {field.type}"
            yield from misfits(f"{config.name}.{key}", field, found.configs)
    for variable in found.environment.values():
        if variable.type not in VARIABLE_TYPES:
            yield f"{variable.name}: type {variable.type}"


def misfits(at: str, spec: Option | Field, configs: Any) -> Iterator[str]:
    if spec.config is not None and not isinstance(configs.get(spec.config), Config):
        yield f"{at}: {spec.config} is not described"
    if spec.choices is not None and len(set(spec.choices)) != len(spec.choices):
        yield f"{at}: a choice twice"
    if set(spec.bounds) - {"ge", "gt", "le", "lt"}:
        yield f"{at}: bounds {spec.bounds}"
    default = spec.default
    # An empty text stands for none of the choices.
    if default is None or default == "" or default is UNKNOWN or isinstance(default, (list, dict)):
        return
    if spec.choices is not None and str(default).lower() not in {str(choice).lower() for choice in spec.choices}:
        yield f"{at}: default {default!r} is no choice"
    if isinstance(default, (int, float)) and not isinstance(default, bool):
        low, high = spec.bounds.get("ge", float("-inf")), spec.bounds.get("le", float("inf"))
        if not low <= default <= high or default <= spec.bounds.get("gt", float("-inf")):
            yield f"{at}: default {default!r} is out of bounds"


def test_the_file_is_small_and_holds_no_prose() -> None:
    text = load.FILE.read_text(encoding="utf-8")
    assert len(text.encode()) < 500_000
    # A sentence of a help text has more words than any name, number or fact of ours.
    assert [
        found for found in re.findall(r'"((?:[^"\\]|\\.)*)"', text) if found.count(" ") > 12 and ".." not in found
    ] == []


def test_one_release_is_read_once() -> None:
    assert release("0.33.0") is release("0.33.0")
