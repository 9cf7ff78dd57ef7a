"""Ed25519 keys as people have them: PEM, or as `ssh-keygen -t ed25519` makes them. Needs the package cryptography."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainedon.errors import UserError
from trainedon.reading import read_bytes

MOST = 2**16  # bytes of a key's file
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
NEEDS = "seals are signed with the package cryptography: pip install 'trainedon[seal]'"


def new_key(path: Path) -> Path:
    """Make a key: `path` (PEM, for its owner alone) and `path.pub`, which is for everybody and returned.

    Raises UserError when either is there already.
    """
    serial, ed25519 = _library()
    key, public = ed25519.Ed25519PrivateKey.generate(), path.with_name(f"{path.name}.pub")
    secret = key.private_bytes(serial.Encoding.PEM, serial.PrivateFormat.PKCS8, serial.NoEncryption())
    for one in (path, public):
        if os.path.lexists(one):
            raise UserError(f"{one} is there already, and no key is overwritten: choose another name")
    for one, data, mode in ((path, secret, 0o600), (public, _openssh(key.public_key()) + b"\n", 0o644)):
        try:
            with os.fdopen(os.open(one, _NEW, mode), "wb") as stream:
                stream.write(data)
        except OSError as error:
            raise UserError(f"{one} cannot be written ({error.strerror}): choose another name") from None
    return public


def private_key(path: Path, passphrase: Callable[[], str]) -> Any:
    """The private key in a file, PEM (PKCS 8) or OpenSSH. passphrase: asked where it is encrypted.

    Raises UserError when there is none, or the passphrase is wrong.
    """
    serial, ed25519 = _library()
    data = _read(path)
    load = serial.load_ssh_private_key if b"OPENSSH" in data[:64] else serial.load_pem_private_key
    try:
        try:
            key = load(data, None)
        except TypeError:  # it is encrypted
            key = load(data, passphrase().encode())
    except (ValueError, TypeError):
        raise UserError(f"{path} is no private key that can be read, or the passphrase is another one") from None
    except ImportError as error:  # OpenSSH's way to encrypt
        raise UserError(f"{path}: {error}") from None
    except _unsupported() as error:
        raise UserError(f"{path} cannot be read ({str(error).splitlines()[0]})") from None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise UserError(f"{path} is no Ed25519 key: make one with `trainedon seal --new-key FILE` or ssh-keygen")
    return key


def public_key(path: Path) -> Any:
    """The public key in a file: PEM, or a line `ssh-ed25519 ...`. Raises UserError when there is none."""
    return of_pem(_read(path), path)


def of_pem(data: bytes, where: object = "the key") -> Any:
    """A public key from PEM, or OpenSSH's one line. Raises UserError, which begins with `where`, when it is none."""
    serial, ed25519 = _library()
    load = serial.load_ssh_public_key if data.lstrip().startswith(b"ssh-") else serial.load_pem_public_key
    try:
        key = load(data.strip())
    except (ValueError, TypeError, _unsupported()):
        raise UserError(f"{where} is no public key that can be read: give the file that ends in .pub") from None
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise UserError(f"{where} is no Ed25519 key")
    return key


def pem_of(public: Any) -> str:
    """A public key as PEM, which openssl reads."""
    serial, _ = _library()
    pem: bytes = public.public_bytes(serial.Encoding.PEM, serial.PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


def fingerprint(public: Any) -> str:
    """`SHA256:...`, as `ssh-keygen -l` shows it."""
    blob = base64.b64decode(_openssh(public).split()[1])
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def fits(public: Any, signature: bytes, text: bytes) -> bool:
    """Whether a signature is of this text, by this key."""
    from cryptography.exceptions import InvalidSignature

    try:
        public.verify(signature, text)
    except InvalidSignature:
        return False
    return True


def _openssh(public: Any) -> bytes:
    serial, _ = _library()
    line: bytes = public.public_bytes(serial.Encoding.OpenSSH, serial.PublicFormat.OpenSSH)
    return line


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path, MOST)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): give the file of a key") from None


def _library() -> tuple[Any, Any]:
    """The modules of the package that read and write keys, and that sign. Raises UserError when it is missing."""
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise UserError(NEEDS) from None
    return serialization, ed25519


def _unsupported() -> type[Exception]:
    from cryptography.exceptions import UnsupportedAlgorithm

    return UnsupportedAlgorithm
