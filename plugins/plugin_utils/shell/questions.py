"""What one node of a script is for: something is asked, or done; and how it is told."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.baremetal.vllm.plugins.module_utils.text.safe_values import without_secrets
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.tree import (
    AndOr,
    Assign,
    Counting,
    For,
    Node,
    Pipeline,
    Simple,
    Test,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.tree import Word as TreeWord
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.values import Gap

# Commands that are asked something: whether they succeed is their answer.
_ASKED = frozenset(
    [
        "grep",
        "egrep",
        "fgrep",
        "pgrep",
        "command",
        "which",
        "type",
        "hash",
        "curl",
        "wget",
        "nc",
        "lsof",
        "ss",
        "diff",
        "cmp",
        "nvidia-smi",
        "mountpoint",
        "ping",
        "kill",
        "id",
        "getent",
        "dpkg",
        "rpm",
        "pip",
        "pip3",
        "systemctl",
        "lspci",
        "docker",
    ]
)


def source_of(assign: Assign) -> str:
    """The right side of an assignment as it is written; of an array its items, with blanks between."""
    return assign.value.source if isinstance(assign.value, TreeWord) else " ".join(word.source for word in assign.value)


def is_command(node: Node) -> bool:
    """Whether a command is run that may fail, and not only a variable set."""
    return not (
        isinstance(node, Simple)
        and (
            not node.words
            or (
                isinstance(node.words[0], TreeWord)
                and node.words[0].plain in ("export", "declare", "local", "readonly")
            )
        )
    )


def source_text(node: Node) -> str:
    """A command as it is written, on one line, shortened, and without secrets."""
    if isinstance(node, AndOr):
        return f"{source_text(node.left)} {node.op} {source_text(node.right)}"[:80]
    if isinstance(node, Pipeline):
        return ("! " if node.negated else "") + " | ".join(map(source_text, node.commands))[:80]
    text = getattr(node, "source", "") or "the command before it"
    # A secret is hidden before the text is cut: half of one has no form to know it by.
    return without_secrets(" ".join(text.split()))[:60]


def condition_of(node: Node, fails: bool) -> str:
    """`if …` or, where the command has to fail, `unless …`, with its line."""
    line = getattr(node, "line", 0)
    where = f" (line {line})" if line else ""
    return f"{'unless' if fails else 'if'} {source_text(node)}{where}"


def is_question(node: Node) -> bool:
    """Whether one runs this to learn something, and not to do it."""
    if isinstance(node, (Test, Counting)):
        return True
    if isinstance(node, AndOr):
        return is_question(node.left) or is_question(node.right)
    if isinstance(node, Pipeline):
        return is_question(node.commands[-1])
    if isinstance(node, Simple):
        if not node.words:
            return True
        first = node.words[0]
        name = first.plain if isinstance(first, TreeWord) else None
        return (name or "").rpartition("/")[2] in (*_ASKED, "[", "test", "read", "let", "getopts", "true", "false")
    return False


def presumed(condition: Sequence[Node]) -> bool:
    """Whether a condition is an ordinary command, of whose end nobody knows."""
    node = condition[0] if condition else None
    return isinstance(node, Simple) and bool(node.words) and not is_question(node)


def names_of(gaps: Sequence[Gap]) -> str:
    """What of the script is not certain, each once, for a sentence; a phrase where there is nothing."""
    return ", ".join(dict.fromkeys(gap.written for gap in gaps)) or "nothing says otherwise"


def locals_of(node: object) -> set[str]:
    """Names that a function declares for itself, wherever in its body."""
    if isinstance(node, Simple):
        first = node.words[0] if node.words else None
        if not isinstance(first, TreeWord) or first.plain not in ("local", "declare", "typeset"):
            return set()
        return {item.name if isinstance(item, Assign) else str(item.plain) for item in node.words[1:]}
    if isinstance(node, (list, tuple)):
        return set().union(*(locals_of(item) for item in node)) if node else set()
    if hasattr(node, "__dataclass_fields__"):
        return set().union(*(locals_of(getattr(node, name)) for name in node.__dataclass_fields__))
    return set()


def has_pattern(node: For) -> bool:
    """Whether a loop goes through file names by `*` or `?`, which nobody knows here."""
    return any(any(char in (word.plain or "") for char in "*?") for word in node.words or ())
