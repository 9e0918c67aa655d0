"""The operator's variables as JSON Schema, for completion and marks in an editor."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import KINDS
from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import OWNED, SECRET
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import schema
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.described import described, prefixes
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.hosts import ACCELERATORS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import PROOFS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.variables import OURS, known_variables

_TEXT: dict[str, object] = {"type": "string"}
_GIB: dict[str, object] = {"type": "number", "exclusiveMinimum": 0}
_COMMIT: dict[str, object] = {"anyOf": [{"type": "string", "pattern": "^[0-9a-f]{40}$"}, schema.TEMPLATE]}


def variables(release: Release) -> dict[str, object]:
    """The schema of a file of inventory variables whose models run on `release`.

    Variables that are not this collection's are let through, so that the schema suits any file of `group_vars`; a name that
    begins as only ours do, and is none of them, is marked.
    """
    properties = {**described(), **_own(release)}
    begins = "|".join(re.escape(prefix) for prefix in sorted({*OURS, *prefixes()}))
    names = sorted({*properties, *known_variables()})
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"Variables of baremetal.vllm, options of vLLM {release.version}",
        "type": "object",
        "properties": properties,
        "propertyNames": {"anyOf": [{"not": {"pattern": f"^({begins})"}}, {"enum": names}]},
        "definitions": schema.definitions(release),
    }


def _own(release: Release) -> dict[str, object]:
    """Variables whose shape no argument specification can say."""
    texts = {"type": "array", "items": _TEXT}
    shapes: dict[str, tuple[Mapping[str, object], str]] = {
        "vllm_version": ({"const": release.version}, "The release this schema was made for"),
        "vllm_accelerator": (_either({"enum": [*ACCELERATORS]}), "What the host's engines are built for"),
        "gpu_count": (_either({"type": "integer", "minimum": 0, "maximum": 64}), "How many GPUs the host has"),
        "gpu_name": ({"anyOf": [_TEXT, texts]}, "What its GPUs are called, one name or one each"),
        "gpu_memory_gib": (
            _either({"anyOf": [_GIB, {"type": "array", "items": _GIB}]}),
            "The memory of each GPU, where its name does not tell it",
        ),
        "nvidia_driver_version": ({"type": ["string", "integer"]}, "A branch (580) or a whole version"),
        "vllm_endpoint_sources": (_either(texts), "Addresses and networks that may reach the host's engines"),
        "vllm_engine_destinations": (
            {"anyOf": [{"const": "any"}, texts, schema.TEMPLATE]},
            "Addresses and networks that the host's engines may connect to, or any",
        ),
        "vllm_models": (
            _either({"type": "object", "additionalProperties": _either(_entry(release))}),
            "The menu, keyed by the name that clients ask for",
        ),
        "vllm_unchecked_releases": (texts, "Releases whose args and env are taken as written"),
        "vllm_extra_options": ({"type": "object"}, "Options that plug-ins of vLLM add"),
        "vllm_extra_choices": (
            {"type": "object", "additionalProperties": texts},
            "Values of options that plug-ins of vLLM add",
        ),
        "vllm_extra_env": (texts, "Variables beginning with VLLM_ that plug-ins read"),
    }
    return {name: {**shape, "description": text} for name, (shape, text) in shapes.items()}


def _either(shape: Mapping[str, object]) -> dict[str, object]:
    return {"anyOf": [shape, schema.TEMPLATE]}


def _entry(release: Release) -> dict[str, object]:
    source = {
        "model": {**_TEXT, "description": "A hub id, or an absolute path on the host"},
        "revision": {**_COMMIT, "description": "The 40-digit commit of a hub id"},
        "push_from": {**_TEXT, "description": "A directory of the control node, brought to the hosts"},
    }
    return {
        "type": "object",
        "properties": {
            **source,
            "kind": {"enum": [*KINDS], "description": "What the endpoint must prove"},
            "hosts": {**_TEXT, "description": "An Ansible host pattern within gpu_hosts"},
            "gpus": {
                **_either(
                    {
                        "anyOf": [
                            {"type": "integer", "minimum": 1, "maximum": 64},
                            {"type": "array", "items": {"type": "integer", "minimum": 0}, "uniqueItems": True},
                        ]
                    }
                ),
                "description": "A count, or a list of indices as nvidia-smi shows them",
            },
            "port": _either({"type": "integer", "minimum": 1024, "maximum": 65535}),
            "aliases": {"type": "array", "items": _TEXT, "description": "Further names that clients may ask for"},
            "adapters": {
                "type": "object",
                "additionalProperties": {"type": "object", "properties": source, "additionalProperties": False},
                "description": "LoRA adapters by name",
            },
            "args": _either(schema.arguments(release, {**OWNED, **SECRET})),
            "env": _either(schema.environment(release)),
            "prove": {
                "type": "object",
                "properties": {name: {"type": "boolean"} for name in PROOFS},
                "additionalProperties": False,
            },
            "start_timeout": _either({"type": "integer", "minimum": 1, "maximum": 86400}),
        },
        "required": ["kind"],
        "additionalProperties": False,
    }
