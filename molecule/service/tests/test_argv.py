"""What a unit file says is what the process receives: real systemd, arguments as the kernel shows them."""

from __future__ import annotations

import random
from typing import Any

import pytest
from service_lab import NAME, playbook
from testlab import STANDIN_RELEASE, argv, host, install_standin, show

NASTY = [
    "",
    " ",
    ";",
    "#",
    "'",
    '"',
    "\\",
    "%",
    "%%",
    "%h",
    "$",
    "$$",
    "$HOME",
    "${HOME}",
    "a b",
    "\ttab\nline\rreturn",
    "line \\\ncontinued",
    "é ü 漢字 😀 \u2028 \u0085 \ufeff",
    "\x01\x07\x1b[31m\x7f",
    '{"a": "b c", "d": [1, 2.5, null]}',
    "{% for m in messages %}{{ m }}{% endfor %}",
    "@-:!+prefix",
    "%n\\x41\\101\\u00e9",
    "x" * 5000,
]


def words() -> list[str]:
    """The nasty ones and three hundred random ones; the seed is fixed so that a failure can be seen again."""
    dice = random.Random(20)
    alphabet = "ab \\\"'%$;#{}[]()<>|&*?~`!=:,.\n\t\r\x01\x1f\x7fé漢😀"
    return NASTY + ["".join(dice.choices(alphabet, k=dice.randint(1, 30))) for __ in range(300)]


@pytest.mark.parametrize("name", [NAME])
def test_every_word_reaches_the_process_as_written(name: str) -> None:
    install_standin(name)
    given = words()
    # Not through `-e`, where Ansible would read `{{` as its own: !unsafe text, as a quoted inventory file has it.
    args: dict[str, Any] = {f"word-{i}": {"__ansible_unsafe": word} for i, word in enumerate(given)}
    env = {"NASTY": {"__ansible_unsafe": "a b \"'\\ %h $HOME ${HOME} é\n\ttab"}}
    model = {"model": "/srv/stand-in", "kind": "chat", "hosts": name, "args": args, "env": env}
    run = playbook("site", "--limit", name, vllm_version=STANDIN_RELEASE, vllm_models={"argv": model})
    assert run.rc == 0, run.text
    target = host(name)
    pid = show(target, "vllm-argv.service", "MainPID")["MainPID"]
    received = argv(target, pid)
    assert received[received.index("--word-0") :] == expected(given)
    environ = target.check_output("tr '\\0' '\\001' < /proc/%s/environ", pid)
    assert "\x01NASTY=a b \"'\\ %h $HOME ${HOME} é\n\ttab\x01" in environ


def expected(given: list[str]) -> list[str]:
    received = []
    for i, word in enumerate(given):
        received += [f"--word-{i}={word}"] if word.startswith("-") else [f"--word-{i}", word]
    return received
