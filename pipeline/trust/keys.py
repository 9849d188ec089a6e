"""Signing keys: Ed25519, in PEM files (PKCS #8) that a password encrypts.

A private key and its password are never an argument of a command, which every user of a machine can read, nor part of
a message. A key is named by its file; the password of release.pem is the value of SIGN_PASSWORD_RELEASE, else of
SIGN_PASSWORD, else it is asked for. An environment that keeps secrets in variables, as CI does, gives the text of the
keys so: SIGN=env:<NAME>.
"""

import getpass
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.extras import install_line
from pipeline.base.fault import Fault, show_name
from pipeline.base.files import Unreadable, expand_home, make_folder, naming, read_bounded

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

PASSWORD = "SIGN_PASSWORD"
# PKCS #8 of the library derives the key with PBKDF2 in 2,048 rounds, so that the password itself must be hard to guess.
SHORTEST = 16
_LARGEST = 64 << 10  # bytes of a key file; a key has 0.3 kB
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----[\w+/=\s:,-]*?-----END \1-----", re.ASCII)
_ENCRYPTED = "ENCRYPTED PRIVATE KEY"


def require_libraries() -> None:
    """Raises Fault where the libraries of the extra `trust` are not installed."""
    try:
        import cryptography  # noqa: F401
        import securesystemslib.signer  # noqa: F401
        import tuf.api.metadata  # noqa: F401
    except ImportError as error:
        text = f"signatures need {error.name}, which is not installed; run: {install_line('trust')}"
        raise Fault(text) from None


def make_key(path: Path, password: str) -> "SSlibKey":
    """Writes a new private key that only its owner may read, and returns its public key.

    Raises:
        Fault: for a short password, or when something stands at `path` already.
    """
    require_libraries()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
    from securesystemslib.signer import SSlibKey

    if len(password) < SHORTEST:
        raise Fault(
            f"{PASSWORD}: the password is short, expected at least {SHORTEST} characters; let a program make it"
        )
    key = Ed25519PrivateKey.generate()
    encryption = BestAvailableEncryption(password.encode())
    _write_secret(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    public: SSlibKey = SSlibKey.from_crypto(key.public_key())
    return public


def _write_secret(path: Path, content: bytes) -> None:
    """Creates a file of mode 0600; never replaces one."""
    make_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Fault(f"{path}: there is a file already, which may be a key in use; name another one") from None
    try:
        with naming(path), os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        path.unlink()
        raise


def find_password(stem: str) -> str | None:
    """Returns the password that the environment has for a key, by the name of its file without `.pem`."""
    own = f"{PASSWORD}_{re.sub('[^A-Za-z0-9]', '_', stem).upper()}"
    return os.environ.get(own) or os.environ.get(PASSWORD)


def ask_password(what: str, is_new: bool = False) -> str:
    """Asks for a password at the terminal.

    Args:
        what: the key, for the question.
        is_new: whether to ask twice.

    Raises:
        Fault: when there is no terminal, or the two answers differ.
    """
    if not sys.stdin.isatty():
        raise Fault(
            f"the password of {what}: expected it in the variable {PASSWORD}, since there is no terminal to ask"
        )
    password = getpass.getpass(f"Password of {what}: ")
    if is_new and getpass.getpass("Once more: ") != password:
        raise Fault(f"the password of {what}: the two answers differ; run the same command again")
    return password


def load_signers(sign: str) -> "list[CryptoSigner]":
    """Returns the private keys that SIGN= names.

    Args:
        sign: with commas between them: key files, folders of key files (*.pem), and `env:<NAME>` of variables that hold
            the text of such files.

    Raises:
        Fault: when there is none, one is no encrypted private key, or the password is wrong.
    """
    require_libraries()
    asked: list[str] = []
    signers = []
    for part in sign.split(","):
        for place, text in _read_variable(part) if part.startswith("env:") else _read_files(expand_home(part)):
            signers += [_decrypt(place, block, asked) for block in _blocks(place, text)]
    return signers


def _read_variable(sign: str) -> list[tuple[str, str]]:
    name = sign.removeprefix("env:")
    if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) or not os.environ.get(name):
        raise Fault(
            f"SIGN={show_name(sign)}: expected a variable with the text of key files, and there is none; set it"
        )
    return [(f"SIGN={sign}", os.environ[name])]


def _read_files(place: Path) -> list[tuple[str, str]]:
    paths: Sequence[Path] = sorted(place.glob("*.pem")) if place.is_dir() else [place]
    if not paths:
        raise Fault(f"SIGN={place}: the folder has no *.pem, expected key files; make keys writes them")
    texts = []
    for path in paths:
        try:
            texts.append((str(path), read_bounded(path, _LARGEST).decode("ascii", errors="replace")))
        except FileNotFoundError:
            raise Fault(f"SIGN={path}: no such file, expected a private key; make keys writes one") from None
        except Unreadable as reason:
            raise Fault(f"SIGN={path}: {reason}; expected a private key") from None
    return texts


def _blocks(place: str, text: str) -> list[str]:
    """Returns the PEM blocks of a text, each an encrypted private key."""
    blocks = list(_BLOCK.finditer(text))
    if not blocks:
        raise Fault(f"{place}: no private key, expected a PEM file of make keys")
    for block in blocks:
        if "PUBLIC" in block[1]:
            raise Fault(f"{place}: a public key, which cannot sign; expected the private key that belongs to it")
        if block[1] != _ENCRYPTED:
            text = f"{place}: a {show_name(block[1].lower())}, expected one that a password encrypts"
            raise Fault(f"{text}; encrypt it: openssl pkcs8 -topk8")
    return [block[0] for block in blocks]


def _decrypt(place: str, block: str, asked: list[str]) -> "CryptoSigner":
    """Returns a key; `asked` are the passwords that were typed for the keys before, and gets a new one."""
    if password := find_password(Path(place).stem):
        return _load(place, block, password)
    for earlier in asked:
        with suppress(_WrongPassword):
            return _load(place, block, earlier)
    asked.append(ask_password(place))
    return _load(place, block, asked[-1])


class _WrongPassword(Fault):
    """The password is not the one of the key."""


def _load(place: str, block: str, password: str) -> "CryptoSigner":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    try:
        key = load_pem_private_key(block.encode(), password.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if "password" in str(error).lower():
            text = f"{place}: wrong password; set {PASSWORD} to the one that the key was made with"
            raise _WrongPassword(text) from None
        raise Fault(f"{place}: the key is damaged, or of an unknown kind; restore it from your copy") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise Fault(f"{place}: a key of another kind, expected Ed25519; make one with make keys")
    return CryptoSigner(key)
