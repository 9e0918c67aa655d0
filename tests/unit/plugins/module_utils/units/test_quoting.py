"""Quoting: whatever text an operator writes is one word on one logical line, and reads back as itself.

The reader below follows systemd.syntax(7) and systemd.service(5) and is used for thousands of texts; the same texts go
through the real systemd in molecule/service.
"""

from __future__ import annotations

import re

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.units import quoting
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), max_size=40)
NASTY = st.text(st.sampled_from(list("ab \\\"'%$;{}\n\t\r\x01\x7f#=é😀")), max_size=20)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"'}


def read_words(command: str) -> list[str]:
    """Words as systemd reads them: continuation lines joined, quotes and escapes resolved, `%%` and `$$` single."""
    assert "\n" not in command.replace("\\\n", " ")
    words = []
    for match in re.finditer(r'"((?:[^"\\]|\\.)*)"|([^\s"]+)', command.replace("\\\n", " "), re.DOTALL):
        text = match[2] if match[1] is None else re.sub(r"\\(x[0-9a-f]{2}|.)", _unescape, match[1], flags=re.DOTALL)
        assert not re.search(r"(?<!%)%(%%)*(?!%)", text), "a specifier"
        assert not re.search(r"(?<!\$)\$(\$\$)*(?!\$)", text), "a variable"
        words.append(text.replace("%%", "%").replace("$$", "$"))
    return words


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match[1][1:], 16)) if match[1].startswith("x") else _ESCAPES[match[1]]


@given(st.lists(TEXT | NASTY, max_size=6))
def test_every_command_reads_back_as_the_words_it_was_made_of(values: list[str]) -> None:
    argv = ["/opt/vllm/bin/vllm", "serve", *values]
    assert read_words(quoting.command(argv)) == argv


@given(TEXT | NASTY)
def test_no_word_can_end_the_line_or_begin_a_comment(value: str) -> None:
    word = quoting.command_word(value)
    assert not set(word) & {"\n", "\r", "\0"}
    assert word[0] not in ";#@-:!+" or re.fullmatch(r"[A-Za-z0-9_@+=:,./-]+", word)


def test_options_stand_one_on_a_line_with_their_values() -> None:
    argv = ["/x/vllm", "serve", "/m", "--port", "8000", "--lora-modules", "a=/a", "b=/b", "--enforce-eager"]
    assert quoting.command(argv).splitlines() == [
        "/x/vllm serve /m \\",
        "  --port 8000 \\",
        "  --lora-modules a=/a b=/b \\",
        "  --enforce-eager",
    ]


def test_an_environment_variable_keeps_dollars_and_doubles_percents() -> None:
    assert quoting.environment({"B": "a$b%c", "A": 'q"\\\n'}) == ['"A=q\\"\\\\\\n"', '"B=a$b%%c"']


@given(st.lists(TEXT | NASTY, max_size=6), st.dictionaries(st.sampled_from(["A", "B"]), TEXT | NASTY))
def test_what_is_written_is_read_back(values: list[str], variables: dict[str, str]) -> None:
    argv = ["/opt/vllm/bin/vllm", "serve", *values]
    assert quoting.words(quoting.command(argv).replace("\\\n", " "), variables=True) == argv
    read = [word for line in quoting.environment(variables) for word in quoting.words(line)]
    assert read == [f"{name}={value}" for name, value in sorted(variables.items())]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a  b\tc", ["a", "b", "c"]),
        ("a'b c'd", ["ab cd"]),
        (r"\x41\101\u00e9\n\s", ["AAé\n "]),
        (r"\q \ud800 \U00110000", ["\\q", r"\ud800", r"\U00110000"]),
        ('"never closed', ["never closed"]),
        ("'' \"\"", ["", ""]),
        ("a\u2028b\xa0c", ["a\u2028b\xa0c"]),
        ("", []),
    ],
)
def test_hand_written_values_are_read_as_systemd_splits_them(text: str, expected: list[str]) -> None:
    assert quoting.words(text) == expected
