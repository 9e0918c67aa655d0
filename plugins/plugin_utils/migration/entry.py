"""The keys of an entry that a parsed command leads to: what the toolkit decides goes from its options to its own keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypedDict, cast

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import by_word
from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import OWNED, written_by
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.text.safe_values import is_secret
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.places import Places, visible
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.start import Start
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.environment import check_environment
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.extras import NO_EXTRAS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.values import Word

# Secrets on the command line and in the environment, and what holds them here.
SECRETS = {"api-key": "vllm_api_key", "hf-token": "vllm_hf_token"}
SECRET_VARIABLES = {
    "VLLM_API_KEY": "vllm_api_key",
    "HF_TOKEN": "vllm_hf_token",
    "HUGGING_FACE_HUB_TOKEN": "vllm_hf_token",
}
VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
# Set for every unit by the plan, or of no use there.
UNIT = ("PATH", "HOME", "CUDA_DEVICE_ORDER", "VLLM_CACHE_ROOT", "HF_HUB_OFFLINE", "PYTHONUNBUFFERED", "LD_LIBRARY_PATH")
ORDER = ("name", "model", "revision", "kind", "gpus", "port", "aliases", "adapters", "args", "env")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_INDICES = re.compile(r"\d+(,\d+)*")


class EntryForm(TypedDict, total=False):
    """An entry of `vllm_models` with its name, as it is written. `gpus`: a count, or indices."""

    name: str
    model: str
    revision: str
    kind: str
    gpus: int | list[int]
    port: int
    aliases: list[str]
    adapters: dict[str, dict[str, str]]
    args: dict[str, object]
    env: dict[str, object]


def in_order(entry: EntryForm) -> EntryForm:
    """The same in the order in which one writes the keys, without those that say nothing."""
    values: Values = entry
    return cast(EntryForm, {key: values[key] for key in ORDER if values.get(key) not in (None, {}, [])})


class Maker:
    """Takes options out of `args` into keys of an entry. `notes`: what to know about it."""

    def __init__(self, args: Values, notes: list[str]) -> None:
        self.args, self.notes = dict(args), notes
        self.keys: dict[str, Any] = {}
        # What the server was asked to load: clients ask for it by that name.
        self.asked = ""

    def make(self, positional: list[str], start: Start) -> EntryForm:
        """The entry, its keys in the order in which one writes them."""
        self.places = Places(start, self.notes)
        for option, variable in SECRETS.items():
            if self.args.pop(option, None) is not None:
                self.notes.append(f"--{option} is a secret and not shown: put it into a vault as {variable}")
        self._source(positional)
        self._names()
        self._environment(start.env, start.gpus)
        self._port()
        self._adapters()
        self._set_aside()
        self.args = self.places.on_host(self.args)
        self.keys["kind"] = self._kind()
        self.keys["args"] = self.args
        return cast(EntryForm, {key: self.keys[key] for key in ORDER if self.keys.get(key)})

    def _source(self, positional: list[str]) -> None:
        given = [*positional, *([str(self.args.pop("model"))] if "model" in self.args else [])]
        revision = self.args.pop("revision", None)
        if not given:
            self.notes.append("No model is named: write a hub id or an absolute path on the host as `model`")
            return
        if len(set(given)) > 1:
            self.notes.append(f"More than one model is named ({', '.join(given)}): the first is taken")
        self.asked = given[0]
        model = self.places.model(given[0])
        if is_secret(model):
            self.notes.append(
                "The model looks like a secret and is not shown: write its address without one as `model`"
            )
            return
        self.keys["model"] = model
        if isinstance(revision, str) and _COMMIT.fullmatch(revision):
            self.keys["revision"] = revision
        elif not model.startswith(("/", ".", "~")) and model.count("/") < 2 and not re.search(r"[$<>{}]", model):
            said = f"{revision!r} can move" if revision else "none is given"
            self.notes.append(f"Add `revision`, the 40-digit commit of {model}: {said}")
        if model.startswith((".", "~")) or (model.count("/") > 1 and not model.startswith("/") and "$" not in model):
            self.notes.append("The model's path is relative: write the absolute one")

    def _names(self) -> None:
        served = self.args.pop("served-model-name", None)
        # vLLM's own name for a model is what it was asked to load.
        names = served if isinstance(served, list) else [served or self.asked or "model"]
        first = str(names[0])
        name = _UNFIT.sub("-", first.rstrip("/").rpartition("/")[2]).strip("-._") or "model"
        self.keys["name"] = name
        self.keys["aliases"] = [str(other) for other in names if other != name and not is_secret(str(other))]
        if first != name:
            self.notes.append(f"Clients asked for {first}: it stays an alias")

    def _environment(self, env: Mapping[str, Word], devices: str) -> None:
        kept: dict[str, str] = {}
        for name, word in env.items():
            problems, value = Problems(), word.text
            unknown = [gap for gap in word.gaps if not gap.taken]
            if unknown and name not in SECRET_VARIABLES and name not in UNIT:
                shown = f"which is {unknown[0].why}" if unknown[0].why else "which only the shell knows"
                self.notes.append(f"{name} is {value}, {shown}: left out")
                continue
            if unknown and name in SECRET_VARIABLES:
                self.notes.append(f"{name} is {value}, which only the shell knows: left out")
            for gap in word.gaps:
                if gap.taken and name not in SECRET_VARIABLES:
                    why = gap.why and f", which is {gap.why}"
                    self.notes.append(f"{name} holds {gap.written}{why}: its default is taken here")
            if name in SECRET_VARIABLES:
                self.notes.append(f"{name} is a secret and not shown: put it into a vault as {SECRET_VARIABLES[name]}")
            elif name in VISIBLE:
                devices = visible(devices, value)
            elif name in UNIT:
                self.notes.append(f"{name} is left out: the unit has its own")
            else:
                check_environment("", {name: value}, None, NO_EXTRAS, problems)
                self.notes += [f"{name} is left out: it {p.reason}. {p.remedy}" for p in problems.found]
                if not problems.found:
                    kept[name] = value
        self.keys["env"] = kept
        named = self.args.pop("device-ids", None)
        if named is not None:
            devices = ",".join(map(str, named)) if isinstance(named, list) else str(named)
        self._gpus(devices)

    def _gpus(self, devices: str) -> None:
        text = re.sub(r"\s", "", devices.strip("\"'").replace("device=", "").strip("\"'"))
        if _INDICES.fullmatch(text):
            self.keys["gpus"] = [int(index) for index in text.split(",")]
        elif re.fullmatch(r"count=[1-9]\d*", text):
            self.keys["gpus"] = int(text[6:])
        elif text and text != "all":
            self.notes.append(f"The GPUs are given as {text}: write their indices, or a count, as `gpus`")

    def _port(self) -> None:
        port = self.places.port(self.args.pop("port", None))
        if isinstance(port, int) and 1024 <= port <= 65535:
            self.keys["port"] = port
        elif port is not None and not re.search(r"[$<>]", str(port)):
            self.notes.append(f"The port {port} is left out: write one from 1024 to 65535 as `port`, or none")

    def _adapters(self) -> None:
        given = self.args.pop("lora-modules", None)
        if given is None:
            return
        adapters: dict[str, Any] = {}
        for item in given if isinstance(given, list) else [given]:
            whole = item if isinstance(item, Mapping) else dict(zip(("name", "path"), str(item).split("=", 1)))
            name, path = str(whole.get("name")), str(self.places.on_host(str(whole.get("path"))))
            adapters[name] = {"model": path}
            if not path.startswith("/"):
                self.notes.append(f"Add `revision` to the adapter {name}, the 40-digit commit of {path}")
            further = sorted(set(whole) - {"name", "path", "base_model_name"})
            if further:
                self.notes.append(f"The adapter {name} has keys that `adapters` cannot hold: {', '.join(further)}")
        self.keys["adapters"] = adapters
        if self.args.get("enable-lora") is True:
            # It follows from adapters.
            del self.args["enable-lora"]

    def _set_aside(self) -> None:
        for option, value in list(self.args.items()):
            if option in OWNED:
                self.notes.append(f"--{option} is left out: {written_by(option)}")
                del self.args[option]
            elif is_secret(str(value)):
                self.notes.append(f"--{option} looks like a secret and is not shown")
                del self.args[option]

    def _kind(self) -> str:
        for option in ("task", "convert"):
            if kind := by_word(str(self.args.get(option))):
                return kind
        if self.args.get("reasoning-parser"):
            return "reasoning"
        if _takes_images(self.args.get("limit-mm-per-prompt")):
            return "vision"
        if self.args.get("runner") == "pooling" or self.args.get("task") == "reward":
            self.notes.append("`kind` is a guess: a pooling model may be embedding, rerank, score or classify")
            return "embedding"
        self.notes.append("`kind` is a guess: nothing in the command says what the model is for")
        return "chat"


def _takes_images(limits: Any) -> bool:
    """Whether a limit of media leaves room for an image: a count above 0, or a profile of what to expect."""
    if isinstance(limits, str):
        return re.search(r"image\W+[1-9]", limits) is not None
    images = limits.get("image") if isinstance(limits, Mapping) else None
    count = images.get("count", 1) if isinstance(images, Mapping) else images
    return count is not None and str(count) != "0"
