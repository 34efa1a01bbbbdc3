"""Can a certificate of a Secret be shown? Caddy takes nothing of a configuration with one that it cannot read."""

import functools

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID


@functools.lru_cache(maxsize=4096)
def is_usable(certificate: str, key: str) -> bool:
    """PEM, of one name at least, and the key is its own."""
    try:
        leaf = x509.load_pem_x509_certificates(certificate.encode())[0]
        private = serialization.load_pem_private_key(key.encode(), password=None)
        return bool(_names(leaf)) and _text(leaf.public_key()) == _text(private.public_key())
    except Exception:  # whatever its makers have thought of: it cannot be used
        return False


def _names(leaf: x509.Certificate) -> list[object]:
    found: list[object] = list(leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME))
    try:
        found += leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        pass
    return found


def _text(key: object) -> bytes:
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.DER, kind)  # type: ignore[attr-defined,no-any-return]
