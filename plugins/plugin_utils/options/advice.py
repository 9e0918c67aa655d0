"""What the fates of options and variables have to say about one that this release does not take."""

from __future__ import annotations

from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import numbers
from ansible_collections.baremetal.vllm.plugins.module_utils.text.safe_values import Wrong
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import fates, sentence
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.jsontext import read_json
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.known import history


def on_option(name: str, value: Any, release: str) -> str | None:
    """What to write for an option, or a key of one (`compilation-config.level`), that other releases take."""
    if name not in fates.options() and not history(tuple(name.split("."))):
        return None
    return _sentence(name, value, release)


def on_value(option: str, value: Any, release: str) -> str | None:
    """What to write for a value of an option that other releases take."""
    fate = fates.options().get(option)
    if fate is None or not isinstance(value, str) or value not in fate.values:
        return None
    return _sentence(option, value, release)


def _sentence(name: str, value: Any, release: str) -> str | None:
    read = read_json(value)
    if isinstance(read, Wrong) and isinstance(value, str) and value.lstrip()[:1] == "{":
        return f"Its value {read.reason}. {read.remedy}, and what takes its place can be said"
    # YAML data that JSON cannot hold cannot become another option's value; text can, "[ngram]" as well.
    advice = sentence.advice(name, value if isinstance(value, str) or not isinstance(read, Wrong) else None, release)
    return advice.rstrip(".") if advice else None


def on_variable(name: str, release: str) -> str | None:
    """What to do about a VLLM_* variable that earlier releases read."""
    fate = fates.variables().get(name)
    if fate is None or not fate.gone or numbers(fate.gone) > numbers(release):
        return None
    options = sorted({f"`{option}`" for rule in fate.becomes for option in rule.write})
    instead = f"Write {' or '.join(options)} in `args`" if options else fate.do or "Remove it"
    return f"Gone since {fate.gone}: {fate.why}. {instead[:1].upper()}{instead[1:]}".rstrip(".")
