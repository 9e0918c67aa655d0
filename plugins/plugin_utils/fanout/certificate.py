"""The certificate of one run: made in the control node's memory, handed to the members over SSH, written nowhere else."""

from __future__ import annotations

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# The agents compare it byte by byte and do not look at the time (module_utils/fanout/tls.py); other eyes may.
_LIVES = datetime.timedelta(days=7)


def make() -> str:
    """A new key (P-256) and a certificate that it signed itself, as one PEM text; whoever has it is a member of the run.

    It is ansible-core's own library (it requires `cryptography` for its vault) and not openssl's program: a key that is never in
    a file or a pipe of the control node has not to be removed from one.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vllm-fanout")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LIVES)
        .not_valid_after(now + _LIVES)
        # No authority: it vouches for nobody but itself.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return (secret + certificate.public_bytes(serialization.Encoding.PEM)).decode("ascii")
