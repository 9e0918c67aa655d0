"""Turns a `vllm serve` command into an entry of the menu, for baremetal.vllm.migrate, which documents it."""

from __future__ import annotations

from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import Step
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.command_line import Unread, read_commands
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.move import move_entry
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.report import imported, told
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.mending import mended_args
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result, Spec, Variables

_ONE = [("command", "file")]
SPEC: Spec = {
    "command": {"type": "str"},
    "file": {"type": "path"},
    "release": {"type": "str"},
    "to": {"type": "str"},
}


def run(action: Action, given: Arguments, variables: Variables) -> Result:
    """The entry that a start command becomes, moved to a release where one is named.

    Raises AnsibleActionFail: where the command cannot be read.
    """
    given = plain(given)
    for role in ("release", "to"):
        if given[role] and given[role] not in load.releases():
            known = ", ".join(load.releases())
            raise AnsibleActionFail(f"{role}: {given[role]} is not a release in the catalogue. Known are: {known}.")
    try:
        text = given["command"] or Path(given["file"]).read_text(encoding="utf-8")
        found = read_commands(text, given["release"], given["file"])
    except (OSError, UnicodeDecodeError) as error:
        raise AnsibleActionFail(f"file: {given['file']} cannot be read: {error}") from error
    except Unread as error:
        raise AnsibleActionFail(f"{given['file'] or 'command'}: {error}.") from error
    entries: list[Result] = []
    for read, notes, release in found:
        entry: Result = dict(read)
        spoken = load.release(release) if release else None
        if spoken is not None and "args" in entry:
            # Typed before the rules of a move are asked: `--x.y=True` is true.
            entry = {**entry, "args": mended_args(entry["args"], spoken)}
        if given["to"]:
            moved = move_entry(entry.get("args", {}), entry.get("env", {}), given["to"], release or None)
            entry = {key: value for key, value in entry.items() if key not in ("args", "env")}
            entry.update({key: part for key, part in (("args", moved.args), ("env", moved.env)) if part})
            notes = [*notes, *told(moved)]
        entries.append({"entry": entry, "notes": notes})
    nameless = [found["entry"]["name"] for found in entries if "model" not in found["entry"]]
    result: Result = {"changed": False, "entries": entries}
    if nameless:
        result = {
            "failed": True,
            "msg": f"Not whole: no model is named in the entry {', '.join(nameless)}. Write its `model`.",
        }
    return tell(
        result,
        lambda screen: "\n".join(imported(made["entry"], made["notes"], screen) for made in entries),
        "import",
        lambda: {"entries": entries},
    )


STEP = Step(SPEC, run, "import_command", {"mutually_exclusive": _ONE, "required_one_of": _ONE})
