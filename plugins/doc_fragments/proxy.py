"""Options of the modules that fetch something from elsewhere, as `module_utils.host.proxy.ARGUMENTS` has them."""

from __future__ import annotations


class ModuleDocFragment:
    """`extends_documentation_fragment: baremetal.vllm.proxy`."""

    DOCUMENTATION = r"""
options:
  proxy:
    description:
      - The proxy through which this module fetches, with its port, such as V(http://proxy.example.com:3128). Empty for none
        but that of the environment.
      - It may hold a user and a password. It comes on no command line and is not shown.
    type: str
    default: ""
  no_proxy:
    description: Hosts, domains and networks to be reached without it, beside the host itself.
    type: list
    elements: str
    default: []
"""
