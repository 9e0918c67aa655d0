"""The option of modules whose action plugin renders what a host gets."""

from __future__ import annotations


class ModuleDocFragment:
    """`extends_documentation_fragment: baremetal.vllm.templates`."""

    DOCUMENTATION = r"""
options:
  templates:
    description: The directory on the control node that holds the templates. Read by the action plugin.
    type: path
"""
