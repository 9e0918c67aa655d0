"""Whatever text is brought, it is read or refused with its line; nothing else comes out of it."""

from __future__ import annotations

import re
import subprocess

from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.command_line import Unread, read_commands
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.parse import parse
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.tree import ShellError
from hypothesis import given, settings
from hypothesis import strategies as st
from thoroughness import examples

FRAGMENTS = (
    "vllm serve a/b",
    "--port 8001",
    "$X",
    "${X:-y}",
    '"$@"',
    "$((1 + 2))",
    "$(echo z)",
    "`date`",
    "'q'",
    '"d"',
    "\\\n",
    "\n",
    ";",
    "&",
    "&&",
    "||",
    "|",
    "if [ -n a ]; then",
    "else",
    "fi",
    "for i in 1 2; do",
    "while read x; do",
    "done",
    "case $X in a)",
    ";;",
    "esac",
    "{",
    "}",
    "(",
    ")",
    "[[ a == b ]]",
    "((i++))",
    "f() {",
    "cat <<END\nx\nEND\n",
    "> out",
    "<place>",
    "A=(1 2)",
    "A+=(3)",
    "export A",
    "# c\n",
    "docker run vllm/vllm-openai:v0.11.0",
    "-v /a:/b",
    "bash -c",
    "eval",
    "$'\\x41'",
    "${",
    "$((",
    "'",
    '"',
)
TEXTS = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=4), max_size=14).map(" ".join)


@settings(max_examples=examples(400), deadline=None)
@given(text=TEXTS)
def test_a_text_is_read_or_refused(text: str) -> None:
    try:
        found = read_commands(text)
    except Unread:
        return
    assert found
    assert all(one.entry["name"] and one.entry["kind"] for one in found)


@settings(max_examples=examples(150), deadline=None)
@given(text=st.lists(st.sampled_from(FRAGMENTS[:40]), max_size=8).map(" ".join))
def test_what_bash_parses_is_parsed(text: str) -> None:
    # `<place>` is the one thing that is read in another way.
    text = text.replace("<place>", "place")
    taken = subprocess.run(["bash", "-n", "-c", text], capture_output=True, timeout=20, check=False)
    if taken.returncode != 0 or re.search(rb"warning", taken.stderr):
        return
    try:
        parse(text)
    except ShellError as error:
        raise AssertionError(f"{error}: {text!r}") from error
