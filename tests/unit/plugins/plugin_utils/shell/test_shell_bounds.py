"""A few lines of a script can ask for more than any machine has: that is counted, bounded and told, and never done."""

from __future__ import annotations

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.command_line import Unread, read_commands
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell import words
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.bounds import CHARACTERS, COMMAND, Work
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.run import commands
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.state import ShellState

# A script, and why a word of its `vllm` is not known.
UNKNOWN: list[tuple[str, str]] = [
    ("for i in {1..99999999}; do vllm $i; done", "each of {1..99999999} in turn"),
    ("for i in {1..100}; do vllm $i; done", "one of 100: each of {1..100} in turn"),
    ("for i in $(seq 99999999); do vllm $i; done", "each of $(seq 99999999) in turn"),
    ("vllm {1..200}{1..200}{1..200}", "one of more than 256 words"),
    ("vllm " + "{a,b}" * 40, "one of more than 256 words"),
    ("X=ab; " + "X=$X$X; " * 40 + "vllm $X", "longer than"),
    ("X=; " + 'X="$X$X"; ' * 40 + "vllm $X", "longer than"),
    ("X=ab; " + "X+=$X; " * 40 + "vllm $X", "longer than"),
    ("A=(a b); " + 'A=("${A[@]}" "${A[@]}"); ' * 40 + 'vllm "${A[@]}"', "longer than"),
    ("set -- a b; " + 'set -- "$@" "$@"; ' * 40 + 'vllm "$@"', "longer than"),
    ("A=B; B=A; vllm $((A))", ""),
    ("vllm $((" + "(" * 1500 + "1" + ")" * 1500 + "))", ""),
    ("X=aaaa; " + "X=${X//a/$X}; " * 9 + "vllm $X", ""),
]


@pytest.mark.parametrize(("script", "why"), UNKNOWN)
def test_what_has_no_bound_is_unknown_and_told(script: str, why: str) -> None:
    state = ShellState()
    ran = [one for one in commands(script, state).found if one.words[0].text == "vllm"]
    assert len(ran) == 1
    gaps = [gap for word in ran[0].words for gap in word.gaps] + list(ran[0].further)
    assert any(why in gap.why for gap in gaps)
    assert CHARACTERS - state.work.left < CHARACTERS / 5


KNOWN: list[tuple[str, list[str]]] = [
    ("vllm {1..3}{a,b}x {03..1}", ["1ax", "1bx", "2ax", "2bx", "3ax", "3bx", "03", "02", "01"]),
    ("vllm {1..99999999999999999999}", ["{1..99999999999999999999}"]),
    ("X=9; " + "X=$((X * X)); " * 40 + "vllm $X", ["2725214336233504769"]),
    ("X=9; " + "X=$((X ** 64)); " * 3 + "vllm $((X % 7))", ["-1"]),
    ("A=(1 2); shift ²; vllm ${A[@]:" + "9" * 5000 + "}", ["1", "2"]),
]


@pytest.mark.parametrize(("script", "expected"), KNOWN)
def test_what_bash_bounds_itself_is_as_bash_has_it(script: str, expected: list[str]) -> None:
    (ran,) = commands(script).found
    assert [word.text for word in ran.words[1:]] == expected


# Loops in loops, calls in calls, sums of sums, texts that are run.
MUCH = [
    "".join(f"for i{n} in {{1..64}}; do " for n in range(6)) + "X=1; " + "done; " * 6,
    "f() { f; f; f; X=1; }; f; ",
    "A0=1; " + "".join(f"A{n}='A{n - 1}+A{n - 1}'; " for n in range(1, 31)) + "echo $((A30)); ",
    "for i in {1..60}; do for j in {1..60}; do bash -c 'for k in {1..60}; do for l in {1..60}; do Y=1; done; done'; done; done; ",
]


