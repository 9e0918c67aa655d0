"""Words of a `vllm serve` command line as options, read the way vLLM's own parser reads them.

Source: FlexibleArgumentParser.parse_args (vllm/utils.py of 0.8.5 to 0.9.2, vllm/utils/argparse_utils.py of 0.33.0) and
Python's argparse: options may be abbreviated, the last of several wins, options with a list take all words up to the
next option, and `--x.y` is a key of the JSON option `--x`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import SECRET, normal, numbers
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.option_names import Name, identify
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.start import FURTHER
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.typed import typed
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.dotted import json_or_text
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.known import every, find
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.merge import Store
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Option, Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.values import Gap, Word

_NUMBER = re.compile(r"-\d+|-\d*\.\d+")
_LEVEL = re.compile(r"-O=?(.+)")
# `"<path/to/template>"`; `<think>` and the like are tokens of models.
_PLACE = re.compile(r"<(?!think|/|tool|start|end|bos|eos|pad)[A-Za-z][\w ./-]*>|(?i:your[-_]\w[\w-]*)")


@dataclass
class Parsed:
    """`args`: values as YAML would hold them, under the options' full names; `positional`: the model, where it is given."""

    args: dict[str, Any] = field(default_factory=dict)
    positional: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Tell something of the command, once however often it is met."""
        if text not in self.notes:
            self.notes.append(text)


class _Parser:
    def __init__(self, words: Sequence[Word], release: Release | None) -> None:
        self.words, self.release = list(words), release
        self.at = 0
        self.parsed = Parsed()
        self.dotted: dict[str, Store] = {}
        self.named = any(re.match(r"--model(=|$)", word.text) for word in self.words)

    def run(self) -> Parsed:
        while self.at < len(self.words):
            word = self._next()
            if word.text == "--":
                self.parsed.positional += [self._next().text for __ in range(self.at, len(self.words))]
            elif not _is_option(word.text):
                self._positional(word)
            else:
                self._option(word)
        for option, store in self.dotted.items():
            tree = dict(store.items())[option]
            if option in self.parsed.args:
                self.parsed.note(f"--{option} is given as a whole and by keys: vLLM takes only the keys")
            self.parsed.args[option] = tree
        return self.parsed

    def _positional(self, word: Word) -> None:
        """The model comes first; what stands alone behind it, and is not known, is further words."""
        if (word.loose and (self.parsed.positional or self.named or FURTHER.search(word.text))) or not word.text:
            self._further(word)
        elif word.text in ("...", "…"):
            self.parsed.note(f"{word.text} stands for words that are left out: they are not here")
        else:
            self._unexplained(word, "the model")
            self.parsed.positional.append(word.text)

    def _further(self, word: Word) -> None:
        for gap in word.gaps:
            self.parsed.note(f"{gap.written} may hold further words of the command{_why(gap)}: they are not here")

    def _next(self) -> Word:
        self.at += 1
        return self.words[self.at - 1]

    def _option(self, word: Word) -> None:
        text = word.text
        level = _LEVEL.fullmatch(text)
        if text == "-O" or (level and not text.startswith("-O.")):
            self._set(*self._optimization(level[1] if level else self._next().text if self._follows() else ""))
            return
        head, sign, value = text.partition("=")
        name, __, keys = normal(head).partition(".")
        found = self._identify(head, name)
        if found is None and not head.startswith("--") and len(head) > 2:
            # One letter may have its value joined to it: -qawq.
            short = identify(head[1:2], (self.release,))
            if short is not None and short.how:
                found, sign, value = short, "=", text[2:]
        if found is None:
            self._stranger(name, keys, sign, value, word)
            return
        if found.how == "is an abbreviation":
            self.parsed.note(f"{head} is an abbreviation of --{found.option}")
        spec = self._spec(found.option)
        given = word._replace(text=value, loose=False) if sign else None
        if keys:
            self._key(found.option, keys, given)
        elif found.off or spec.arity == "flag":
            self._flag(found, spec, given)
        else:
            self._value(found.option, spec, given)

    def _identify(self, head: str, name: str) -> Name | None:
        if not head.startswith("--") and self.release is not None:
            for option, spec in self.release.options.items():
                if name in spec.short:
                    return Name(option, how="is a short form")
        return identify(name, (self.release,))

    def _spec(self, option: str) -> Option:
        """The option in the release that was named, else in the newest that has it."""
        if self.release is not None and (spec := find(self.release, option)) is not None:
            return spec
        specs = [spec for __, release in every() if (spec := find(release, option)) is not None]
        return specs[-1] if specs else Option(option)

    def _optimization(self, level: str) -> tuple[str, Any]:
        """`-O3`: the level of compilation-config to 0.11.0, its mode to 0.11.2, and the optimization level since.

        `-O {…}` is the whole of compilation-config.
        """
        if level.lstrip()[:1] == "{":
            return "compilation-config", json_or_text(level)
        version = numbers(self.release.version) if self.release is not None else numbers("99")
        value: Any = int(level) if level.isdigit() else level
        if version < numbers("0.11.1"):
            return "compilation-config", {"level": value}
        return ("compilation-config", {"mode": value}) if version < numbers("0.12.0") else ("optimization-level", value)

    def _follows(self) -> bool:
        return self.at < len(self.words) and not _is_option(self.words[self.at].text)

    def _flag(self, found: Name, spec: Option, given: Word | None) -> None:
        if given is not None:
            self.parsed.note(f"--{spec.name} takes no value, and vLLM would not start with {given.text!r} behind it")
        elif self._follows() and self.words[self.at].text.lower() in ("true", "false"):
            given = self._next()
            self.parsed.note(f"--{spec.name} takes no value, and vLLM would not start with {given.text!r} behind it")
        off = given is not None and given.text.lower() == "false"
        self._set(found.option, found.off if off else not found.off)

    def _value(self, option: str, spec: Option, given: Word | None) -> None:
        words = [given] if given is not None else []
        if given is None and spec.arity == "list":
            while self._follows():
                word = self._next()
                if word.loose and words and FURTHER.search(word.text):
                    self._further(word)
                else:
                    words.append(word)
        elif given is None and self._follows():
            words.append(self._next())
        if not words:
            if spec.arity == "optional":
                self._set(option, True)
            else:
                self.parsed.note(f"--{option} has no value: left out")
            return
        for word in words:
            self._unexplained(word, f"--{option}")
        values = [typed(word.text, spec) for word in words]
        if spec.nullable and [word.text for word in words] in (["None"], [""]):
            self.parsed.args.pop(option, None)
        elif spec.arity == "repeated":
            self.parsed.args[option] = [*self.parsed.args.get(option, []), *values]
        else:
            self._set(option, values if spec.arity == "list" else values[0])

    def _key(self, option: str, keys: str, given: Word | None) -> None:
        """`--x.y v`: JSON where it is some, else a size, else text; `--x.y+ a,b` appends to a list."""
        word = given or (self._next() if self.at < len(self.words) else Word(""))
        self._unexplained(word, f"--{option}.{keys}")
        value: Any = json_or_text(word.text)
        if keys.endswith("+"):
            keys, value = keys[:-1], [json_or_text(part) for part in word.text.split(",")]
        store = self.dotted.setdefault(option, Store())
        path = (option, *keys.split("."))
        if store.merge(path, value) is not None:
            self.parsed.note(f"--{option}.{keys} is given twice: the first is kept here, compare")

    def _stranger(self, name: str, keys: str, sign: str, value: str, word: Word) -> None:
        """An option of no known release: its value is whatever follows."""
        words = [word._replace(text=value, loose=False)] if sign else []
        while not sign and self._follows():
            words.append(self._next())
        self.parsed.note(f"--{name} is an option of no known release: a plug-in's, or a mistake")
        values = [json_or_text(item.text) for item in words]
        self._set(f"{name}.{keys}" if keys else name, True if not values else values[0] if len(values) == 1 else values)

    def _set(self, option: str, value: Any) -> None:
        before = self.parsed.args.get(option)
        if before is not None and before != value:
            self.parsed.note(f"--{option} is given more than once: the last one counts")
        self.parsed.args[option] = value

    def _unexplained(self, word: Word, place: str) -> None:
        if not word.gaps and _PLACE.fullmatch(word.text):
            self.parsed.note(f"{place} is {word.text}, which looks like a place to fill in")
        for gap in word.gaps:
            if place.lstrip("-") in SECRET:
                continue
            where = f" (line {word.line})" if word.line > 1 else ""
            what = f"which is {gap.why}" if gap.why else f"which only the shell knows{where}"
            todo = "write its value"
            if gap.taken:
                todo = "that is taken here" if gap.why else "its default is taken here"
            self.parsed.note(f"{place} holds {gap.written}, {what}: {todo}")


def _why(gap: Gap) -> str:
    return f" ({gap.why})" if gap.why else ""


def parse(words: Sequence[Word], release: Release | None) -> Parsed:
    """The options of a command line as `release` reads them; without one, as the newest that has each option does."""
    return _Parser(words, release).run()


def _is_option(text: str) -> bool:
    """Whether argparse takes a word for an option: it begins with a dash and is no negative number, nor has blanks."""
    return len(text) > 1 and text.startswith("-") and not _NUMBER.fullmatch(text) and " " not in text.partition("=")[0]
