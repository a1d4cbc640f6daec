"""How the engine trusts a target's certificate."""

from __future__ import annotations

import ssl
from pathlib import Path

from harness.errors import LoadError
from harness.model.load import Tls


def client_context(tls: Tls) -> ssl.SSLContext:
    """Verifies against `tls.ca_file`; without one the certificate is not verified.

    LoadError if the file cannot be read as certificates.
    """
    if not tls.ca_file:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        return ssl.create_default_context(cafile=str(Path(tls.ca_file)))
    except (OSError, ssl.SSLError) as error:
        raise LoadError(
            f"{tls.ca_file}: cannot be read as certificates: {error.strerror or error}",
            "load.tls.ca_file names a PEM file",
        ) from error
