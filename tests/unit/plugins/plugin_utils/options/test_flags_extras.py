"""What plug-ins add: declared once in the inventory, then taken and checked like vLLM's own."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.extras import Extras, read_extras

EXTRAS = Extras(
    options={
        "my-level": {"type": "int", "choices": [1, 2]},
        "my-mode": {"choices": ["fast", "safe"]},
        "my-flag": {"type": "bool"},
        "my-names": {"type": "str", "list": True},
        "my-size": {"type": "size"},
        "my-config": {"type": "json"},
        "my-anything": {},
    },
    choices={"tool-call-parser": ("my_parser",), "dtype": ("fp6",)},
)
TAKEN: list[tuple[dict[str, Any], list[str]]] = [
    ({"my-level": 2}, ["--my-level", "2"]),
    ({"my_mode": "fast"}, ["--my-mode", "fast"]),
    ({"my-flag": True}, ["--my-flag"]),
    ({"my-flag": False}, ["--no-my-flag"]),
    ({"my-names": ["a", "b"]}, ["--my-names", "a", "b"]),
    ({"my-size": "32k"}, ["--my-size", "32k"]),
    ({"my-config": {"a": [1]}}, ["--my-config", '{"a":[1]}']),
    ({"my-config.a.b": 1}, ["--my-config", '{"a":{"b":1}}']),
    ({"my-anything": "x"}, ["--my-anything", "x"]),
    ({"my-anything": {"a": 1}}, ["--my-anything", '{"a":1}']),
    ({"tool-call-parser": "my_parser"}, ["--tool-call-parser", "my_parser"]),
    ({"tool-call-parser": "hermes"}, ["--tool-call-parser", "hermes"]),
    # A platform's plug-in adds to the parser's own closed sets.
    ({"dtype": "fp6"}, ["--dtype", "fp6"]),
]
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"my-level": 3}, "args.my-level: 3 is not a choice of vLLM 0.33.0. Known are: 1, 2."),
    ({"my-level": "x"}, "args.my-level: 'x' is not a whole number for vLLM 0.33.0. Write a whole number."),
    ({"my-mode": "fsat"}, "args.my-mode: 'fsat' is not a choice of vLLM 0.33.0. Did you mean \"fast\"."),
    ({"my-flag": "true"}, "args.my-flag: 'true' is not true or false for vLLM 0.33.0. Write true, without quotes."),
    ({"my-size": "32kb"}, "args.my-size: '32kb' is not a size for vLLM 0.33.0."),
    ({"my-anything": "\0"}, "args.my-anything: contains a NUL character."),
    ({"my-level": 1, "my_level": 2}, "args.my_level: is given twice under two spellings."),
    ({"my-lvel": 1}, "args.my-lvel: is not an option of vLLM 0.33.0."),
]  # fmt: skip


@pytest.mark.parametrize(("args", "words"), TAKEN)
def test_what_is_declared_is_taken(args: dict[str, Any], words: list[str], tell: Any) -> None:
    told = tell("0.33.0", args, extras=EXTRAS)
    assert told.problems == []
    assert told.words == words


@pytest.mark.parametrize(("args", "said"), REFUSED)
def test_what_is_declared_is_checked(args: dict[str, Any], said: str, tell: Any) -> None:
    (told,) = tell("0.33.0", args, extras=EXTRAS).problems
    assert told.startswith(said)


def test_a_declaration_gives_way_to_what_the_release_knows(tell: Any) -> None:
    extras = Extras(options={"seed": {"type": "str"}, "port": {}, "api-key": {}})
    assert tell("0.33.0", {"seed": "x"}, extras=extras).problems != []
    assert len(tell("0.33.0", {"port": 1, "api-key": "x"}, extras=extras).problems) == 2


DECLARED_WRONG: list[tuple[Any, Any, Any, str]] = [
    (["my-flag"], None, None, "vllm_extra_options: a list is not a dictionary. Write `my-option: {type: int}` pairs below it."),
    ({"my flag": {}}, None, None, "vllm_extra_options.my flag: is not the name of a long option. Write `my-option: {type: int}`."),
    ({7: {}}, None, None, "vllm_extra_options.7: is not the name of a long option. Write `my-option: {type: int}`."),
    ({"my-flag": "int"}, None, None, "vllm_extra_options.my-flag: 'int' is not a dictionary. Write `{type: int}`, or {} for any value."),
    ({"my-flag": {"tpye": "int"}}, None, None, 'vllm_extra_options.my-flag.tpye: is not a known key. Did you mean "type".'),
    ({"my-flag": {"type": "integer"}}, None, None, 'vllm_extra_options.my-flag.type: \'integer\' is not a type. Did you mean "int".'),
    ({"my-flag": {"choices": "a"}}, None, None, "vllm_extra_options.my-flag.choices: 'a' is not a list. Write a list of values."),
    ({"my-flag": {"list": "yes"}}, None, None, "vllm_extra_options.my-flag.list: 'yes' is not true or false. Write true or false."),
    (None, {"tool-call-parser": "mine"}, None, "vllm_extra_choices.tool-call-parser: 'mine' is not a list of names. Write a list: [my_parser]."),
    (None, "mine", None, "vllm_extra_choices: 'mine' is not a dictionary. Write `tool-call-parser: [my_parser]` pairs below it."),
    (None, None, "VLLM_X", "vllm_extra_env: 'VLLM_X' is not a list of names of variables. Write a list: [VLLM_MY_PLUGIN]."),
    (None, None, ["VLLM X"], "vllm_extra_env: a list is not a list of names of variables. Write a list: [VLLM_MY_PLUGIN]."),
]  # fmt: skip


@pytest.mark.parametrize(("options", "choices", "environment", "said"), DECLARED_WRONG)
def test_a_wrong_declaration_is_refused_by_its_key(options: Any, choices: Any, environment: Any, said: str) -> None:
    problems = Problems()
    read_extras(options, choices, environment, problems)
    assert [str(problem) for problem in problems.found] == [said]


def test_nothing_declared_is_nothing_added() -> None:
    problems = Problems()
    assert read_extras(None, None, None, problems) == Extras()
    assert read_extras({"my_flag": None}, {"dtype": ["a"]}, ["X"], problems) == Extras(
        {"my-flag": {}}, {"dtype": ("a",)}, ("X",)
    )
    assert problems.found == set()
