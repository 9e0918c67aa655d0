"""Every role's README says what its argument specification says, in Markdown that shows it so."""

from __future__ import annotations

import pytest
from ansible_collections.baremetal.vllm.tools.role_readmes import ROLES, markdown, readme, readmes, users

PAGES = dict(readmes())


@pytest.mark.parametrize("role", sorted(PAGES))
def test_the_readme_is_what_the_specification_makes(role: str) -> None:
    assert (ROLES / role / "README.md").read_text() == PAGES[role], "run `make docs`"


@pytest.mark.parametrize(
    ("marked", "shown"),
    [
        ("C($HOME/x) or V(none)", "`$HOME/x` or `none`"),
        ("O(vllm_engine_source=index)", "`vllm_engine_source=index`"),
        (
            "M(baremetal.vllm.plan) and P(baremetal.vllm.wheelhouse#module)",
            "`baremetal.vllm.plan` and `baremetal.vllm.wheelhouse`",
        ),
        ("L(the manual, https://docs.vllm.ai)", "[the manual](https://docs.vllm.ai)"),
        ("B(never) I(both) U(https://docs.vllm.ai)", "**never** *both* <https://docs.vllm.ai>"),
        ("V(f(x\\)) escapes", "`f(x)` escapes"),
        ("NVIDIA (HGX B200) is no markup", "NVIDIA (HGX B200) is no markup"),
    ],
)
def test_ansibles_markup_becomes_markdown(marked: str, shown: str) -> None:
    assert markdown(marked) == shown


def test_a_table_keeps_its_columns_and_says_choices_keys_and_what_is_required() -> None:
    options = {
        "r_mode": {"type": "str", "choices": ["a|b", "c"], "default": "c", "description": ["One.", "Two."]},
        "r_host": {"type": "dict", "required": True, "description": "It.", "options": {"name": {}}},
        "r_names": {"type": "list", "elements": "str", "default": [], "description": "All."},
    }
    rows = [
        line
        for line in readme("r", {"short_description": "Do it", "options": options}, []).splitlines()
        if "`r_" in line
    ]
    assert rows == [
        "| `r_mode` | str | `c` | One. Two. One of `a\\|b`, `c`. |",
        "| `r_host` | dict | required | It. Keys: `name`. |",
        "| `r_names` | list of str | `[]` | All. |",
    ]


def test_further_entry_points_have_their_own_part() -> None:
    main = {"short_description": "Do it", "options": {}}
    undo = {"short_description": "Undo it", "options": {"r_host": {"required": True, "description": "It."}}}
    text = readme("r", main, [], {"undo": undo})
    assert (
        text.index("Do it.")
        < text.index("## `tasks_from: undo.yml`")
        < text.index("Undo it.")
        < text.index("| `r_host` |")
    )


def test_users_of_a_role_are_playbooks_and_other_roles() -> None:
    assert "playbooks/tasks/serve.yml" in users("vllm_engine")
    assert "roles/rollout/tasks/stage.yml" in users("vllm_engine")
    assert not [user for role in PAGES for user in users(role) if user.startswith(f"roles/{role}/")]
