"""Turns a `vllm serve` command into an entry of the inventory; see plugins/modules/import_command.py for its documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.refusal import told_once
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.command_line import Unread, read_commands
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.move import move_entry
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.report import imported, told
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.mending import mended_args


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True

    @told_once
    def run(self, tmp: str | None = None, task_vars: dict[str, object] | None = None) -> dict[str, object]:
        super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            argument_spec={
                "command": {"type": "str"},
                "file": {"type": "path"},
                "release": {"type": "str"},
                "to": {"type": "str"},
            },
            mutually_exclusive=[("command", "file")],
            required_one_of=[("command", "file")],
        )
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
        entries: list[dict[str, Any]] = []
        for entry, notes, release in found:
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
        result: dict[str, Any] = {"changed": False, "entries": entries}
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
