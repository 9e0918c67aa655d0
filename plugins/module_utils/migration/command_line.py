"""A `vllm serve …` command, as scripts and units hold it, turned into an entry of `vllm_models`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.catalogue import load
from ansible_collections.baremetal.vllm.plugins.module_utils.flags.environment import check_environment
from ansible_collections.baremetal.vllm.plugins.module_utils.flags.extras import NO_EXTRAS
from ansible_collections.baremetal.vllm.plugins.module_utils.flags.names import OWNED
from ansible_collections.baremetal.vllm.plugins.module_utils.flags.plainness import is_secret
from ansible_collections.baremetal.vllm.plugins.module_utils.migration.invocation import Invocation, invocations
from ansible_collections.baremetal.vllm.plugins.module_utils.migration.parse import parse
from ansible_collections.baremetal.vllm.plugins.module_utils.migration.shell import Unclosed, Word
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.problems import Problems

# Secrets on the command line, and what holds them here.
SECRETS = {"api-key": "vllm_api_key", "hf-token": "vllm_hf_token"}
SECRET_VARIABLES = {
    "VLLM_API_KEY": "vllm_api_key",
    "HF_TOKEN": "vllm_hf_token",
    "HUGGING_FACE_HUB_TOKEN": "vllm_hf_token",
}
VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
# Set for every unit by the plan, or of no use there.
UNIT = ("PATH", "HOME", "CUDA_DEVICE_ORDER", "VLLM_CACHE_ROOT", "HF_HUB_OFFLINE", "PYTHONUNBUFFERED", "LD_LIBRARY_PATH")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_INDICES = re.compile(r"\d+(,\d+)*")


class Unread(ValueError):
    """A text from which no command can be read."""


def read_command(text: str, release: str | None = None) -> tuple[dict[str, Any], list[str]]:
    """The first start of vLLM in a text: the entry (`name` among its keys), and what to know about it.

    `release`: whose spelling the command has. Without it an image's tag says, else every known release is asked.
    Raises Unread where the text starts no vLLM, or its quotes do not match.
    """
    return read_commands(text, release)[0]


def read_commands(text: str, release: str | None = None) -> list[tuple[dict[str, Any], list[str]]]:
    """The same for every start of vLLM in the text."""
    try:
        found = invocations(text)
        if not found and text.lstrip().startswith("-"):
            # Options alone, as in the `args` of a container.
            found = invocations(f"vllm serve {text}")
    except Unclosed as error:
        raise Unread(f"The text cannot be read: {error}") from error
    if not found:
        raise Unread(
            "Nothing here starts vLLM: `vllm serve MODEL …` or `python -m vllm.entrypoints.openai.api_server …`"
        )
    return [_entry(one, release) for one in found]


def _entry(found: Invocation, release: str | None) -> tuple[dict[str, Any], list[str]]:
    version = release or found.release
    parsed = parse(found.words, load.release(version) if version else None)
    args, notes = dict(parsed.args), [*found.notes, *parsed.notes]
    if found.release and not release:
        notes.insert(0, f"The image is of vLLM {found.release}: its options are read as that release reads them")
    entry: dict[str, Any] = {}
    for option, variable in SECRETS.items():
        if args.pop(option, None) is not None:
            notes.append(f"--{option} is a secret and not shown: put it into a vault as {variable}")
    _source(entry, parsed.positional, args, notes)
    _names(entry, args, notes)
    env = _environment(found.env, entry, found.devices, notes)
    _numbers(entry, args, notes)
    _adapters(entry, args, notes)
    for option in [option for option in args if option in OWNED]:
        notes.append(f"--{option} is left out: the plan writes it, from {OWNED[option]}")
        del args[option]
    for option in [option for option, value in args.items() if is_secret(str(value))]:
        notes.append(f"--{option} looks like a secret and is not shown")
        del args[option]
    entry["kind"] = _kind(args, notes)
    order = ("name", "model", "revision", "kind", "gpus", "port", "aliases", "adapters")
    whole = {key: entry[key] for key in order if key in entry}
    whole.update({key: value for key, value in (("args", args), ("env", env)) if value})
    return whole, list(dict.fromkeys(notes))


def _source(entry: dict[str, Any], positional: list[str], args: dict[str, Any], notes: list[str]) -> None:
    given = [*positional, *([args.pop("model")] if "model" in args else [])]
    if not given:
        notes.append("No model is named: write a hub id or an absolute path on the host as `model`")
        return
    if len(set(given)) > 1:
        notes.append(f"More than one model is named ({', '.join(given)}): the first is taken")
    entry["model"] = given[0]
    revision = args.pop("revision", None)
    local = given[0].startswith(("/", "."))
    if isinstance(revision, str) and _COMMIT.fullmatch(revision):
        entry["revision"] = revision
    elif not local and "$" not in given[0]:
        said = f"{revision!r} can move" if revision else "none is given"
        notes.append(f"Add `revision`, the 40-digit commit of {given[0]}: {said}")
    if given[0].startswith("."):
        notes.append("The model's path is relative: write the absolute one")


def _names(entry: dict[str, Any], args: dict[str, Any], notes: list[str]) -> None:
    served = args.pop("served-model-name", None)
    model = str(entry.get("model", "model"))
    # vLLM's own name for a model is what it was asked to load.
    names = [str(name) for name in (served if isinstance(served, list) else [served] if served else [model])]
    name = _UNFIT.sub("-", names[0].rstrip("/").rpartition("/")[2]).strip("-._") or "model"
    entry["name"] = name
    aliases = [other for other in names if other != name]
    if aliases:
        entry["aliases"] = aliases
        notes.append(f"Clients asked for {names[0]}: it stays an alias") if names[0] != name else None


def _environment(env: Mapping[str, str], entry: dict[str, Any], devices: str, notes: list[str]) -> dict[str, str]:
    kept: dict[str, str] = {}
    for name, value in env.items():
        problems = Problems()
        if name in SECRET_VARIABLES:
            notes.append(f"{name} is a secret and not shown: put it into a vault as {SECRET_VARIABLES[name]}")
        elif name in VISIBLE:
            devices = value
        elif name in UNIT:
            notes.append(f"{name} is left out: the unit has its own")
        else:
            check_environment("", {name: value}, None, NO_EXTRAS, problems)
            for problem in problems.found:
                notes.append(f"{name} is left out: it {problem.reason}. {problem.remedy}")
            if not problems.found:
                kept[name] = value
    _gpus(entry, devices, notes)
    return kept


def _gpus(entry: dict[str, Any], devices: str, notes: list[str]) -> None:
    text = devices.strip("\"'").replace("device=", "").strip("\"'")
    if _INDICES.fullmatch(text):
        entry["gpus"] = [int(index) for index in text.split(",")]
    elif text and text != "all":
        notes.append(f"The GPUs are given as {text}: write their indices, or a count, as `gpus`")


def _numbers(entry: dict[str, Any], args: dict[str, Any], notes: list[str]) -> None:
    port = args.pop("port", None)
    if isinstance(port, int) and 1024 <= port <= 65535:
        entry["port"] = port
    elif port is not None and "$" not in str(port):
        notes.append(f"The port {port} is left out: write one from 1024 to 65535 as `port`, or none")
    devices = args.pop("device-ids", None)
    if devices is not None:
        _gpus(entry, ",".join(map(str, devices)) if isinstance(devices, list) else str(devices), notes)


def _adapters(entry: dict[str, Any], args: dict[str, Any], notes: list[str]) -> None:
    given = args.pop("lora-modules", None)
    if given is None:
        return
    adapters: dict[str, Any] = {}
    for item in given if isinstance(given, list) else [given]:
        name, path = (
            (item.get("name"), item.get("path")) if isinstance(item, Mapping) else str(item).partition("=")[::2]
        )
        adapters[str(name)] = {"model": str(path)}
        if not str(path).startswith("/"):
            notes.append(f"Add `revision` to the adapter {name}, the 40-digit commit of {path}")
        if isinstance(item, Mapping) and set(item) - {"name", "path", "base_model_name"}:
            notes.append(
                f"The adapter {name} has further keys, which `adapters` cannot hold: {', '.join(sorted(item))}"
            )
    entry["adapters"] = adapters
    if args.get("enable-lora") is True:
        # It follows from adapters.
        del args["enable-lora"]


def _kind(args: Mapping[str, Any], notes: list[str]) -> str:
    task = str(args.get("task", ""))
    of_task = {"embed": "embedding", "embedding": "embedding", "classify": "classify", "score": "score"}
    of_task.update(transcription="transcription")
    if task in of_task:
        return of_task[task]
    if args.get("convert") in ("embed", "classify"):
        return of_task[str(args["convert"])]
    if args.get("reasoning-parser"):
        return "reasoning"
    limits = args.get("limit-mm-per-prompt")
    if isinstance(limits, Mapping) and limits.get("image") or isinstance(limits, str) and "image" in limits:
        return "vision"
    if args.get("runner") == "pooling" or task == "reward":
        notes.append("`kind` is a guess: a pooling model may be embedding, rerank, score or classify")
        return "embedding"
    notes.append("`kind` is a guess: nothing in the command says what the model is for")
    return "chat"
