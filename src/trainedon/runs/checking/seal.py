"""One digest over everything in a run folder, with date and signature: who vouches for it, and since when.

Statistics follow from scores, and so anybody can compute them again; that the scores are those that the model gave is
what only somebody can vouch for. docs/seal.md has the format, and how to check one without this program.
"""

from __future__ import annotations

import base64
import hashlib
import os
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trainedon import run_files
from trainedon.errors import UserError
from trainedon.files import write_json
from trainedon.formats import RunRecord, read_record
from trainedon.reading import json_of, read_bytes, read_json
from trainedon.runs.checking import keys
from trainedon.runs.checking.contents import MOST, digest_in
from trainedon.runs.checking.verify import Check, verify
from trainedon.runs.record import now

FORMAT: Final = "trainedon-seal-1"
MOST_BYTES = 2**24  # of a seal
Word = Annotated[str, Field(pattern=r"^[\w.:+-]{1,100}$")]  # nothing that could end a line of the statement
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FILES, SIGNER = "files are those that were sealed", "who sealed it is known"


class SealedFile(BaseModel):
    """One file of a run folder: its name below it with `/`, its size in bytes, and the sha256 of its bytes, hex."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    name: str
    bytes: int
    sha256: Digest


class Seal(BaseModel):
    """`seal.json`. public_key: PEM; signature: base64, of `statement`; both null where nobody signed."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    format: Literal["trainedon-seal-1"] = FORMAT
    sealed: Word
    protocol: Word
    trainedon: Word
    model: Word
    digest: Digest
    files: list[SealedFile]
    statement: str
    public_key: str | None = None
    signature: str | None = None


def seal(run: Path, out: Path | None = None, key: Any = None) -> Path:
    """Seal a complete run; where the seal was written, `run/seal.json` unless `out` says otherwise.

    key: of `keys.private_key`; None for a seal that nobody signs. Raises UserError for a run that does not verify, and
    where a seal is already.
    """
    path = run / run_files.SEAL if out is None else out
    if os.path.lexists(path):
        raise UserError(f"{path} is there already, and no seal is overwritten: choose another --out")
    if path != run / run_files.SEAL and path.resolve().is_relative_to(run.resolve()):
        raise UserError(
            f"{path} lies in the folder that it would seal: call it {run_files.SEAL}, or choose another --out"
        )
    failed = [check for check in verify(run) if check.ok is False]
    if failed:
        first = f"{failed[0].name}: {failed[0].detail}"
        raise UserError(f"{run} is not sealed, since {len(failed)} checks of `trainedon verify` failed ({first})")
    record, files = read_record(run), listed(run)
    made = Seal(
        sealed=now(),
        protocol=_protocol(run, record),
        trainedon=version("trainedon"),
        model=_model(record),
        digest=digest(files),
        files=files,
        statement="",
    )
    signed = {"statement": _statement(made)}
    if key is not None:
        signature = base64.b64encode(key.sign(signed["statement"].encode())).decode()
        signed |= {"public_key": keys.pem_of(key.public_key()), "signature": signature}
    try:
        write_json(path, made.model_copy(update=signed).model_dump())
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}): choose another --out") from None
    return path


def listed(run: Path) -> list[SealedFile]:
    """Every file of a run folder but locks and seals, by name. Raises UserError for what is no regular file, and names
    that a list cannot hold."""
    found: list[SealedFile] = []
    for folder, folders, names in os.walk(run, onerror=_unread):
        for name in names + [name for name in folders if Path(folder, name).is_symlink()]:
            path = Path(folder, name)
            below = path.relative_to(run).as_posix()
            if below in (run_files.LOCK, run_files.SEAL):
                continue
            if not below.isprintable() or len(found) >= MOST:
                raise UserError(f"{path!s:.200} has a name that no list can hold, or is one of too many: take it away")
            sha256 = digest_in(run, below)
            if sha256 is None:
                raise UserError(f"{path} is no regular file, or cannot be read: take it away")
            found.append(SealedFile(name=below, bytes=path.stat().st_size, sha256=sha256))
    return sorted(found, key=lambda file: file.name)


