"""A split drawn by coin: which pictures a model may be trained on, decided by chance that the auditor keeps."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from trainedon.errors import UserError
from trainedon.evidence.protocol.documents import Document, Randomised
from trainedon.evidence.table.picture_table import Pictures, batches
from trainedon.evidence.table.rows import SETS
from trainedon.reading import json_of, read_bytes

MOST = 2**29  # bytes of a `draw.json`, which has some 200 a picture
SEPARATOR = "\x1f"  # between the parts of what is hashed
TOSS = b"trainedon/draw/coin\x1f"
COMMIT = b"trainedon/draw/commitment\x1f"


def _is_none(value: object) -> bool:
    return value is None


class DrawnPicture(Document):
    """One picture of a draw. file: the name of its copy, where that is another one."""

    picture: str
    sha256: str
    included: bool
    file: str | None = Field(None, exclude_if=_is_none, description="missing where the copy has the picture's own name")


class SetAside(Document):
    """One picture that no coin was tossed for."""

    picture: str
    reason: str


class Draw(Document):
    """`draw.json`. Secret and digests give every coin again, so that a checker need not believe the list."""

    schema_version: Literal[1] = 1
    secret: str
    commitment: str
    pictures: tuple[DrawnPicture, ...]
    set_aside: tuple[SetAside, ...]


def coin(secret: str, sha256: str) -> bool:
    """Whether a picture is included: one bit of SHA-256(secret, digest), which is fair and independent of the others
    for everybody who does not know the secret."""
    return bool(hashlib.sha256(TOSS + secret.encode() + SEPARATOR.encode() + sha256.encode()).digest()[0] & 1)


def commitment(secret: str, digests: Iterable[str]) -> str:
    """What can be published before the secret: SHA-256 over the secret and the digests of all pictures."""
    return hashlib.sha256(COMMIT + SEPARATOR.join([secret, *sorted(digests)]).encode()).hexdigest()


def check_secret(secret: str) -> None:
    """Raise UserError where digests could be taken for the end of the secret: other coins would have its commitment."""
    if SEPARATOR in secret:
        raise UserError("the secret of the draw holds the character U+001F: draw again with another secret")


def read_draw(path: Path) -> Draw:
    """Read `draw.json`. Raises UserError when it cannot be read, does not follow from its own secret, or has one as
    `check_secret` refuses."""
    try:
        data = read_bytes(path, MOST)
        json_of(data, path)  # refuses what different readers would read differently
        draw = Draw.model_validate_json(data)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error}); give the draw.json that `trainedon draw` wrote") from None
    except ValidationError:
        raise UserError(f"{path} is no draw; give the draw.json that `trainedon draw` wrote") from None
    check_secret(draw.secret)
    digests = [picture.sha256 for picture in draw.pictures]
    if draw.commitment != commitment(draw.secret, digests) or any(
        picture.included != coin(draw.secret, picture.sha256) for picture in draw.pictures
    ):
        raise UserError(f"{path} does not follow from its secret: it was changed after the draw")
    return draw


def check_draw(draw: Draw, pictures: Pictures, sets: Sequence[str] = SETS) -> Randomised:
    """That a run's pictures are those of the draw, all of them, each in the set that its coin says.

    pictures: `pictures.parquet` or its rows, of which those in `sets` are looked at. Raises UserError where one is not:
    chance no longer decided then.
    """
    included = {picture.sha256: picture.included for picture in draw.pictures}
    given: set[str] = set()
    listed = 0
    for batch in batches(pictures, ("picture", "sha256", "set", "reason")) if included else ():
        for name, digest, set_name, reason in zip(*(column.to_pylist() for column in batch.values()), strict=True):
            listed += set_name in sets
            if set_name in sets and not reason:
                _check_coin(included, name, str(digest), set_name)
                given.add(str(digest))
    if not listed:
        raise UserError("a draw says nothing without its pictures: give those that it was made for")
    missing = [picture.picture for picture in draw.pictures if picture.sha256 not in given]
    if missing:
        raise UserError(f"{missing[0]} of the draw is not given ({len(missing)} missing): give all that were drawn")
    return Randomised(
        commitment=draw.commitment, n_included=sum(included.values()), n_held_out=len(included) - sum(included.values())
    )


def _check_coin(included: Mapping[str, bool], picture: str, digest: str, set_name: str) -> None:
    """Raise UserError unless a picture is in the draw, and in the set that its coin says."""
    if digest not in included:
        raise UserError(f"{picture} is not in the draw: give the pictures of the draw and no others")
    if included[digest] != (set_name != "unseen"):
        drawn = "included" if included[digest] else "held out"
        raise UserError(f"{picture} was {drawn} by the draw and is given as {set_name}")
