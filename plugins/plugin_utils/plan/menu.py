"""The operator's menu: `vllm_models`, read into typed entries.

Every function here takes plain YAML data; a mistake becomes a problem, never an exception.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import KINDS
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problem, Problems, did_you_mean
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import whole
from ansible_collections.baremetal.vllm.plugins.plugin_utils.weights.source import Source

PROOFS = ("meaning", "structured")
ENTRY_KEYS = (
    "model",
    "revision",
    "push_from",
    "kind",
    "hosts",
    "gpus",
    "port",
    "aliases",
    "adapters",
    "args",
    "env",
    "prove",
    "start_timeout",
)
SOURCE_KEYS = ("model", "revision", "push_from")
# vLLM loads 140 GB from slow disks and captures graphs within this; a dead process is noticed at once, not after it.
START_TIMEOUT = 1800

_UNIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Entry:
    """One model of the menu.

    `kind` is one of KINDS, "" where the operator wrote another; `gpus` is a count, a tuple of indices, or None for what the
    parallel sizes need.
    """

    name: str
    source: Source
    kind: str
    hosts: str | None = None
    gpus: int | tuple[int, ...] | None = None
    port: int | None = None
    aliases: tuple[str, ...] = ()
    adapters: Mapping[str, Source] = field(default_factory=dict)
    args: Values = field(default_factory=dict)
    env: Mapping[str, str | bool] = field(default_factory=dict)
    prove: Mapping[str, bool] = field(default_factory=dict)
    start_timeout: int = START_TIMEOUT

    @property
    def runner(self) -> str:
        """vLLM's runner for it: `generate`, `pooling`, "" where its kind is none."""
        return KINDS[self.kind].runner if self.kind else ""

    @property
    def pooling(self) -> bool:
        """Whether it turns texts into numbers, and writes none."""
        return self.runner == "pooling"


@dataclass(frozen=True)
class Menu:
    """The entries in the operator's order, and what is wrong with them."""

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...] = ()


def read_menu(models: Any) -> Menu:
    """`vllm_models` as typed entries; of a faulty one all that could be read, so that the checks that follow find its
    other mistakes in the same run."""
    problems = Problems()
    entries = tuple(_read_entries(models, problems))
    return Menu(entries, problems.problems)


def _read_entries(models: Any, problems: Problems) -> list[Entry]:
    if models is None:
        # An inventory that lost a file must not take every endpoint of the fleet with it.
        problems.add(
            "vllm_models", "is missing", "Write the menu, or `vllm_models: {}` where every unit shall be removed"
        )
        return []
    if not isinstance(models, Mapping):
        problems.add("vllm_models", "is not a dictionary", "Write one key per model: `vllm_models: {my-model: {...}}`")
        return []
    entries = (_read_entry(name, raw, problems) for name, raw in models.items())
    return [entry for entry in entries if entry is not None]


def _read_entry(name: Any, raw: Any, problems: Problems) -> Entry | None:
    at = f"vllm_models.{name}"
    if not isinstance(name, str) or not _UNIT_NAME.fullmatch(name):
        problems.add(
            at,
            f"{name!r} cannot be part of a systemd unit name",
            "Use letters, digits, '.', '_' and '-' (starting with a letter or digit, at most 200), quoted in YAML "
            "when it looks like a number, and list any other name that clients use under `aliases`",
        )
        return None
    if not isinstance(raw, Mapping):
        problems.add(at, "is not a dictionary", "Give it at least `model:` and `kind:`")
        return None
    _refuse_unknown(at, raw, ENTRY_KEYS, problems)
    kind = raw.get("kind")
    known = isinstance(kind, str) and kind in KINDS
    if not known:
        reason = "is missing" if kind is None else f"{kind!r} is not a kind of model"
        problems.add(f"{at}.kind", reason, did_you_mean(str(kind), KINDS))
    source = _read_source(at, raw, problems)
    return Entry(
        name=name,
        source=source or Source(model=""),
        kind=str(kind) if known else "",
        hosts=_read_text(
            f"{at}.hosts", raw.get("hosts"), "an Ansible host pattern such as `big_gpus:!spare`", problems
        ),
        gpus=_read_gpus(f"{at}.gpus", raw.get("gpus"), problems),
        port=_read_number(f"{at}.port", raw.get("port"), 1024, 65535, problems),
        aliases=_read_aliases(f"{at}.aliases", raw.get("aliases"), problems),
        adapters=_read_adapters(f"{at}.adapters", raw.get("adapters"), problems),
        args=_read_mapping(f"{at}.args", raw.get("args"), problems),
        env=_read_env(f"{at}.env", raw.get("env"), problems),
        prove=_read_prove(f"{at}.prove", raw.get("prove"), problems),
        start_timeout=_read_number(f"{at}.start_timeout", raw.get("start_timeout"), 1, 86400, problems)
        or START_TIMEOUT,
    )


def _refuse_unknown(at: str, raw: Mapping[Any, Any], known: tuple[str, ...], problems: Problems) -> None:
    for key in raw:
        if key not in known:
            problems.add(f"{at}.{key}", "is not a known key", did_you_mean(str(key), known))