def _unread(error: OSError) -> None:
    raise UserError(f"{error.filename} cannot be read ({error.strerror}): take it away") from None


def digest(files: list[SealedFile]) -> str:
    """sha256, hex, over a line of each file: its sha256, two blanks, its size, two blanks, its name, a line break."""
    text = "".join(f"{file.sha256}  {file.bytes}  {file.name}\n" for file in files)
    return hashlib.sha256(text.encode()).hexdigest()


def _statement(seal: Seal) -> str:
    """What is signed, byte for byte, in UTF-8."""
    lines = [FORMAT, *(f"{name} {getattr(seal, name)}" for name in ("sealed", "protocol", "trainedon", "model"))]
    return "\n".join([*lines, f"files {len(seal.files)}", f"digest {seal.digest}", ""])


def _model(record: RunRecord) -> str:
    """The digest of the model, or `none` of a run from a table."""
    return record.model.digest or "none"


def _protocol(run: Path, record: RunRecord) -> str:
    name = run_files.AUDIT if record.kind == "audit" else run_files.EVALUATION
    return str(read_json(run / name, 2**30).get("protocol", "none"))


def read_seal(path: Path) -> Seal:
    """A seal that agrees with itself. Raises UserError when there is none, or it is damaged."""
    try:
        data = read_bytes(path, MOST_BYTES)
        json_of(data, path)  # refuses what different readers would read differently
        found = Seal.model_validate_json(data)
    except OSError:
        raise UserError(f"{path} is no seal: make one with `trainedon seal`") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(f"{path} is no seal of this program ({place}: {first['msg']})") from None
    if found.digest != digest(found.files) or found.statement != _statement(found):
        raise UserError(f"{path} does not agree with itself: it was changed after it was made")
    return found


def check_seal(run: Path, path: Path | None = None, signer: Any = None) -> list[Check]:
    """Whether a run folder is as it was sealed, and who vouches for it. path: of the seal, when it is not in the run.

    signer: the public key that is expected, of `keys.public_key`; None when nobody is.
    """
    try:
        found = read_seal(run / run_files.SEAL if path is None else path)
        differing = _differing(found, listed(run), _model(read_record(run)))
    except UserError as error:
        return [Check(FILES, False, str(error))]
    said = f"differ: {differing}" if differing else f"{len(found.files)} files, sealed {found.sealed}"
    return [Check(FILES, not differing, said), Check(SIGNER, *_vouched(found, signer))]


def _differing(seal: Seal, here: list[SealedFile], model: str) -> str:
    """What is not as it was sealed, in words; empty where all is."""
    before, now = ({file.name: file for file in files} for files in (seal.files, here))
    names = [name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)]
    names += [] if model == seal.model else ["the model"]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _vouched(found: Seal, signer: Any) -> tuple[bool | None, str]:
    if found.public_key is None or found.signature is None:
        said = f"sealed {found.sealed} by nobody: there is no signature, and anybody could have made it"
        return (None if signer is None else False), said
    try:
        key = keys.of_pem(found.public_key.encode())
        genuine = keys.fits(key, base64.b64decode(found.signature, validate=True), found.statement.encode())
    except UserError as error:
        return False, str(error)
    except ValueError:  # no base64
        genuine = False
    if not genuine:
        return False, "the signature does not fit: it is of another seal, or another key"
    who = f"sealed {found.sealed} by the key {keys.fingerprint(key)}"
    if signer is None:
        return None, f"{who}, and no key was given to compare with: anybody could have made it"
    if keys.fingerprint(signer) != keys.fingerprint(key):
        return False, f"{who}, which is not the one given ({keys.fingerprint(signer)})"
    return True, f"{who}, the one given"
