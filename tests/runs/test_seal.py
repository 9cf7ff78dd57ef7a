"""A seal says who vouches for a run folder, and since when; anybody can check it without this program."""

import base64
import hashlib
import json
import shutil
import subprocess

import pytest

from trainedon.errors import UserError
from trainedon.runs import conclude, conclude_table, verify
from trainedon.runs.checking import keys
from trainedon.runs.checking.seal import FILES, SIGNER, check_seal, read_seal, seal


@pytest.fixture
def finished(tmp_path):
    rows = [f"{name}-{i},{name},{i}" for i in range(9) for name in ("suspect", "unseen")]
    (tmp_path / "scores.csv").write_text("\n".join(["picture,set,score", *rows]))
    conclude_table(tmp_path / "scores.csv", tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def key(tmp_path):
    pytest.importorskip("cryptography", reason="signing needs the package cryptography")
    keys.new_key(tmp_path / "key")
    return tmp_path / "key"


def private(path, passphrase=""):
    return keys.private_key(path, lambda: passphrase)


def answers(run, *given):
    return {check.name: check.ok for check in check_seal(run, *given)}


def test_a_run_that_is_as_it_was_sealed(finished):
    path = seal(finished)
    assert path == finished / "seal.json"
    assert answers(finished) == {FILES: True, SIGNER: None}
    assert not [check for check in verify(finished) if check.ok is False], "a seal is part of no check"
    conclude(finished)  # writes the same again
    assert answers(finished)[FILES] is True


def test_the_digest_is_that_of_a_list_that_anybody_can_make(finished):
    found = read_seal(seal(finished))
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.stat().st_size}  {path.relative_to(finished)}\n"
        for path in sorted(finished.rglob("*"))
        if path.is_file() and path.name not in ("seal.json", ".lock")
    ]
    assert found.digest == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert found.statement.splitlines()[0] == "trainedon-seal-1" and f"digest {found.digest}" in found.statement


@pytest.mark.parametrize("name", ["report.html", "scores.parquet", "new.txt"])
def test_what_was_changed_afterwards(finished, name):
    seal(finished)
    (finished / name).write_bytes(b"other")
    (check, _) = check_seal(finished)
    assert check.ok is False and name in check.detail


def test_nothing_is_overwritten_and_no_lie_is_sealed(finished, tmp_path):
    seal(finished)
    with pytest.raises(UserError, match="no seal is overwritten"):
        seal(finished)
    with pytest.raises(UserError, match="lies in the folder that it would seal"):
        seal(finished, finished / "other.json")
    assert seal(finished, tmp_path / "elsewhere.json").exists()
    record = json.loads((finished / "run.json").read_text())
    (finished / "run.json").write_text(json.dumps(record | {"status": "running"}))
    with pytest.raises(UserError, match="is not sealed, since 1 checks"):
        seal(finished, tmp_path / "third.json")


def test_who_signed(finished, key, tmp_path):
    path = seal(finished, None, private(key))
    public = keys.public_key(tmp_path / "key.pub")
    assert answers(finished, None, public) == {FILES: True, SIGNER: True}
    assert answers(finished) == {FILES: True, SIGNER: None}, "anybody can sign with a key of their own"
    keys.new_key(tmp_path / "other")
    assert answers(finished, None, keys.public_key(tmp_path / "other.pub"))[SIGNER] is False
    told = json.loads(path.read_text())
    forged = bytearray(base64.b64decode(told["signature"]))
    forged[0] ^= 1
    path.write_text(json.dumps(told | {"signature": base64.b64encode(forged).decode()}))
    assert answers(finished, None, public)[SIGNER] is False
    path.write_text(json.dumps(told | {"sealed": "2020-01-01T00:00:00+00:00"}))
    (check,) = check_seal(finished)
    assert check.ok is False and "does not agree with itself" in check.detail
    path.write_text(json.dumps(told | {"signature": None, "public_key": None}))
    assert answers(finished, None, public)[SIGNER] is False, "an unsigned seal is not by the expected key"


def test_keys_are_for_their_owner_and_never_overwritten(key, tmp_path):
    assert key.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UserError, match="no key is overwritten"):
        keys.new_key(key)
    (tmp_path / "no").write_text("no key")
    for read in (private, keys.public_key):
        with pytest.raises(UserError, match=r"no (private|public) key that can be read"):
            read(tmp_path / "no")


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
def test_keys_of_ssh(finished, key, tmp_path):
    pytest.importorskip("bcrypt", reason="encrypted keys of OpenSSH need the package bcrypt")
    for name, passphrase in (("plain", ""), ("secret", "geheim")):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(tmp_path / name)]
        subprocess.run(command, check=True)
        path = seal(finished, tmp_path / f"{name}.json", private(tmp_path / name, passphrase))
        assert answers(finished, path, keys.public_key(tmp_path / f"{name}.pub"))[SIGNER] is True
        shown = subprocess.run(
            ["ssh-keygen", "-l", "-f", str(tmp_path / f"{name}.pub")], capture_output=True, text=True
        )
        assert keys.fingerprint(keys.public_key(tmp_path / f"{name}.pub")) in shown.stdout
    with pytest.raises(UserError, match="passphrase"):
        private(tmp_path / "secret", "other")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_openssl_agrees(finished, key, tmp_path):
    told = json.loads(seal(finished, None, private(key)).read_text())
    (tmp_path / "statement").write_text(told["statement"])
    (tmp_path / "signature").write_bytes(base64.b64decode(told["signature"]))
    (tmp_path / "key.pem").write_text(told["public_key"])
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "statement"]
    done = subprocess.run([*command, "-sigfile", "signature"], cwd=tmp_path, capture_output=True, text=True)
    assert "Verified Successfully" in done.stdout, done
    (tmp_path / "statement").write_text(told["statement"].replace("files", "fills"))
    assert subprocess.run([*command, "-sigfile", "signature"], cwd=tmp_path, capture_output=True).returncode
