"""Key files: who may read them, what is refused, and that neither a key nor its password is ever shown."""

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from pipeline.base.fault import Fault
from pipeline.trust.keys import PASSWORD, ask_password, load_signers, make_key

SECRET = "planted-password-of-32-characters"
ENCRYPTED = BestAvailableEncryption(SECRET.encode())


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, SECRET)


def refusal(sign: str) -> str:
    """Returns why keys are refused; it is one line, and shows no secret."""
    with pytest.raises(Fault) as raised:
        load_signers(sign)
    text = str(raised.value)
    assert "\n" not in text
    assert SECRET not in text
    assert "BEGIN" not in text
    return text


def test_a_key_is_written_for_its_owner_alone_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "keys/release.pem"
    public = make_key(path, SECRET)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [signer.public_key.keyid for signer in load_signers(str(path))] == [public.keyid]
    with pytest.raises(Fault, match="there is a file already"):
        make_key(path, SECRET)
    with pytest.raises(Fault, match="at least 16 characters"):
        make_key(tmp_path / "other.pem", "short")


def test_a_folder_or_a_variable_may_hold_several_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {make_key(tmp_path / f"{name}.pem", SECRET).keyid for name in ("snapshot", "timestamp")}
    assert {signer.public_key.keyid for signer in load_signers(str(tmp_path))} == names
    assert {
        signer.public_key.keyid for signer in load_signers(f"{tmp_path}/snapshot.pem,{tmp_path}/timestamp.pem")
    } == names
    monkeypatch.setenv("KEYS", "".join(path.read_text() for path in tmp_path.glob("*.pem")))
    assert {signer.public_key.keyid for signer in load_signers("env:KEYS")} == names


def test_what_is_no_usable_key_is_refused_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, path = Ed25519PrivateKey.generate(), tmp_path / "key.pem"
    assert "no such file" in refusal(str(path))
    assert "has no *.pem" in refusal(str(tmp_path))
    assert "there is none; set it" in refusal("env:NO_SUCH_VARIABLE")
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert "a public key, which cannot sign" in refusal(str(path))
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert "expected one that a password encrypts" in refusal(str(path))
    path.write_text("hello")
    assert "no private key" in refusal(str(path))
    path.write_bytes(b"x" * 70_000)
    assert "more than 65,536 bytes" in refusal(str(path))
    whole = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, ENCRYPTED)
    path.write_bytes(whole[:40] + whole[48:])
    assert "the key is damaged" in refusal(str(path))
    curve = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, ENCRYPTED))
    assert "expected Ed25519" in refusal(str(path))
    path.write_bytes(whole)
    monkeypatch.setenv(PASSWORD, "another password entirely")
    assert "wrong password" in refusal(str(path))


def test_without_a_password_or_a_terminal_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD)
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        with pytest.raises(Fault, match="expected it in the variable SIGN_PASSWORD"):
            ask_password("key.pem")


def test_each_key_may_have_a_password_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_key(tmp_path / "root.pem", "the password of the safe")
    make_key(tmp_path / "release-2.pem", SECRET)
    assert "root.pem: wrong password" in refusal(str(tmp_path))
    monkeypatch.setenv("SIGN_PASSWORD_ROOT", "the password of the safe")
    assert len(load_signers(str(tmp_path))) == 2
    monkeypatch.delenv(PASSWORD)
    monkeypatch.setenv("SIGN_PASSWORD_RELEASE_2", SECRET)
    assert len(load_signers(str(tmp_path))) == 2


def test_a_typed_password_is_tried_for_every_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([SECRET, "the password of the safe"])
    for name, password in (("a", SECRET), ("b", SECRET), ("c", "the password of the safe")):
        make_key(tmp_path / f"{name}.pem", password)
    monkeypatch.delenv(PASSWORD)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda _: next(answers))
    assert len(load_signers(str(tmp_path))) == 3
