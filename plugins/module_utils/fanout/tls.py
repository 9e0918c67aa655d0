"""TLS among the members of one run: one certificate, made for the run, is who everybody is and whom everybody takes.

It comes over SSH with its key, so whoever has it was given it by the control node; nobody else ends a handshake, in either way.
"""

from __future__ import annotations

import os
import re
import socket
import ssl

# X509_V_FLAG_NO_CHECK_TIME (openssl/x509_vfy.h), which Python passes on and has no name for: a certificate that lives as long as
# a run, and is compared byte by byte, must not fail for a host's clock.
_NO_CHECK_TIME = 0x200000
_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class Credential:
    """The run's certificate and key, from one PEM file that root alone can read; it is read once, and may go then."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises OSError: where it cannot be read; ssl.SSLError, which is one too: where it holds no certificate with its key."""
        with open(path, encoding="ascii", errors="replace") as stream:
            certificate = _CERTIFICATE.search(stream.read())
        if certificate is None:
            raise ssl.SSLError(f"{os.path.basename(path)} holds no certificate")
        self._der = ssl.PEM_cert_to_DER_cert(certificate[0])
        self._server = _context(ssl.PROTOCOL_TLS_SERVER, path, certificate[0])
        # A session that is taken up again would bring no certificate along.
        self._server.num_tickets = 0
        self._client = _context(ssl.PROTOCOL_TLS_CLIENT, path, certificate[0])

    def accept(self, connection: socket.socket) -> ssl.SSLSocket:
        """The handshake of the side that listens; the connection's timeout is for all of it. Raises OSError."""
        return self._pinned(self._server.wrap_socket(connection, server_side=True))

    def connect(self, connection: socket.socket) -> ssl.SSLSocket:
        """The handshake of the side that asks. Raises OSError."""
        return self._pinned(self._client.wrap_socket(connection))

    def _pinned(self, connection: ssl.SSLSocket) -> ssl.SSLSocket:
        """It must be this very certificate: to be signed by its key is not enough."""
        if connection.getpeercert(binary_form=True) != self._der:
            connection.close()
            raise ssl.SSLError("the other side's certificate is not this run's")
        return connection


def _context(protocol: ssl._SSLMethod, path: str | os.PathLike[str], certificate: str) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # Nobody is found by a host's name here: the certificate as a whole says who it is.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= _NO_CHECK_TIME
    context.load_verify_locations(cadata=certificate)
    context.load_cert_chain(path)
    return context
