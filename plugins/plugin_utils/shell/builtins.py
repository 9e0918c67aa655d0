"""Commands of the shell itself that change what it knows: export, set, shift, unset, cd, read, source, eval, test."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell import conditions
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.assigning import assign
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.conditions import UNKNOWN, Truth
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.expand import fields, text_in, value_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.parse import parse
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.printers import PRINTERS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.state import ShellState
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.tree import Assign, ShellError, Simple
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.tree import Word as TreeWord
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.values import (
    Field,
    Gap,
    Piece,
    Variable,
    gaps_of,
    known,
    text_of,
    with_gaps,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.walk import Walk

# Calls within calls that are followed.
DEPTH = 12


def _declare(walk: Walk, node: Simple, words: list[Field], state: ShellState) -> Truth:
    name = text_of(words[0])
    options = [text_of(word) for word in words[1:] if re.match(r"[-+][A-Za-z]", text_of(word))]
    exports = name == "export" or any("x" in option for option in options if option[0] == "-")
    if name == "export" and any(option == "-n" for option in options):
        for word in words[1:]:
            state.exported.discard(text_of(word))
        return Truth(True)
    for item in node.words[1:]:
        if isinstance(item, Assign):
            assign(item, state)
            names = [item.name]
        else:
            plain = [text_of(one) for one in fields([item], state)]
            names = [one for one in plain if re.fullmatch(r"[A-Za-z_]\w*", one)]
            if "$(" in item.source or "`" in item.source:
                names += _printed_settings(walk, item, node, state)
            for one in plain:
                key, equals, value = one.partition("=")
                if equals and re.fullmatch(r"[A-Za-z_]\w*", key):
                    state.set_text(key, value, node.line)
                    names.append(key)
            if name != "export":
                for one in names:
                    if one not in state.variables:
                        state.set(one, Variable((), any("a" in option.lower() for option in options), node.line))
        if exports:
            state.exported.update(names)
    return Truth(True)


def _printed_settings(walk: Walk, item: TreeWord, node: Simple, state: ShellState) -> list[str]:
    """`export $(grep -v '^#' .env | xargs)`: the settings of a file beside the script; any other is told."""
    match = re.search(r"(?:grep|cat|sed)\b[^|]*?([\w./-]*env[\w.-]*)\"?\s*(?:\||\)|`)", item.source)
    text = walk.read(match[1]) if match else None
    if text is None:
        walk.notes.append(f"Line {node.line} sets what {item.source} prints: these variables are not here")
        return []
    found = re.findall(r"^\s*(?:export\s+)?([A-Za-z_]\w*)=(.*?)\s*$", text, re.M)
    for name, value in found:
        state.set_text(name, value.strip("\"'"), node.line)
    return [name for name, __ in found]


def _set(walk: Walk, node: Simple, words: list[Field], state: ShellState) -> Truth:
    texts = [text_of(word) for word in words]
    for index, text in enumerate(texts[1:], 1):
        if text == "--":
            state.given = words[index + 1 :]
            return Truth(True)
        if not re.match(r"[-+]", text):
            if texts[index - 1] in ("-o", "+o") or texts[index - 1][-1:] == "o":
                if text == "allexport":
                    state.all_exported = texts[index - 1][0] == "-"
                continue
            state.given = words[index:]
            return Truth(True)
        if "a" in text[1:] and not text.startswith("--"):
            state.all_exported = text[0] == "-"
    return Truth(True)


def _shift(walk: Walk, node: Simple, words: list[Field], state: ShellState) -> Truth:
    count = text_of(words[1]) if len(words) > 1 else "1"
    if state.given is not None:
        state.given = state.given[int(count) if re.fullmatch("[0-9]{1,18}", count) else 1 :]
    return Truth(True)


def _unset(walk: Walk, node: Simple, words: list[Field], state: ShellState) -> Truth:
    for word in words[1:]:
        state.set(text_of(word), None)
        state.exported.discard(text_of(word))
    return Truth(True)


def _return(walk: Walk, node: Simple, words: list[Field], state: ShellState) -> Truth:
    if walk.returns:
        walk.returns[-1].append(state.copy())
    state.dead = True
    return UNKNOWN


def _end(walk: Walk, node: Simple, words: list[Field], state: ShellState) -> Truth:
    state.dead = True
    return UNKNOWN


def _cd(walk: Walk, node: Simple, words: list[Field], state: ShellState) -> Truth:
    targets = [word for word in words[1:] if not text_of(word).startswith("-")]
    certain = targets and known(targets[0]) and not text_of(targets[0]).startswith("~")
    state.move(text_of(targets[0]) if certain else None)
    # Where it is a gap, $PWD is the same gap.
    if targets and not certain:
        state.variables["PWD"] = Variable((targets[0],))
    else:
        state.variables.pop("PWD", None)
    return Truth(True)


def _read(walk: Walk, node: Simple, words: list[Field], state: ShellState) -> Truth:
    bodies = [redirect for redirect in node.redirects if redirect.body is not None or redirect.op == "<<<"]
    names = [text_of(word) for word in words[1:] if re.fullmatch(r"[A-Za-z_]\w*", text_of(word))]
    if (
        bodies
        and text_of(words[0]) in ("mapfile", "readarray")
        and text_of(words[1]) == "-t"
        and len(words) == 3
        and names
    ):
        body = bodies[-1]
        field = value_of(body.target, state) if body.op == "<<<" else text_in(body.body or "", state, node.line)
        if body.op != "<<<" and not body.expands:
            field = (Piece(body.body or ""),)
        if known(field):
            lines = text_of(field).split("\n")
            lines = lines[:-1] if lines[-1] == "" else lines
            items = tuple(with_gaps(line, gaps_of(field), f"${names[0]}") for line in lines)
            state.set(names[0], Variable(items, True, line=node.line))
            return Truth(True)
    if bodies and text_of(words[0]) == "read" and names:
        body = bodies[-1]
        field = value_of(body.target, state) if body.op == "<<<" else text_in(body.body or "", state, node.line)
        if body.op != "<<<" and not body.expands:
            field = (Piece(body.body or ""),)
        whole = any(
            text_of(word) == "-d" or (text_of(word).endswith("d") and text_of(word)[:1] == "-") for word in words
        )
        separators = [
            text_of(value_of(a.value, state)) for a in node.assigns if a.name == "IFS" and isinstance(a.value, TreeWord)
        ]
        if known(field) and (whole or separators in ([], [""]) or (len(separators) == 1 and len(separators[0]) == 1)):
            text = text_of(field).strip() if whole else text_of(field).split("\n", maxsplit=1)[0]
            between = separators[0] if separators and separators[0].strip() else None
            parts = [text] if len(names) == 1 else text.split(between, len(names) - 1)
            for name, part in zip(names, [*parts, *[""] * len(names)]):
                state.set(name, Variable((with_gaps(part.strip(), gaps_of(field), f"${name}"),), line=node.line))
            return Truth(True)
    for word in words[1:]:
        if re.fullmatch(r"[A-Za-z_]\w*", text_of(word)):
            gap = Gap(f"${text_of(word)}", f"read in line {node.line}")
            state.set(text_of(word), Variable(((Piece(gap.written, gap),),), line=node.line))
    return UNKNOWN


def _getopts(walk: Walk, node: Simple, words: list[Field], state: ShellState) -> Truth:
    """Without arguments there is no option to take, and the loop around it ends before it begins."""
    if state.given is None:
        why = "the script is taken to be started without arguments"
        return Truth(False, (Gap("$@", why, taken=True, outside=True),))
    return UNKNOWN if state.given else Truth(False)


def _printf(walk: Walk, node: Simple, words: list[Field], state: ShellState) -> Truth:
    texts = [text_of(word) for word in words]
    if texts[1:2] == ["-v"] and len(texts) > 3:
        made = PRINTERS["printf"](words[3:], state)
        if made is not None:
            state.set(texts[2], Variable((made,), line=node.line))
            return Truth(True)
        gap = Gap(f"${texts[2]}", f"what printf makes in line {node.line}")
        state.set(texts[2], Variable(((Piece(gap.written, gap),),), line=node.line))
    return Truth(True)


def _test(walk: Walk, node: Simple, words: list[Field], state: ShellState) -> Truth:
    inner = [word for word in node.words[1:] if isinstance(word, TreeWord)]
    if text_of(words[0]) == "[":
        inner = inner[:-1]
    return conditions.test(inner, state, False)


def _let(walk: Walk, node: Simple, words: list[Field], state: ShellState) -> Truth:
    truth = UNKNOWN
    for word in words[1:]:
        truth = conditions.counting(text_of(word), state)
    return truth


def _eval(walk: Walk, node: Simple, words: list[Field], state: ShellState) -> Truth:
    text = " ".join(text_of(word) for word in words[1:])
    # The text is read anew, so what is not certain of it is told here.
    expanded = fields([word for word in node.words[1:] if isinstance(word, TreeWord)], state)
    for gap in dict.fromkeys(gap for field in expanded for gap in gaps_of(field) if gap.taken and "vllm" in text):
        why = gap.why and f", which is {gap.why}"
        walk.notes.append(f"{gap.written} stands in what line {node.line} evaluates{why}: that is taken here")
    if walk.depth >= DEPTH:
        return UNKNOWN
    walk.depth += 1
    try:
        script = parse(text, node.line)
    except ShellError as error:
        walk.notes.append(f"Line {node.line}: eval gets a text that no shell takes ({error}): not read")
    else:
        walk.nodes(script.body, state)
    walk.depth -= 1
    return UNKNOWN


def _source(walk: Walk, node: Simple, words: list[Field], state: ShellState) -> Truth:
    if len(words) < 2:
        return Truth(True)
    path = text_of(words[1])
    if path.endswith("/activate") or walk.depth >= DEPTH:
        return Truth(True)
    text = walk.read(
        posixpath.join(state.directory, path) if state.directory and not path.startswith("/") else path
    ) or walk.read(path)
    if text is None:
        if not re.search(r"(bashrc|profile|conda\.sh|/etc/os-release|setvars\.sh)$", path):
            walk.notes.append(
                f"Line {node.line} reads {path}, which is not beside the script: its variables are not here"
            )
        return Truth(True)
    walk.depth += 1
    try:
        script = parse(text)
    except ShellError as error:
        raise ShellError(node.line, f"{path}, which is read there, is no shell script ({error})") from error
    walk.nodes(script.body, state)
    walk.depth -= 1
    return Truth(True)


BUILTINS: dict[str, Callable[[Walk, Simple, list[Field], ShellState], Truth]] = {
    **dict.fromkeys(("export", "readonly", "local", "declare", "typeset"), _declare),
    "exit": _end,
    "return": _return,
    **dict.fromkeys(("cd", "pushd"), _cd),
    **dict.fromkeys(("read", "mapfile", "readarray"), _read),
    **dict.fromkeys(("[", "test"), _test),
    **dict.fromkeys(("source", "."), _source),
    "set": _set,
    "shift": _shift,
    "unset": _unset,
    "getopts": _getopts,
    "printf": _printf,
    "let": _let,
    "eval": _eval,
    **dict.fromkeys(
        ("trap", "break", "continue", "wait", "popd", "umask", "ulimit", "shopt"),
        lambda walk, node, words, state: Truth(True),
    ),
}
