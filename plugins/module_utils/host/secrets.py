"""The secret environment of the engines as text. Who compares two of them needs neither: an identity and a digest tell."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

IDENTITY = "BAREMETAL_VLLM_SECRETS"


def environment_secrets(api_key: str | None, secret_env: Mapping[str, object] | None) -> dict[str, str]:
    """The secret environment of every engine, as text."""
    secrets = {name: str(value) for name, value in (secret_env or {}).items()}
    return {**secrets, "VLLM_API_KEY": str(api_key)} if api_key else secrets


def secret_lines(secrets: Mapping[str, str]) -> str:
    """`NAME="value"` lines as systemd reads them (systemd.exec(5), EnvironmentFile=), in name order."""
    escaped = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in sorted(secrets.items())}
    return "".join(f'{name}="{value}"\n' for name, value in escaped.items())


def secrets_digest(lines: str) -> str:
    """SHA-256 of the lines: lets a host say whether its file holds the planned secrets without being sent them."""
    return hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()


def secrets_identity(text: str) -> str:
    """The identity that a file of secrets carries, new with every change of it; empty where there is none."""
    match = re.search(rf'^{IDENTITY}="([0-9a-f]+)"$', text, re.MULTILINE)
    return match[1] if match else ""


def matching_identity(text: str | None, digest: str) -> str:
    """The identity of a file's text where it holds exactly the secrets of that digest, else one that no process has.

    `text` is None where there is no file, which is right where no secret is planned.
    """
    if text is None:
        return "" if digest == secrets_digest("") else "none yet"
    identity = secrets_identity(text)
    first, __, lines = text.partition("\n")[2].partition("\n")
    held = first == f'{IDENTITY}="{identity}"' and secrets_digest(lines) == digest
    return identity if held else "others"
