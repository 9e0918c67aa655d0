"""Two units of one model: the words of the operator that made the difference, all of them and no other."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.units.causes import Cause, told
from ansible_collections.baremetal.vllm.plugins.module_utils.units.options import compare_commands
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitdiff import compare_rest, compare_units
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitfile import edited, read_unit
from hypothesis import given, settings
from hypothesis import strategies as st

HUB = "/var/lib/vllm/models/hub/models--Qwen--Qwen2.5-7B/"
PUSHED = "/var/lib/vllm/models/pushed/minilm/"
YARN = '{"rope_scaling":{"rope_type":"yarn","factor":%s},"x":[1]}'

# What was there, what is planned, and how it is told.
CASES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {}, ""),
    ({"args": {"max-model-len": "16k"}}, {"args": {"max-model-len": "32k"}}, "max-model-len 16k → 32k"),
    ({}, {"args": {"enable-lora": None}}, "+enable-lora"),
    ({"args": {"enable-lora": None}}, {}, "-enable-lora"),
    ({"args": {"enable-lora": None}}, {"args": {"no-enable-lora": None}}, "enable-lora true → false"),
    ({}, {"args": {"no-enable-prefix-caching": None}}, "+enable-prefix-caching false"),
    ({"args": {"seed": "1"}}, {}, "-seed 1"),
    ({"args": {"max_model_len": "16k"}}, {"args": {"max-model-len": "16k"}}, "the same options in another order or spelling"),
    (
        {"args": {"seed": "1", "dtype": "half"}},
        {"args": {"dtype": "half", "seed": "1"}},
        "the same options in another order or spelling",
    ),
    ({"args": {"hf-overrides": YARN % 2.0}}, {"args": {"hf-overrides": YARN % 4.0}}, "hf-overrides.rope_scaling.factor 2.0 → 4.0"),
    ({"args": {"hf-overrides": "{}"}}, {"args": {"hf-overrides": '{"a":1}'}}, "+hf-overrides.a 1"),
    ({"args": {"x": '["a"]'}}, {"args": {"x": '["b"]'}}, 'x ["a"] → ["b"]'),
    ({"args": {"x": ""}}, {"args": {"x": "1"}}, 'x "" → 1'),
    ({"release": "0.31.0"}, {"release": "0.32.0"}, "release 0.31.0 → 0.32.0"),
    ({"release": "0.31.0", "gpus": (0,)}, {"gpus": (0, 1)}, "release 0.31.0 → 0.32.0, gpus 0 → 0,1"),
    ({"gpus": ()}, {"gpus": (3,)}, "gpus none → 3"),
    ({"port": 8001}, {"port": 8002}, "port 8001 → 8002"),
    ({"kind": "chat"}, {"kind": "reasoning"}, "kind chat → reasoning"),
    ({"env": {"VLLM_X": "a"}}, {"env": {"VLLM_X": "b c"}}, "env VLLM_X a → b c"),
    ({"env": {"VLLM_X": "a"}}, {"env": {"VLLM_Y": "a"}}, "+env VLLM_Y a, -env VLLM_X a"),
    ({"weights": HUB + "a" * 40}, {"weights": HUB + "b" * 40}, "weights Qwen/Qwen2.5-7B@aaaaaaaaaaaa → Qwen/Qwen2.5-7B@bbbbbbbbbbbb"),
    ({"weights": PUSHED + "0" * 16}, {"weights": "/srv/m"}, "weights minilm@000000000000 → /srv/m"),
    ({"start_timeout": 60}, {}, "start_timeout 60 → 1800"),
    ({"args": {"shutdown-timeout": "9"}, "stop_timeout": 39}, {}, "-shutdown-timeout 9"),
    ({"stop_timeout": 31}, {}, "stop_timeout 31 → 30"),
    ({"after": ["vllm-other.service"]}, {}, ""),
    ({"args": {"max-model-len": "1", "seed": "1", "dtype": "x", "a": "1", "b": "1", "c": "1"}}, {},
     "-max-model-len 1, -seed 1, -dtype x, -a 1 and 2 more"),
    ({}, {"args": {"x": "y" * 100}}, f"+x {'y' * 19}…{'y' * 19}"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "expected"), CASES, ids=[case[2] or "nothing" for case in CASES])
def test_a_change_is_told_in_the_operators_words(
    unit: Any, before: dict[str, Any], after: dict[str, Any], expected: str
) -> None:
    assert told(compare_units(unit(**before).text, unit(**after).text)) == expected


COMMANDS = [
    ("--served-model-name m", "--served-model-name m n", "+served-model-name n"),
    ("--lora-modules a=/a b=/b", "--lora-modules a=/a c=/c", "+lora-modules c=/c, -lora-modules b=/b"),
    ("--lora-modules a=/a b=/b", "--lora-modules b=/b a=/a", "lora-modules a=/a b=/b → b=/b a=/a"),
    ("--seed 1 --seed 2", "--seed 2", "the same options in another order or spelling"),
    ("--seed=1", "--seed 1", "the same options in another order or spelling"),
    ("--middleware a --middleware b", "--middleware a --middleware c", "+middleware c, -middleware b"),
    ("-tp 2", "-tp 4", "-tp 2 → 4"),
    ("-O.level=3", "-O.level=2", "-O.level 3 → 2"),
    ("--num -1", "--num=-2", "num -1 → -2"),
    ("--api-key abc", "--api-key def", "api-key changed"),
    ("--api-key abc", "", "api-key changed"),
    ("--x hf_aaaaaaaaaaaaaaaaaaaa", "--x y", "x changed"),
    ('--kv-transfer-config {"password":"a"}', '--kv-transfer-config {"password":"b"}', "kv-transfer-config.password changed"),
    ("--long-prefill-token-threshold 1", "--long-prefill-token-threshold 2", "long-prefill-token-threshold 1 → 2"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "expected"), COMMANDS)
def test_commands_written_by_hand_are_compared_as_vllm_reads_them(before: str, after: str, expected: str) -> None:
    start = ["/opt/vllm/0.32.0/bin/vllm", "serve", "/srv/m"]
    assert told(compare_commands(start + before.split(), start + after.split())) == expected


def test_a_setting_of_the_sandbox_is_named_and_a_secret_looking_variable_is_not_shown(unit: Any) -> None:
    text = unit().text
    hand = text.replace("ProtectHome=yes", 'ProtectHome=no\nEnvironment="HF_TOKEN=abc"\nMemoryMax=1G')
    assert edited(hand)
    assert not edited(text)
    causes = compare_units(hand, text)
    assert told(causes) == "env HF_TOKEN changed, ProtectHome no → yes, -MemoryMax 1G"
    assert "abc" not in str([cause.lines() for cause in causes])


def test_the_details_are_a_diff_in_the_words_of_an_inventory(unit: Any) -> None:
    before = unit(args={"max-model-len": "16k", "x": "y" * 100}).text
    causes = compare_units(before, unit(args={"max-model-len": "32k", "enable-lora": None}).text)
    assert [line for cause in causes for line in cause.lines()] == [
        "- max-model-len: 16k", "+ max-model-len: 32k", "+ enable-lora: true", f"- x: {'y' * 100}",
    ]  # fmt: skip


def test_control_characters_of_a_value_do_not_reach_the_terminal() -> None:
    cause = Cause("option", "x", "a\nb", "\x1b[31mred\u2028")
    assert (str(cause), cause.lines()) == ("x a b → \\x1b[31mred", ["- x: a\\nb", "+ x: \\x1b[31mred\\u2028"])


def test_what_restarts_nobody_is_named_too(unit: Any) -> None:
    assert compare_rest(unit().text, unit(after=["vllm-other.service"]).text) == ["After"]
    assert compare_rest(unit().text, "# another comment\n" + unit().text) == []


OPTION = st.sampled_from(["max-model-len", "seed", "hf-overrides", "x", "enable-lora", "tool-call-parser", "l.m"])
VALUE = st.none() | st.sampled_from(
    ["1", "32k", '{"a":{"b":1}}', '{"a":2}', "a b", "", '"', "é\u2028x", "$x %h", "[1]"]
)
ARGS = st.dictionaries(OPTION, VALUE)


@settings(deadline=None)
@given(args=ARGS, env=st.dictionaries(st.sampled_from(["A", "B"]), st.text("ab \"\\'%$é\n", max_size=9)))
def test_a_unit_compared_with_itself_is_unchanged_and_reads_back(
    unit: Any, service: Any, args: dict[str, Any], env: dict[str, str]
) -> None:
    text = unit(args, env).text
    assert compare_units(text, text) == []
    assert not edited(text)
    wanted = service(args, env)
    assert (read_unit(text).command, read_unit(text).environment) == (wanted["argv"], wanted["environment"])


@settings(deadline=None)
@given(args=ARGS, option=OPTION, value=VALUE)
def test_one_changed_option_is_the_one_that_is_named(unit: Any, args: dict[str, Any], option: str, value: Any) -> None:
    before = {k: v for k, v in args.items() if k != option}
    cut = {**before, option: value}
    for old, new in ((before, cut), (cut, before)):
        causes = compare_units(unit(old).text, unit(new).text)
        assert {(c.what, c.name) for c in causes} == {("option", option)}
    if option in args and args[option] != value:
        causes = compare_units(unit({**before, option: args[option]}).text, unit(cut).text)
        assert causes
        assert all(c.name == option or c.name.startswith(f"{option}.") for c in causes)


LINES = st.lists(
    st.text(max_size=20)
    | st.sampled_from(["[Service]", "[Unit]", "ExecStart=", "Environment=", 'ExecStart=/x "a\\', "Environment=\"A=\\U00ffffff\""])
    | st.builds("ExecStart=/opt/vllm/1/bin/vllm serve {}".format, st.text("-ab =\\\"'{}[]%$.\n", max_size=30)),
    max_size=12,
).map("\n".join)  # fmt: skip


@given(before=LINES, after=LINES)
def test_any_two_texts_are_compared_and_can_be_told_and_kept(before: str, after: str) -> None:
    causes = compare_units(before, after)
    (told(causes) + "".join(line for cause in causes for line in cause.lines())).encode()
    compare_rest(before, after)
    assert compare_units(before, before) == []


@given(st.lists(st.text(max_size=12)), st.lists(st.text(max_size=12)))
def test_any_two_command_lines_are_compared_and_differ_only_if_they_do(before: list[str], after: list[str]) -> None:
    assert bool(compare_commands(before, after)) == (before != after)


@pytest.mark.parametrize("value", ["[" * 100_000, '{"a":' * 50_000, '{"\\ud800": "\\ud800"}', "9" * 10_000])
def test_json_that_is_none_or_too_deep_is_text(value: str) -> None:
    start = ["/x/vllm", "serve", "/m", "--hf-overrides"]
    causes = compare_commands([*start, '{"b": 1}'], [*start, value])
    assert causes
    told(causes).encode()