@pytest.mark.parametrize(("script", "share"), list(zip(MUCH, (1, 0.1, 0.1, 0.02))))
def test_a_script_that_does_too_much_is_told_with_the_line_up_to_which_it_is_read(
    monkeypatch: pytest.MonkeyPatch, script: str, share: float
) -> None:
    # The whole bound is seconds of work: one script comes to it, the others to a part.
    monkeypatch.setattr(Work.__init__, "__defaults__", (int(CHARACTERS * share),))
    (found,) = read_commands(f"vllm serve Org/A\n{script}")
    assert any("Line 2: up to here the script does more than is followed" in note for note in found.notes)
    with pytest.raises(Unread, match="line 1: up to here the script does more than is followed, and starts no vLLM"):
        read_commands(script)


@pytest.mark.parametrize("text", ["a && b || c && d || e", "a && b || c && d || e && f || g"])
def test_each_command_of_a_list_is_come_by_once(text: str) -> None:
    assert [ran.words[0].text for ran in commands(text).found] == [one for one in text.split() if one.isalpha()]


def test_brackets_are_followed_once_and_not_twice_on_each_level(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = words.Reader.closed
    calls = 0

    def counted(self: words.Reader, at: int, end: str, begin: str) -> int:
        nonlocal calls
        calls += 1
        return closed(self, at, end, begin)

    monkeypatch.setattr(words.Reader, "closed", counted)
    commands("echo " + "$(( " * 16 + "x" + " ) )" * 16)
    commands("echo " + '"${A[@]-' * 16 + "x" + '}"' * 16)
    assert calls < 2000


NESTED: list[tuple[str, str]] = [
    ("\n{ " * 1500, "line 66: commands are nested more than 64 levels deep"),
    ("(" * 1500, "line 1: commands are nested"),
    ("f() " * 1500 + "{ x; }", "line 1: commands are nested"),
    ("\n" + "$(" * 1500, "line 2: brackets are nested more than 64 levels deep"),
    ("vllm serve " + "${A:-" * 1500 + "}" * 1500, "line 1: brackets are nested"),
    ("x\n[ " + "! " * 1500 + "x ]", "line 2: its commands lead to others deeper than can be followed"),
    ('export X=\'bash -c "$X"; bash -c "$X"\'\nbash -c "$X"', "line 2: its commands lead to others"),
    ("[" * 1500, "Nothing here starts vLLM"),
    ("services: {a: " + "[" * 1500, "it looks like a compose file"),
]


@pytest.mark.parametrize(("text", "said"), NESTED)
def test_what_is_nested_without_end_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(Unread) as error:
        read_commands(text)
    assert said in str(error.value)


def test_what_is_nested_as_people_nest_is_read() -> None:
    text = "if [ $A ]; then " * 30 + "vllm serve " + "$(echo " * 20 + "Org/A" + ")" * 20 + "; fi" * 30
    (found,) = read_commands(text)
    assert found.entry["model"] == "Org/A"


LAUGHS = "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}' if n else 'a'] * 9)}]\n" for n in range(10))
SERVICE = "services: {a: {image: 'vllm/vllm-openai:v0.11.0', command: %s}}\n"
ALIASES: list[tuple[str, str]] = [
    (LAUGHS + SERVICE % "*x9", "line 6: with its aliases unfolded it has more than 100000 items"),
    ("x: &x {y: *x}\n" + SERVICE % "[Org/A]", "line 1: with its aliases unfolded"),
    ("a0: &a0 {k: v}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40)) + SERVICE % "[Org/A]", "with its aliases unfolded"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), ALIASES)
def test_aliases_that_unfold_without_end_are_refused(text: str, said: str) -> None:
    with pytest.raises(Unread) as error:
        read_commands(text)
    assert said in str(error.value)


def test_aliases_that_people_write_are_read() -> None:
    (found,) = read_commands("x: &x {seed: &s '1'}\n" + SERVICE % "[Org/A, --seed, *s]")
    assert found.entry["args"] == {"seed": 1}


def test_the_bound_is_one_of_commands_too() -> None:
    state = ShellState()
    commands("X=1\n" * 100, state)
    assert CHARACTERS - state.work.left == 100 * (COMMAND + len("1") + 8)
