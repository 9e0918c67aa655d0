"""The gateway's certificate as PEM files of the control node: looked at by its outside, put together for HAProxy."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems

_VAULT = "$ANSIBLE_VAULT;"
_CERTIFICATE = "-----BEGIN CERTIFICATE-----"
_KEYS = ("-----BEGIN PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----", "-----BEGIN EC PRIVATE KEY-----")
_LOCKED = ("-----BEGIN ENCRYPTED PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED")


def judge_pem(certificate: str, key: str, problems: Problems) -> None:
    """Refuse files that are missing or hold something else. One that Ansible Vault keeps is opened on the way to the host."""
    texts = {}
    for name, path in (("gateway_tls_certificate", certificate), ("gateway_tls_key", key or certificate)):
        try:
            texts[name] = Path(path).read_text(errors="replace")
        except OSError as error:
            at = name if key or name == "gateway_tls_certificate" else "gateway_tls_certificate"
            problems.add(at, f"{path} cannot be read ({error.strerror})", "Name a PEM file of the control node")
    chain, secret = texts.get("gateway_tls_certificate", _VAULT), texts.get("gateway_tls_key", _VAULT)
    if not chain.startswith(_VAULT) and _CERTIFICATE not in chain:
        problems.add(
            "gateway_tls_certificate",
            f"{certificate} holds no certificate in PEM form",
            "Name the file with the certificate and, after it, those of its issuers",
        )
    if secret.startswith(_VAULT):
        return
    if any(mark in secret for mark in _LOCKED):
        problems.add(
            "gateway_tls_key",
            f"the private key in {key or certificate} is locked by a passphrase",
            "Keep it without one, in a file that Ansible Vault encrypts",
        )
    elif not any(mark in secret for mark in _KEYS):
        problems.add(
            "gateway_tls_key",
            f"{key or certificate} holds no private key in PEM form",
            "Set gateway_tls_key, or put the key into the file of the certificate",
        )


def join(*texts: str) -> str:
    """One PEM as HAProxy takes it: certificate, its issuers, private key."""
    return "".join(f"{text.strip()}\n" for text in texts)
