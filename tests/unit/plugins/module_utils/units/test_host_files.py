"""Files on the host: whole, with their modes, and secrets that are recognised without being compared."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.units import host
from hypothesis import given
from hypothesis import strategies as st

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="files are given to root")
LINE = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f\x85\xa0"), max_size=30)


@AS_ROOT
def test_a_secret_is_never_readable_by_others_and_its_directory_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "api_key.env"
    file = host.secrets_file(str(path), {"VLLM_API_KEY": "k"})
    assert file.differs()
    file.write()
    assert not file.differs()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [p.name for p in path.parent.iterdir()] == ["api_key.env"]


@AS_ROOT
def test_the_identity_is_new_with_every_change_and_only_then(tmp_path: Path) -> None:
    path = str(tmp_path / "s" / "api_key.env")
    seen = []
    for secrets in ({"VLLM_API_KEY": "a"}, {"VLLM_API_KEY": "a"}, {"VLLM_API_KEY": "b"}, {}, {}):
        file = host.secrets_file(path, secrets)
        file.write()
        seen.append(host.secrets_identity(file.content))
    assert seen[0] == seen[1]
    assert seen[3] == seen[4]
    assert len(set(seen)) == 3


@given(st.dictionaries(st.sampled_from(["A", "VLLM_API_KEY", "B_2"]), LINE, min_size=1))
def test_every_secret_reads_back_as_itself(secrets: dict[str, str]) -> None:
    """Shell's double quotes are what systemd's environment files follow, but for `$`, which those leave alone."""
    text = host.secrets_file("/nonexistent/x", secrets).content
    lines = [line.partition("=") for line in text.splitlines() if not line.startswith("#")]
    read = {name: "".join(shlex.split(value)) for name, __, value in lines}
    assert {name: read[name] for name in secrets} == secrets
