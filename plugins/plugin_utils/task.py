"""What Ansible hands to an action and takes from it: dictionaries whose keys are a module's documented options and results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# A task's arguments, also those of a module that it has run.
Arguments = dict[str, Any]
# A task's variables: those of its host, and `hostvars`, `groups` and their like.
Variables = Mapping[str, Any]
# What a task or a module returns.
Result = dict[str, Any]
# The same as somebody else's task has registered it, or a module on a host has answered.
Registered = Mapping[str, Any]
# What an argument may be, by its name.
Spec = Mapping[str, Any]