def _read_source(at: str, raw: Values, problems: Problems) -> Source | None:
    model = _read_text(f"{at}.model", raw.get("model"), "a hub id or an absolute path on the host", problems)
    push_from = _read_text(f"{at}.push_from", raw.get("push_from"), "an absolute path on the control node", problems)
    revision = raw.get("revision")
    if push_from is not None:
        if not push_from.startswith("/"):
            problems.add(
                f"{at}.push_from", f"{push_from!r} is not absolute", "Write the whole path on the control node"
            )
            return None
        if model is not None or revision is not None:
            problems.add(
                f"{at}.push_from",
                "stands beside `model` or `revision`",
                "Keep only `push_from`: the host's path follows from the content",
            )
            return None
        return Source(model=push_from, push_from=push_from)
    if model is None:
        if raw.get("model") is None:
            problems.add(
                f"{at}.model", "is missing", "Write a hub id, an absolute path on the host, or use `push_from`"
            )
        return None
    if model.startswith("/"):
        if revision is not None:
            problems.add(f"{at}.revision", "means nothing for a path", "Leave it out, or name a hub id as `model`")
        return Source(model=model.rstrip("/") or "/")
    if not _HUB_ID.fullmatch(model):
        problems.add(
            f"{at}.model", f"{model!r} is neither a hub id nor an absolute path", "Write `Org/Name` or `/path`"
        )
        return None
    if not isinstance(revision, str) or not _COMMIT.fullmatch(revision):
        reason = "is missing" if revision is None else f"{revision!r} can move or is no commit"
        problems.add(
            f"{at}.revision",
            reason,
            "Pin the 40-digit commit of the model's repository, so that every host serves the same weights "
            "(quoted, where it has digits only)",
        )
        return None
    return Source(model=model, revision=revision)


def _read_text(at: str, value: Any, wanted: str, problems: Problems) -> str | None:
    if value is None:
        return None
    if isinstance(value, str) and value.strip() and "\0" not in value:
        return str(value)
    problems.add(at, f"{value!r} is not text", f"Write {wanted}")
    return None


def _read_number(at: str, value: Any, low: int, high: int, problems: Problems) -> int | None:
    if value is None:
        return None
    number = whole(value)
    if number is None or not low <= number <= high:
        problems.add(
            at, f"{value!r} is not a number from {low} to {high}", f"Write a whole number from {low} to {high}"
        )
        return None
    return number


def _read_gpus(at: str, value: Any, problems: Problems) -> int | tuple[int, ...] | None:
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        indices = [whole(item) for item in value]
        if indices and all(i is not None and 0 <= i < 64 for i in indices) and len(set(indices)) == len(indices):
            return tuple(i for i in indices if i is not None)
        problems.add(
            at, f"{value!r} is not a list of distinct GPU indices", "Write indices as nvidia-smi shows them: [0, 1]"
        )
        return None
    return _read_number(at, value, 1, 64, problems)


def _read_aliases(at: str, value: Any, problems: Problems) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, (list, tuple)) and all(isinstance(v, str) and v and not v.startswith("-") for v in value):
        return tuple(str(v) for v in value)
    problems.add(at, f"{value!r} is not a list of names", "Write a list: [gpt-4o-mini, Qwen/Qwen2.5-72B-Instruct]")
    return ()


def _read_adapters(at: str, value: Any, problems: Problems) -> dict[str, Source]:
    read: dict[str, Source] = {}
    for name, raw in _read_mapping(at, value, problems).items():
        if not _UNIT_NAME.fullmatch(name) or not isinstance(raw, Mapping):
            problems.add(
                f"{at}.{name}", "is not an adapter", "Write `name: {model: …, revision: …}` or `{push_from: …}`"
            )
            continue
        _refuse_unknown(f"{at}.{name}", raw, SOURCE_KEYS, problems)
        source = _read_source(f"{at}.{name}", raw, problems)
        if source:
            read[name] = source
    return read


def _read_mapping(at: str, value: Any, problems: Problems) -> dict[str, object]:
    if value is None:
        return {}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return dict(value)
    odd = next((key for key in value if not isinstance(key, str)), None) if isinstance(value, Mapping) else None
    if odd is None:
        problems.add(at, "is not a dictionary with names as keys", "Write `name: value` pairs below it")
    else:
        # YAML reads an unquoted `on`, `off`, `yes` and `no` as a truth value, and digits as a number.
        problems.add(at, f"has the key {odd!r}, which YAML does not read as text", "Quote it")
    return {}


def _read_env(at: str, value: Any, problems: Problems) -> dict[str, str | bool]:
    """Numbers become text; true and false stay, for releases differ in how they read a switch (`as_text`)."""
    read: dict[str, str | bool] = {}
    for name, raw in _read_mapping(at, value, problems).items():
        if not _ENV_NAME.fullmatch(name):
            problems.add(f"{at}.{name}", "is not a name for an environment variable", "Use letters, digits and '_'")
        elif isinstance(raw, bool):
            read[name] = raw
        elif isinstance(raw, (str, int, float)) and "\0" not in str(raw):
            read[name] = str(raw)
        else:
            problems.add(f"{at}.{name}", f"{raw!r} is not text", "Write one string or number (JSON as a quoted string)")
    return read


def _read_prove(at: str, value: Any, problems: Problems) -> dict[str, bool]:
    read = _read_mapping(at, value, problems)
    _refuse_unknown(at, read, PROOFS, problems)
    for name, raw in read.items():
        if name in PROOFS and not isinstance(raw, bool):
            problems.add(f"{at}.{name}", f"{raw!r} is not true or false", "Write true or false")
    return {name: raw for name, raw in read.items() if name in PROOFS and isinstance(raw, bool)}
