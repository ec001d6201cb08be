"""Verification keys: built once, from the configuration's own algorithm, never from a token's.

python-jose accepts a forgery when it is handed a raw DER key and a list of algorithms of both
families. It is never handed raw material here: every key becomes an object whose algorithm is
fixed, and the material is checked before.
"""

from __future__ import annotations

from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from jose import jwk
from jose.backends.base import Key
from jose.backends.cryptography_backend import (
    CryptographyECKey,
    CryptographyHMACKey,
    CryptographyRSAKey,
)
from jose.exceptions import JOSEError

SYMMETRIC = frozenset({"HS256"})
ASYMMETRIC = frozenset({"RS256", "PS256", "ES256"})
ALGORITHMS = SYMMETRIC | ASYMMETRIC

MIN_SECRET_BYTES = 32
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192  # a longer one only makes each check slow

_BACKENDS = {"HS256": CryptographyHMACKey, "RS256": CryptographyRSAKey, "ES256": CryptographyECKey}
_PUBLIC_FIELDS = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y")}

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class KeyProblem(ValueError):
    """Key material that must not be used; the message says why and never shows it."""


class KeySource(Protocol):
    """Where the key for a token comes from."""

    async def key(self, kid: str | None) -> Key | None:
        """Returns the key for a token's ``kid``, or None when there is none to choose.

        Raises:
            Unavailable: The keys are fetched from somewhere that cannot be reached.
        """
        ...


class StaticKey:
    """One key from the configuration; it checks every token, whatever ``kid`` that names.

    Args:
        key: The prebuilt key.
    """

    def __init__(self, key: Key) -> None:
        self._key = key

    async def key(self, kid: str | None) -> Key | None:
        """Returns the key."""
        return self._key


class PssKey(Key):
    """RSASSA-PSS with SHA-256 (RFC 7518, 3.5), which python-jose lacks; it only verifies.

    Args:
        key: An RSA public key.
        algorithm: ``PS256``.
    """

    def __init__(self, key: rsa.RSAPublicKey, algorithm: str = "PS256") -> None:
        self._public = key
        self._padding = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)

    def verify(self, msg: bytes, sig: bytes) -> bool:
        """Returns whether the signature is this key's."""
        try:
            self._public.verify(sig, msg, self._padding, hashes.SHA256())
        except InvalidSignature:
            return False
        return True


def secret_key(secret: bytes, algorithm: str) -> Key:
    """Returns the key of a shared secret.

    Raises:
        KeyProblem: The algorithm is of the other family, the secret is short, or it is in truth a
            public key, which everybody may know.
    """
    if algorithm not in SYMMETRIC:
        raise KeyProblem(f"{algorithm} needs a public key, not a secret")
    if len(secret) < MIN_SECRET_BYTES:
        raise KeyProblem(f"the secret must have {MIN_SECRET_BYTES} bytes at least")
    if _is_der(secret):
        raise KeyProblem("the secret is a public key in DER form")
    try:
        return _constructed(secret, algorithm)
    except JOSEError as error:  # PEM and SSH keys
        raise KeyProblem("the secret is an asymmetric key") from error


def pem_key(pem: str, algorithm: str) -> Key:
    """Returns the key of a public key in PEM.

    Raises:
        KeyProblem: The algorithm is of the other family, or the text is not a public key that
            fits it.
    """
    if algorithm not in ASYMMETRIC:
        raise KeyProblem(f"{algorithm} needs a secret, not a public key")
    if "PRIVATE KEY" in pem:
        raise KeyProblem("this is a private key; the bridge wants the public one")
    try:
        public = serialization.load_pem_public_key(pem.encode())
    except (ValueError, TypeError) as error:
        raise KeyProblem("this is not a public key in PEM form") from error
    return public_key(public, algorithm)


def jwk_key(fields: dict[str, Any], algorithm: str) -> Key:
    """Returns the key of a public JWK (RFC 7517); private fields are not looked at.

    Raises:
        KeyProblem: It is not a public key that fits the algorithm.
    """
    kind = "EC" if algorithm == "ES256" else "RSA"
    if algorithm not in ASYMMETRIC or fields.get("kty") != kind:
        raise KeyProblem(f"the key is not one for {algorithm}")
    public = {name: fields.get(name) for name in _PUBLIC_FIELDS[kind]}
    if not all(isinstance(value, str) for value in public.values()):
        raise KeyProblem("the key lacks a field")
    try:
        built: Any = _constructed(public, "ES256" if kind == "EC" else "RS256")
    except Exception as error:  # python-jose lets through whatever the numbers provoke
        raise KeyProblem("the key's numbers are not a key") from error
    return public_key(built.prepared_key, algorithm)


def public_key(public: object, algorithm: str) -> Key:
    """Returns the key of a loaded public key, if its kind and size fit the algorithm."""
    if algorithm == "ES256":
        if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != "secp256r1":
            raise KeyProblem("ES256 needs a key on the curve P-256")
        return _constructed(public, algorithm)
    if not isinstance(public, rsa.RSAPublicKey):
        raise KeyProblem(f"{algorithm} needs an RSA key")
    if not MIN_RSA_BITS <= public.key_size <= MAX_RSA_BITS:
        raise KeyProblem(f"an RSA key must have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits")
    return PssKey(public) if algorithm == "PS256" else _constructed(public, algorithm)


def _constructed(material: Any, algorithm: str) -> Key:
    # The pure-Python fall-back has known timing leaks (CVE-2024-23342); never end up with it.
    if jwk.get_key(algorithm) is not _BACKENDS[algorithm]:
        raise KeyProblem("python-jose runs without the cryptography package")
    return jwk.construct(material, algorithm)


def _is_der(secret: bytes) -> bool:
    try:
        serialization.load_der_public_key(secret)
    except Exception:
        return False
    return True
