"""Make twins of pictures before they are published, and let a secret coin choose which copy is."""

from __future__ import annotations

import hashlib
import io
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

from trainedon import run_files
from trainedon.errors import PictureError, UserError
from trainedon.evidence import SetAside, TwinCopy, TwinnedPicture, Twins, chosen_copy, twins_commitment
from trainedon.files import write_atomically, write_text
from trainedon.pictures import Picture, Rendering, scan, shown
from trainedon.pictures.listing.captions import METADATA
from trainedon.pictures.pixels.names import is_picture
from trainedon.safe_names import safe_name
from trainedon.twinning.copies import Way, copies

PUBLISH, KEEP = "publish", "kept"  # folders
MOST_KEPT = 99
KEY = "trainedon/twins/copies"


def make_twins(
    source: str | Path,
    out: Path,
    way: Way,
    *,
    kept: int = 1,
    quality: int | None = None,
    secret: str | None = None,
    rendering: Rendering | None = None,
    progress: Callable[[int, int], None] | None = None,
    follow_links: bool = False,
) -> Twins:
    """Of each usable picture of `source` make 1 + `kept` copies, write the one that its coin chooses to `out/publish`
    and the others to `out/kept`, with the picture's caption, and write `twins.json`.

    way: how copies differ, as `copies` has it. quality: JPEG quality of all copies, 1..95; None: PNG. No copy has EXIF
    or a colour profile. secret: decides copies and coins; drawn from the system's randomness when None. rendering: of
    transparency and orientation. progress: called with (done, total). follow_links: as `scan` has it. Pictures that
    cannot be used, equal another one, or whose copies are alike are set aside.
    Raises UserError when `out` is not empty, no picture can be used, or an argument is out of range.
    """
    _check(out, kept, quality)
    entries = scan(source, follow_links=follow_links)
    secret = secret or secrets.token_hex(16)
    twinned: list[TwinnedPicture] = []
    aside: dict[str, str] = {}
    known: dict[str, str] = {}  # digest of a picture or copy -> the picture that has it
    captions: dict[str, dict[str, str]] = {PUBLISH: {}, KEEP: {}}
    taken: set[str] = set()
    for done, entry in enumerate(entries, start=1):
        try:
            picture = entry.read(rendering or Rendering())
            if picture.sha256 in known:
                raise PictureError(f"exact duplicate of {known[picture.sha256]}")
            if picture.rgb.shape[:2] != (picture.facts["height"], picture.facts["width"]):
                raise PictureError("so large a JPEG is read at half its size: save it as PNG")
            files = _encoded(picture, way, 1 + kept, secret, quality)
            digests = [hashlib.sha256(data).hexdigest() for data in files]
            if len({*digests}) < len(digests) or not known.keys().isdisjoint(digests):
                raise PictureError("its copies are alike, or like those of another picture")
        except PictureError as error:
            aside[entry.name] = str(error)
            continue
        known |= dict.fromkeys([picture.sha256, *digests], entry.name)
        by_digest = dict(sorted(zip(digests, files, strict=True)))
        first = [*by_digest][chosen_copy(secret, digests)]
        names = _names(entry.name, taken, kept, ".png" if quality is None else ".jpg")
        placed = {first: (PUBLISH, names[0])}
        placed |= {digest: (KEEP, name) for digest, name in zip([d for d in by_digest if d != first], names[1:])}
        for digest, (folder, name) in placed.items():
            _write(out / folder / name, by_digest[digest])
            if picture.caption:
                captions[folder][name] = picture.caption
        published, *others = (TwinCopy(file=name, sha256=digest) for digest, (_, name) in placed.items())
        twinned.append(TwinnedPicture(picture=entry.name, published=published, kept=tuple(others)))
        if progress:
            progress(done, len(entries))
    if not twinned:
        name, reason = next(iter(aside.items()))
        raise UserError(f"{shown(source)} holds no picture that twins can be made of ({name}: {reason})")
    for folder, told in captions.items():
        _write_captions(told, out / folder)
    twins = Twins(
        secret=secret,
        commitment=twins_commitment(secret, way, kept, (one.digests for one in twinned)),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        way=way,
        pictures=tuple(twinned),
        set_aside=tuple(SetAside(picture=name, reason=reason) for name, reason in sorted(aside.items())),
    )
    write_text(out / run_files.TWINS, twins.model_dump_json(indent=2) + "\n")  # last: without it a folder is unfinished
    return twins


def _check(out: Path, kept: int, quality: int | None) -> None:
    if not 1 <= kept <= MOST_KEPT:
        raise UserError(f"--kept {kept}: give 1 to {MOST_KEPT}")
    if quality is not None and not 1 <= quality <= 95:
        raise UserError(f"--quality {quality}: give 1 to 95")
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file, and copies are written to a folder: choose another --out")
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty: choose another --out")


def _encoded(picture: Picture, way: Way, n: int, secret: str, quality: int | None) -> list[bytes]:
    """The copies as files."""
    return [_file(one, quality) for one in copies(picture.rgb, way, n, "\x1f".join([KEY, secret, picture.sha256]))]


def _file(rgb: np.ndarray, quality: int | None) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(rgb))
    if quality is None:
        image.save(stream, "PNG", optimize=False)
    else:
        image.save(stream, "JPEG", quality=quality, subsampling=0)
    return stream.getvalue()


def _names(name: str, taken: set[str], kept: int, suffix: str) -> list[str]:
    """The published copy's name, which is the picture's with another suffix, and those of the kept ones."""
    stem = name.rpartition(".")[0] if is_picture(name) else name
    published = safe_name(stem + suffix, taken)
    stem = published.removesuffix(suffix)
    return [published, published, *(safe_name(f"{stem}~kept{number}{suffix}", taken) for number in range(2, kept + 1))]


def _write_captions(captions: Mapping[str, str], folder: Path) -> None:
    lines: Iterable[str] = [json.dumps({"file_name": name, "caption": text}) for name, text in captions.items()]
    if captions:
        write_text(folder / METADATA, "\n".join([*lines, ""]))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as stream:
        stream.write(data)
