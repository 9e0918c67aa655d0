"""Scripts that bash itself runs: what it hands to `vllm` is what the walk through the script says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.run import commands
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.values import Word

# Each word of a call, and the exported X and Y, as bash has them.
TELLS = """#!/bin/bash
{ printf 'call\\0'; for word in "$@"; do printf '<%s\\0' "$word"; done
  [ -z "${X+x}" ] || printf 'X=%s\\0' "$X"; [ -z "${Y+x}" ] || printf 'Y=%s\\0' "$Y"; } >> "$TOLD"
"""

SCRIPTS = [
    # Assignments, in their order.
    'A=1; A=2; vllm "$A"; A=3',
    'A="x y"; vllm $A "$A" pre$A',
    'A=" x "; vllm $A- "$A"',
    "A=1 B=$A; vllm $A$B",
    "A=1; A+=2; A+=' 3'; vllm $A",
    'A=one; A_x=; vllm "${A}two" "$A-two" ${A}_x "$A_x"',
    "X=1; vllm a; export X; vllm b; export -n X; vllm c; unset X; vllm d",
    'export X=1 Y="2 3"; vllm a; X=2 vllm b; vllm $X',
    "set -a; X=1; set +a; Y=2; vllm a",
    "set -o allexport; Y=1; vllm a",
    "declare -x X=5; readonly Y=6; vllm $Y",
    "X=0; X=1 vllm $X",
    # Defaults.
    'unset A; vllm ${A:-one} ${A-two} "${A:-three four}" ${A:-five six}',
    "A=; vllm ${A:-one} ${A-two} x${A:+three}x x${A+four}x",
    'A=v; vllm ${A:-one} "${A:+--name $A}" ${A:+--name $A} ${A:+"--name $A"}',
    'unset A; : "${A:=7}"; vllm $A ${B:=8} $B',
    'unset A B; vllm ${A:-${B:-inner}} ${A:-"a b"}',
    'unset A; A="${A:-x}"; A="${A:-y}"; vllm $A',
    'A=\'{"a": 1}\'; vllm "$A" "${A:-{}}"',
    # Quotes.
    r"""vllm 'a b' "c d" e\ f 'g'"h"i $'j\tk\'l' "m\"n" "o\$p" 'q\r' "s\t" """,
    'vllm "" \'\' a"" "a$(:)b"',
    'vllm \'{"x": "$y"}\' "{\\"a\\": [1, 2]}"',
    "A=5; vllm '{\"n\": '\"$A\"'}' '{\"n\": '$A'}'",
    "vllm a#b '#c' # d",
    "vllm a\\\nb \\\n  c",
    "vllm --a=b --c='d e' --f=\"g h\" {a,b}c {1..3} x{1,2}y",
    # Arrays.
    'A=(a "b c" d); vllm "${A[@]}" ${A[@]} "${A[*]}" ${#A[@]} "${A[1]}" $A',
    'A=(); vllm x "${A[@]}" y; A+=(1 2); A+=("3 4"); vllm "${A[@]}"',
    'A=(\n --a 1 # comment\n --b "2 3"\n); vllm serve m "${A[@]}"',
    'A=(a b c); A[1]=z; vllm "${A[@]:1}" "${A[@]}"',
    "A=($(seq 1 3)); vllm ${A[2]}",
    # Sums.
    "A=3; vllm $((A + 2)) $(($A * 2 - 1)) $((A > 2 ? 10 : 20)) $((2**5 % 7)) $((0x10)) $((A << 2))",
    "A=1; ((A++)); ((A += 5)); let A=A*2; vllm $A; : $((A--)); vllm $A",
    "vllm $(( (1 + 2) * 3 )) $[1+1] $((-7 / 2)) $((-7 % 3))",
    # Substrings and patterns.
    "A=/srv/models/Qwen3-8B.gguf; vllm ${A##*/} ${A%/*} ${A%.gguf} ${A#/srv/} ${#A} ${A%%/*}- ${A/models/weights} ${A//r/R}",
    "A=Abc; vllm ${A^^} ${A,,} ${A^} ${A:1} ${A:1:1} ${A: -2}",
    "A=NAME; NAME=value; vllm ${!A}",
    "vllm $(basename /a/b.c) $(basename /a/b.c .c) $(dirname /a/b) $(echo one two) \"$(echo one two)\" $(printf '%s-%s' a b)",
    'vllm `echo a` "`echo b c`"',
    'A=$(cat <<\'END\'\n{"a": "$b"}\nEND\n); vllm "$A"',
    'B=1; A=$(cat <<END\n{"a": "$B"}\nEND\n); vllm "$A"',
    # Conditions that the script decides.
    'A=fp8; if [ "$A" = fp8 ]; then B=1; else B=2; fi; vllm $B',
    "A=fp8; if [[ $A == fp* && -n $A ]]; then B=1; elif [[ $A ]]; then B=2; fi; vllm $B",
    'A=4; if [ $A -gt 3 ] && [ "$A" -le 4 ]; then B=1; fi; vllm $B',
    "A=4; if (( A > 3 )); then B=1; else B=2; fi; vllm $B",
    'A=; [ -z "$A" ] && A=set; [ -n "$A" ] || A=never; vllm $A',
    'A=x; if ! [ "$A" = y ]; then vllm not; fi; if [ "$A" != y -a -n "$A" ]; then vllm and; fi',
    "A=v1.2; if [[ $A =~ ^v[0-9]+\\.([0-9]+)$ ]]; then vllm m; else vllm n; fi",
    'A=b; case "$A" in a|b) vllm ab;; *) vllm other;; esac',
    "A=large-x; case $A in small*) N=1 ;; large*) N=8 ;; esac; vllm $N",
    "if true; then vllm a; fi; if false; then vllm b; fi; true && vllm c; false || vllm d; false && vllm e",
    'A="a b"; [ "$A" == "a b" ] && vllm y; [[ $A == "a b" ]] && vllm z',
    # Loops.
    "for i in 0 1 2; do vllm --port $((8000 + i)) $i; done; vllm $i",
    'for m in "a b" c; do vllm "$m" $m; done',
    "for ((i = 0; i < 3; i++)); do vllm $i; done",
    "i=0; while [ $i -lt 3 ]; do vllm $i; i=$((i + 1)); done",
    "i=3; until (( i == 0 )); do vllm $i; ((i--)); done",
    "for i in {1..2}; do for j in a b; do vllm $i$j; done; done",
    "for i in $(seq 2 4); do vllm $i; done",
    'A=(x "y z"); for a in "${A[@]}"; do vllm "$a"; done; for i in "${!A[@]}"; do :; done',
    # Functions and arguments.
    'f() { vllm "$1" "${2:-def}" $# "$@"; }; f a; f a "b c"',
    "f() { local A=inner; vllm $A; }; A=outer; f; vllm $A",
    "f() { A=changed; }; A=1; f; vllm $A",
    'function f { shift; vllm "$@"; }; f a b c',
    "f() { return 1; vllm never; }; f; vllm after",
    'set -- a "b c"; vllm "$2" "$@"; shift; vllm $1',
    'f() { vllm $1; }; g() { f "$1-g"; }; g x',
    "f() { exit 0; }; vllm a; f; vllm never",
    # Subshells, groups, pipelines, background.
    "A=1; (A=2; vllm $A); vllm $A; { A=3; }; vllm $A",
    "vllm a | cat; vllm b && vllm c; vllm d & wait",
    "A=1; A=2 | cat; vllm $A",
    "vllm a > /dev/null 2>&1 < /dev/null; vllm b 2>/dev/null >&2",
    "exec 3>&1; vllm a; exec vllm b; vllm never",
    "vllm a; exit; vllm never",
    "eval 'vllm x'; A=y; eval \"vllm $A\"; eval vllm '$A'",
    "read -r -d '' A <<'END'\n{\"a\": [1,\n 2]}\nEND\nvllm \"$A\"",
    'read -r a b <<< "x y z"; vllm $a "$b"',
    'A=(0 2 3); X=$(IFS=,; echo "${A[*]}"); vllm $X ${#A[@]}; export X; vllm "${A[*]}"',
    'for e in "a:1" "b:2"; do IFS=: read -r m p <<< "$e"; vllm "$m" --port 800$p; done',
    'declare -A P=([a]=8030 [b]="80 31"); P[c]=3; for m in a b c; do vllm $m "${P[$m]}"; done; vllm ${#P[@]} "${P[b]}"',
    'for e in "a|x y" "b|z"; do vllm "${e%%|*}" ${e##*|}; done',
    "while IFS=, read -r m p; do vllm $m --port $p; done <<END\na/b,8001\nc/d,8002\nEND\nvllm z",
    'A=1; while read -r m; do vllm $m$A; done <<< "$A"',
    # Here-documents are text.
    "cat > /dev/null <<END\nvllm not\nA=2\nEND\nA=${A:-1}; vllm $A",
    "cat > /dev/null <<-'END'\n\tvllm not\n\tEND\nvllm a",
    "cat <<A >/dev/null; vllm x\nvllm no\nA\nvllm y",
    "cat <<< 'vllm no' > /dev/null; vllm a",
    # Comments, odd layout.
    "# vllm no\nvllm a # b\n  # c\n\n\nvllm b;vllm c",
    "if [ 1 = 1 ]\nthen\n  vllm a\nfi",
    "case x in\n  (x)\n    vllm a\n    ;;\nesac",
    "vllm \"a\nb\" 'c\nd'",
    "time vllm a; ! vllm b",
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_bash_hands_over_the_same_words(script: str, tmp_path: Path) -> None:
    told = tmp_path / "told"
    told.write_text("")
    (tmp_path / "vllm").write_text(TELLS)
    (tmp_path / "vllm").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TOLD": str(told)}
    subprocess.run(["bash", "-c", script], env=environment, capture_output=True, timeout=20, check=False)
    calls: list[tuple[list[str], dict[str, str]]] = []
    for item in told.read_text().split("\0")[:-1]:
        if item == "call":
            calls.append(([], {}))
        elif item.startswith("<"):
            calls[-1][0].append(item[1:])
        else:
            calls[-1][1][item[0]] = item[2:]
    assert calls
    read = [ran for ran in commands(script).found if ran.words[0].text == "vllm"]
    assert [[word.text for word in ran.words[1:]] for ran in read] == [words for words, __ in calls]
    assert [{name: word.text for name, word in ran.env.items() if name in "XY"} for ran in read] == [
        env for __, env in calls
    ]


# Nothing of these is known: a script, and what is told of the words behind `vllm`.
UNKNOWN: list[tuple[str, list[str], str]] = [
    ("vllm $A", ["$A"], ""),
    ("vllm $(hostname)", ["$(hostname)"], ""),
    ('if grep -q x /etc/y; then A=1; else A=2; fi\nvllm "$A"', ["$A"], "1 if grep -q x /etc/y (line 1); 2 unless"),
    ('A=1\ncase "$1" in\n day) A=2;; night) A=3;;\nesac\nvllm $A', ["$A"], '2 if "$1" is day (line 2)'),
    ("A=1; if [ -f /etc/x ]; then A=2; fi; vllm $A", ["$A"], "1 unless [ -f /etc/x ]"),
    ("[ -f /etc/x ] && A=2 || A=3; vllm $A", ["$A"], "2 if [ -f /etc/x ] (line 1); 3 unless [ -f /etc/x ]"),
    ("A=$(hostname) || A=x; vllm $A", ["$A"], "x unless"),
    ("while read -r m; do vllm $m; done < list", ["$m"], "read in line 1"),
    ("for m in *.gguf; do vllm $m; done", ["$m"], "each of *.gguf in turn"),
    ("vllm $((A + 1))", ["$((A + 1))"], ""),
]


@pytest.mark.parametrize(("script", "words", "why"), UNKNOWN)
def test_what_only_the_running_shell_knows_is_told_with_what_it_can_be(script: str, words: list[str], why: str) -> None:
    ran = next(ran for ran in commands(script).found if ran.words[0].text == "vllm")
    assert [word.text for word in ran.words[1:]] == words
    (gap,) = ran.words[1].gaps
    assert not gap.taken
    assert why in gap.why


# What the script says of itself without arguments is taken, and told.
TAKEN: list[tuple[str, list[str], str]] = [
    ("A=${1:-a}; vllm $A", ["a"], "${1:-a}"),
    ('A="${A:-a}"\n[ "$A" = a ] && B=(--b) || B=(--c)\nvllm "${B[@]}"', ["--b"], "${B[@]}"),
    ('B=(--a)\nif [ -n "$Q" ]; then B+=(--q "$Q"); fi\nvllm "${B[@]}"', ["--a"], "${B[@]}"),
    ("A=1\nwhile [ $# -gt 0 ]; do case $1 in --a) A=$2; shift 2;; esac; done\nvllm $A", ["1"], "$A"),
    ('[ -z "$A" ] && A=x; vllm "$A"', ["x"], "$A"),
    ("vllm ${A:+--a $A} b", ["b"], "${A:+--a $A}"),
]


@pytest.mark.parametrize(("script", "words", "written"), TAKEN)
def test_a_default_is_taken_and_told(script: str, words: list[str], written: str) -> None:
    (ran,) = (ran for ran in commands(script).found if ran.words[0].text == "vllm")
    assert [word.text for word in ran.words[1:]] == words
    told: list[Word] = list(ran.words)
    gaps = [gap for word in told for gap in word.gaps] + list(ran.further)
    assert written in [gap.written for gap in gaps]
    assert all(gap.taken for gap in gaps)


def test_a_check_that_ends_the_script_is_no_condition_of_the_start() -> None:
    (ran,) = (
        ran
        for ran in commands('[ $# -lt 1 ] && { echo usage; exit 1; }\nif [ -z "$1" ]; then exit 2; fi\nvllm "$1"').found
        if ran.words[0].text == "vllm"
    )
    assert (ran.conditions, ran.words[1].text) == ((), "$1")
