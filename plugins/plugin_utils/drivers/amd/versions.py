"""Releases out of the versions of AMD's packages.

rocm-core 7.2.3.70203-93~24.04, amd-smi-lib 25.5.1.60403-128.el9: the release is the number of five or six digits before the dash.
amdgpu-dkms 1:6.14.14.30100200-2226257.24.04, 1:6.12.12.60404-2202139.24.04: eight digits of the driver's release, or five up to
6.4; RPMs (6.14.14-2226257.el10) do not tell.
"""

from __future__ import annotations

import re

_ROCM = re.compile(r"\.(\d{5,6})(?:-|~|$)")
_DRIVER = re.compile(r"\.(\d{8})(?:-|$)")


def rocm(version: str) -> str:
    """
    >>> rocm("25.5.1.60403-128~24.04")
    '6.4.3'
    """
    found = _ROCM.search(version)
    if found is None:
        return ""
    number = int(found[1])
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def driver(version: str) -> str:
    """
    >>> driver("1:6.14.14.30100200-2226257.24.04")
    '30.10.2'
    """
    found = _DRIVER.search(version)
    if found is None:
        return rocm(version)
    digits = found[1]
    return plain(".".join(str(int(digits[at : at + 2])) for at in (0, 2, 4)))


def plain(release: str) -> str:
    """AMD writes 30.10 for 30.10.0.

    >>> plain("30.10.0")
    '30.10'
    """
    return release[:-2] if release.count(".") == 2 and release.endswith(".0") else release
