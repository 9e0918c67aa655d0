"""Words of a script as the words that a command gets: variables, defaults, substrings, sums, braces, splitting.

Source: bash(1), "EXPANSION". Commands inside `$(…)` are not run; what a few of them print follows from their words alone.
"""

from __future__ import annotations

import fnmatch
import itertools
import math
import re
from collections.abc import Sequence

from ansible_collections.baremetal.vllm.plugins.module_utils.text.safe_values import MAX_WORD
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.arithmetic import NoNumber, compute
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.bounds import COMMAND, MOST, size_of, too_long
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.parse import parse
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.printers import PRINTERS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.state import ShellState
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.tree import (
    AndOr,
    Hole,
    Lit,
    Node,
    Param,
    Part,
    Pipeline,
    ShellError,
    Simple,
    Sub,
    Sum,
    Word,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.values import (
    Field,
    Gap,
    Piece,
    Variable,
    gaps_of,
    is_absent,
    known,
    open_gaps,
    split,
    text_of,
    with_gaps,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.words import Reader, pieces_of

# A number of more digits is none to bash, which leaves the word as it is.
_BRACES = re.compile(r"\{(-?\d{1,18})\.\.(-?\d{1,18})\}|\{([^{}\s'\"]*,[^{}\s'\"]*)\}")
_INDEX = re.compile(r"[0-9]{1,18}")
# Longer texts are not cut by patterns: each end of the text would be compared.
_CUT = 4096


class _Gap(Exception):
    """A number that is not known."""

    def __init__(self, gaps: Sequence[Gap]) -> None:
        super().__init__()
        self.gaps = tuple(gaps)


def fields(words: Sequence[Word], state: ShellState) -> list[Field]:
    """The words of a command after all expansions; what may be further words is a field without text.

    Raises ShellError: where bash would not parse a part of it.
    """
    found: list[Field] = []
    for word in words:
        if state.work.over:
            break
        found += fields_of(word, state)
    return found


def fields_of(word: Word, state: ShellState) -> list[Field]:
    """One word after all expansions: none, one or many fields; one with a gap where it grows beyond any argument.

    Raises ShellError: where bash would not parse a part of it.
    """
    found = _fields_of(word, state)
    size = size_of(found)
    state.work.spend(size)
    return found if size <= MAX_WORD else [too_long(word.source)]


def _fields_of(word: Word, state: ShellState) -> list[Field]:
    plain = word.plain
    if plain is not None and "{" in plain and _BRACES.search(plain):
        texts = _braced(plain)
        if texts is None:
            return [(Piece(plain, Gap(plain, f"one of more than {MOST} words")),)]
        return [(Piece(text),) for text in texts]
    found: list[Field] = [()]
    parts_of = word.parts
    if len(parts_of) == 2 and parts_of[0] == Lit("", True) and isinstance(parts_of[1], Param):
        # "$@" alone: where there is nothing, there is no word.
        parts_of = parts_of[1:] if _is_many(parts_of[1], state) else parts_of
    whole = len(parts_of) == 1
    size = 0
    for part in parts_of:
        if size > MAX_WORD:
            break
        many = _many(part, state)
        size += size_of(many or ())
        if many is not None:
            # "$@" and "${A[@]}": each item is a word of its own.
            if not many and not whole:
                continue
            first, *others = many or [()]
            found[-1] = (*found[-1], *first)
            found += others
            if not many and whole:
                found.pop()
            continue
        piece = _one(part, state)
        size += size_of((piece,))
        if isinstance(part, (Lit, Hole)) or part.quoted:
            found[-1] = (*found[-1], *piece)
            continue
        begins = text_of(piece)[:1] in (" ", "\t", "\n")
        parts = split(piece)
        if not parts and whole:
            found.pop()
            continue
        if begins and found[-1]:
            found.append(())
        if parts:
            found[-1] = (*found[-1], *parts[0])
            found += parts[1:]
            if text_of(piece)[-1:] in (" ", "\t", "\n"):
                found.append(())
    return [field for field in found if field]


def value_of(word: Word, state: ShellState) -> Field:
    """A word where nothing is split: the right side of an assignment, the word of a `case`.

    Raises ShellError: where bash would not parse a part of it.
    """
    pieces: list[Piece] = []
    size = 0
    for part in word.parts:
        many = _many(part, state)
        items = [_one(part, state)] if many is None else many
        size += size_of(items)
        if size > MAX_WORD:
            return too_long(word.source)
        for index, item in enumerate(items):
            pieces += [Piece(" ")] * bool(index) + list(item)
    state.work.spend(size)
    return tuple(pieces)


def text_in(text: str, state: ShellState, line: int) -> Field:
    """A here-document's body. Raises ShellError: where bash would not parse a part of it."""
    return value_of(Word(pieces_of(text, line), line, text), state)


def _braced(text: str) -> list[str] | None:
    """The words of a word with braces; None where there are more than are followed, which are counted and not made."""
    parts: list[list[str]] = []
    counts: list[int] = []
    at = 0
    for match in _BRACES.finditer(text):
        parts.append([text[at : match.start()]])
        at = match.end()
        if match[3] is not None:
            parts.append(match[3].split(","))
            counts.append(len(parts[-1]))
        else:
            first, last = int(match[1]), int(match[2])
            counts.append(abs(last - first) + 1)
            step = 1 if last >= first else -1
            width = max(len(match[1]), len(match[2])) if re.match(r"-?0\d", match[1]) else 0
            parts.append([str(number).zfill(width) for number in range(first, last + step, step)[: MOST + 1]])
    if math.prod(counts) > MOST:
        return None
    return ["".join(words) for words in itertools.product(*parts, [text[at:]])]


def _is_many(part: Param, state: ShellState) -> bool:
    """Whether `_many` has items of it. It is not expanded for that: twice on each level would be without end."""
    if part.length or part.indirect:
        return part.indirect and _many(part, state) is not None
    return "@" in (part.name, part.index) or (not part.quoted and "*" in (part.name, part.index))


def _many(part: Part, state: ShellState) -> list[Field] | None:
    """The items of what is a word each; None for everything else."""
    if not isinstance(part, Param) or part.length:
        return None
    if part.indirect:
        # "${!A[@]}": the indices of an array.
        variable = state.get(part.name) if part.index in ("@", "*") else None
        if variable is None or not variable.array or any(open_gaps(field) for field in variable.fields[-1:]):
            return None
        names = variable.keys or [str(index) for index in range(len(variable.fields))]
        return [(Piece(name, None, part.quoted),) for name in names]
    if part.name in ("@", "*") and (part.name == "@" or not part.quoted):
        items = state.arguments()
        if part.op == ":" and state.given is not None:
            start = part.arg.strip()
            items = items[max(int(start) - 1, 0) :] if _INDEX.fullmatch(start) else items
    elif part.index == "@" or (part.index == "*" and not part.quoted):
        variable = state.get(part.name)
        items = list(variable.fields) if variable is not None else []
        if part.op in ("+", ":+") and items:
            # ${A[@]+"${A[@]}"}: the array, where there is one.
            return [field for word in _argument_words(part) for field in fields_of(word, state)]
        if part.op in ("-", ":-") and not items:
            return [field for word in _argument_words(part) for field in fields_of(word, state)]
        if len(items) == 1 and not (variable and variable.array) and open_gaps(items[0]):
            gap = open_gaps(items[0])[0]
            items = [(Piece(part.source, Gap(part.source, gap.why, outside=gap.outside)),)]
    else:
        return None
    if part.op == ":" and part.index is not None:
        start, __, length = part.arg.partition(":")
        if _INDEX.fullmatch(start.strip()) and (not length or _INDEX.fullmatch(length.strip())):
            items = items[int(start) :][: int(length) if length else None]
    if not part.quoted:
        return [field for item in items for field in split(tuple(piece._replace(quoted=False) for piece in item))]
    # An item of an array is one word, whatever is in it.
    return [
        item if is_absent(item) else tuple(p._replace(quoted=not (p.gap and not p.gap.taken)) for p in item)
        for item in items
    ]


def _argument_words(part: Param) -> list[Word]:
    reader, found = Reader(part.arg), list[Word]()
    while reader.at < len(part.arg):
        word = reader.word()
        if word is None:
            reader.at += 1
        else:
            found.append(word)
    return found


def _one(part: Part, state: ShellState) -> Field:
    if isinstance(part, Lit):
        return (Piece(part.text, None, part.quoted),)
    if isinstance(part, Hole):
        return (Piece(part.text, Gap(part.text, "a place to fill in")),)
    if isinstance(part, Sum):
        return _sum(part, state)
    field = output(part, state) if isinstance(part, Sub) else _param(part, state)
    return tuple(piece._replace(quoted=True) for piece in field) if part.quoted else field


def _sum(part: Sum, state: ShellState) -> Field:
    seen: list[Gap] = []
    try:
        number = number_of(part.text, state, seen)
    except _Gap as error:
        return with_gaps("", error.gaps, part.source, part.quoted)
    except (NoNumber, ValueError, IndexError):
        return (Piece(part.source, Gap(part.source), part.quoted),)
    return with_gaps(str(number), seen, part.source, part.quoted)


def number_of(text: str, state: ShellState, seen: list[Gap]) -> int:
    """The value of an arithmetic expression; `seen`: gaps for which a value was taken.

    Raises _Gap, NoNumber or ValueError where it is not known.
    """
    state.work.spend(COMMAND)
    if state.work.over:
        # A='B+B' B='C+C' …: each name is asked for twice as often as the one before.
        raise NoNumber(text)
    expanded = value_of(Word(pieces_of(text), 0, text), state)
    if not known(expanded):
        raise _Gap(open_gaps(expanded))
    seen += gaps_of(expanded)

    def read(name: str) -> int:
        variable = state.get(name.partition("[")[0])
        if variable is None or not variable.fields:
            return 0
        field = variable.fields[0]
        if not known(field):
            raise _Gap(open_gaps(field))
        seen.extend(gaps_of(field))
        inner = text_of(field).strip()
        return int(inner) if re.fullmatch(r"-?\d+", inner) else number_of(inner, state, seen) if inner else 0

    def write(name: str, value: int) -> None:
        state.set(name, Variable((with_gaps(str(value), seen, f"${name}"),)))

    try:
        return compute(text_of(expanded), read, write)
    except RecursionError as error:
        # A=B B=A: to bash too an error, after a thousand levels.
        raise NoNumber(text) from error


def _param(part: Param, state: ShellState) -> Field:
    variable, written = _variable(part, state), part.source
    if part.length:
        if part.index in ("@", "*") and variable is not None and variable.array:
            return (Piece(str(len([item for item in variable.fields if not is_absent(item)]))),)
        field = _field(variable)
        return with_gaps(str(len(text_of(field))), gaps_of(field), written)
    if part.indirect:
        field = _field(variable)
        if not known(field) or not re.fullmatch(r"[A-Za-z_]\w*", text_of(field)):
            return (Piece(written, Gap(written)),)
        inner = state.get(text_of(field))
        return _field(inner)
    if part.op.lstrip(":") in ("-", "=", "?", "+") and part.op != ":":
        return _default(part, variable, state)
    field = _field(variable, _between(state) if part.index == "*" else " ")
    if part.op == "":
        return field
    if not known(field):
        return with_gaps("", gaps_of(field), written)
    argument = value_of(Word(pieces_of(part.arg), 0, part.arg), state)
    text = _changed(text_of(field), part.op, text_of(argument), state)
    if text is None or not known(argument):
        return (Piece(written, Gap(written)),)
    return with_gaps(text, (*gaps_of(field), *gaps_of(argument)), written)


def _variable(part: Param, state: ShellState) -> Variable | None:
    if part.name.isdigit() and part.name != "0":
        return state.argument(int(part.name))
    if part.name == "#":
        if state.given is not None:
            return Variable(((Piece(str(len(state.given))),),))
        return Variable(((Piece("0", Gap("$#", "the script is taken to be started without arguments", True, True)),),))
    if part.name in ("*", "@"):
        items = list(state.arguments())
        return Variable((tuple(piece for item in items for piece in (*item, Piece(" ")))[:-1],))
    if part.name in "?$!-":
        return Variable(((Piece(part.source, Gap(part.source)),),))
    variable = state.get(part.name)
    if variable is None or part.index in (None, "@", "*") or part.name == "BASH_SOURCE":
        if variable is not None and part.index is None and variable.array:
            return Variable(variable.fields[:1])
        return variable
    if variable.keys:
        key = text_of(value_of(Word(pieces_of(part.index), 0, part.index), state)).strip("\"'")
        return Variable((variable.fields[variable.keys.index(key)],)) if key in variable.keys else None
    try:
        return Variable((variable.fields[number_of(part.index, state, [])],))
    except IndexError:
        return None
    except (_Gap, NoNumber, ValueError):
        return Variable(((Piece(part.source, Gap(part.source)),),))


def _between(state: ShellState) -> str:
    """What joins the items of "${A[*]}": the first character of IFS."""
    given = state.variables.get("IFS")
    return text_of(given.fields[0])[:1] if given is not None and given.fields else " "


def _field(variable: Variable | None, between: str = " ") -> Field:
    if variable is None:
        return ()
    joined: list[Piece] = []
    for index, field in enumerate(variable.fields):
        joined += [Piece(between)] * bool(index) + list(field)
    return tuple(piece._replace(quoted=False) for piece in joined)


def _default(part: Param, variable: Variable | None, state: ShellState) -> Field:
    """`${X:-a}`, `${X:=a}`, `${X:?a}`, `${X:+a}`, and the same without the colon."""
    field, kind = _field(variable), part.op[-1]
    empties = part.op.startswith(":")
    # Whoever starts the script may have set it; as the script stands alone, it is not set.
    outside = (
        variable is not None
        and bool(field)
        and all(gap.outside and not gap.taken for gap in gaps_of(field))
        and not known(field)
    )
    missing = variable is None or outside or (empties and known(field) and not text_of(field))
    argument = value_of(Word(_argument_parts(part), 0, part.arg), state)
    if kind == "+":
        if outside:
            return (Piece("", Gap(part.source, f"taken as if ${part.name} were not set", True, True)),)
        return () if missing else argument
    if not missing:
        return field
    if kind == "?":
        return (
            (Piece(f"${part.name}", Gap(f"${part.name}", "", outside=True)),) if outside or variable is None else field
        )
    if outside:
        gap = Gap(part.source, "", True, True)
        argument = tuple(piece if piece.gap else piece._replace(gap=gap) for piece in argument) or (Piece("", gap),)
    elif gaps_of(field):
        # It is only taken to be empty.
        argument = (*argument, *(Piece("", gap) for gap in gaps_of(field)))
    if kind == "=":
        state.set(part.name, Variable((argument,)))
    return argument


def _argument_parts(part: Param) -> tuple[Part, ...]:
    """The right side of a default; quotes group there unless it stands in quotes itself."""
    if part.quoted and "'" in part.arg and '"' not in part.arg:
        return pieces_of(part.arg)
    parts: list[Part] = []
    reader = Reader(part.arg)
    while reader.at < len(part.arg):
        word = reader.word()
        if word is not None:
            parts += word.parts
        else:
            parts.append(Lit(part.arg[reader.at]))
            reader.at += 1
    return tuple(parts)


def _changed(text: str, op: str, argument: str, state: ShellState) -> str | None:
    if op in ("#", "##", "%", "%%"):
        if len(text) > _CUT:
            return None
        ends = range(len(text) + 1) if op in ("#", "%%") else range(len(text), -1, -1)
        for end in ends:
            part = text[:end] if op[0] == "#" else text[end:]
            if fnmatch.fnmatchcase(part, argument):
                return text[end:] if op[0] == "#" else text[:end]
        return text
    if op in ("/", "//"):
        old, __, new = argument.partition("/")
        if any(char in old for char in "*?["):
            return None
        if not old:
            return text
        if (text.count(old) if op == "//" else 1) * len(new) > MAX_WORD:
            return None
        return text.replace(old, new) if op == "//" else text.replace(old, new, 1)
    if op in ("^", "^^"):
        return text.upper() if op == "^^" else text[:1].upper() + text[1:]
    if op in (",", ",,"):
        return text.lower() if op == ",," else text[:1].lower() + text[1:]
    if op == ":":
        start, __, length = argument.partition(":")
        try:
            first = number_of(start, state, [])
            last = number_of(length, state, []) if length.strip() else None
        except (_Gap, NoNumber, ValueError):
            return None
        tail = text[first:]
        return tail if last is None else tail[:last]
    return None


def output(part: Sub, state: ShellState) -> Field:
    """What `$(…)` prints, where its words alone say it."""
    try:
        script = parse(part.text)
    except ShellError:
        script = None
    field = _printed(script.body, state.copy()) if script is not None else None
    if field is None:
        return (Piece(part.source, Gap(part.source)),)
    if not known(field):
        return with_gaps("", gaps_of(field), part.source)
    return with_gaps(text_of(field).rstrip("\n"), gaps_of(field), part.source)


def _printed(body: Sequence[Node], state: ShellState) -> Field | None:
    found: list[Piece] = []
    for node in body:
        field = _print_one(node, state)
        if field is None:
            return None
        found += field
    return tuple(found)


def _print_one(node: Node, state: ShellState) -> Field | None:
    if isinstance(node, AndOr):
        left = _print_one(node.left, state)
        right = _print_one(node.right, state) if left is not None and node.op == "&&" else ()
        return None if left is None or right is None else (*left, *right)
    if (
        isinstance(node, Simple)
        and not node.words
        and node.assigns
        and all(isinstance(one.value, Word) for one in node.assigns)
    ):
        # $(IFS=,; echo "${A[*]}")
        for one in node.assigns:
            if isinstance(one.value, Word):
                state.set(one.name, Variable((value_of(one.value, state),)))
        return ()
    if isinstance(node, Pipeline) or not isinstance(node, Simple) or node.assigns:
        return None
    if any(redirect.op not in ("<<", "<<-", "<<<", ">", ">&", "&>") for redirect in node.redirects):
        return None
    words = list(fields([word for word in node.words if isinstance(word, Word)], state))
    name = text_of(words[0]) if words else ""
    printer = PRINTERS.get(name)
    if name == "cat":
        bodies = [redirect for redirect in node.redirects if redirect.body is not None]
        if len(words) != 1 or len(bodies) != 1:
            return None
        body = bodies[0].body or ""
        return text_in(body, state, node.line) if bodies[0].expands else (Piece(body),)
    if printer is None:
        return None
    return printer([word for word in words[1:] if not is_absent(word)], state)
