"""What became of an option, said to the person at the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import numbers
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import fates, load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.follow import Reason, Way, follow
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.known import history
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.merge import gathered

JUDGEMENT = "This is a judgement, not vLLM's own word"


def advice(option: str, value: Any, release: str) -> str | None:
    """Why `release` does not know an option, since when, and what to write instead; None where nothing is known of it.

    `option` is normalised, with its keys where it has them: "task", "compilation-config.level".
    """
    spec = load.release(release) if release in load.releases() else None
    path = tuple(option.split("."))
    if spec is None or (option not in fates.options() and not history(path[:1])):
        return None
    followed = follow(path, value, Way(spec))
    if not followed.trails:
        return None
    texts = explain([reason for trail in followed.trails for reason in trail.reasons], release)
    if followed.written:
        texts.append(f"Write {listed(gathered(followed.written))}")
    elif not any(reason.fate and reason.fate.do for trail in followed.trails for reason in trail.reasons):
        texts.append("Leave it out")
    return ". ".join(texts)


def explain(reasons: Iterable[Reason], to: str) -> list[str]:
    """Sentences, without their full stop: since when and why, what to do where nothing replaces it, and what to heed."""
    return list(dict.fromkeys(text for reason in reasons for text in _texts(reason, to)))


def _texts(reason: Reason, to: str) -> list[str]:
    fate, rule = reason.fate, reason.rule
    texts = [_opening(reason, to)]
    if fate is not None and fate.do and (rule is None or not rule.write):
        texts.append(capital(fate.do))
    if rule is not None and rule.note and not reason.returned:
        texts.append(capital(rule.note))
    if rule is not None and rule.judgement and not reason.returned:
        texts.append(JUDGEMENT)
    return texts


def _opening(reason: Reason, to: str) -> str:
    if not reason.since:
        return capital(reason.fate.why) if reason.fate and reason.fate.why else "No known release of vLLM takes this"
    if numbers(reason.since) > numbers(to):
        return f"Not known before {reason.since}"
    why = f": {reason.fate.why}" if reason.fate is not None and reason.fate.why else ""
    return f"Gone since {reason.since}{why}"


def capital(text: str) -> str:
    """The text with a capital letter in front; vLLM keeps its small one."""
    return text if text.startswith("vLLM") else text[:1].upper() + text[1:]


def listed(options: Mapping[str, object]) -> str:
    """`runner: pooling` and `convert: embed`, as YAML to paste."""
    pairs = [f"`{option}: {flow(value)}`" for option, value in options.items()]
    return ", ".join(pairs[:-1]) + (" and " if len(pairs) > 1 else "") + pairs[-1]


def flow(value: Any) -> str:
    """A value as YAML's flow style writes it; JSON is YAML, and plain words need no quotes."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    if isinstance(value, str) and _is_plain(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_plain(text: str) -> bool:
    """Whether YAML reads an unquoted text as this very text, within flow mappings too."""
    words = text.replace("-", "").replace("_", "").replace(".", "").replace("/", "")
    return (
        words.isalnum()
        and words[0].isalpha()
        and text.lower() not in ("true", "false", "null", "yes", "no", "on", "off")
    )
