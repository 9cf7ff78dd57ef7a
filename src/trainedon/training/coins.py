"""Toss a coin for every picture before a model is trained, so that chance alone tells used pictures from the others."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from trainedon import run_files
from trainedon.errors import UserError
from trainedon.evidence import Draw, DrawnPicture, SetAside, check_secret, coin, commitment, near_duplicates
from trainedon.files import write_atomically, write_text
from trainedon.pictures import Entry, Item, scan, shown, take_inventory
from trainedon.pictures.listing.captions import METADATA
from trainedon.pictures.pixels.names import is_picture
from trainedon.safe_names import safe_name

FOLDERS = {True: "included", False: "held-out"}


def draw_pictures(
    source: str | Path,
    out: Path,
    secret: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    follow_links: bool = False,
) -> Draw:
    """Copy each usable picture of `source`, and its caption, into `out/included` or `out/held-out`, by its coin, and
    write `draw.json`. Names that not every system can hold are spelled anew (`safe_name`), as `draw.json` says.

    Of near-duplicates one takes part; the others, and pictures that cannot be used, are set aside, so that no picture
    that was held out is nearly one that was included. secret: decides the coins; drawn from the system's randomness
    when None. progress: called with (done, total). follow_links: as `scan` has it.
    Raises UserError when `out` is not empty, `source` holds arrays, which have no file to copy, or the secret holds
    what parts it from digests.
    """
    secret = secret or secrets.token_hex(16)
    check_secret(secret)
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file, and pictures are copied to a folder: choose another --out")
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty: choose another --out")
    entries = scan(source, follow_links=follow_links)
    items = take_inventory(entries, "member", progress=progress)
    aside = {item.picture: item.reason for item in items if item.reason is not None}
    first: dict[str, str] = {}
    names = near_duplicates([vars(item) for item in items])
    for item in sorted(items, key=lambda item: str(item.sha256)):
        cluster = names.get((item.set, item.picture))
        if cluster is not None and first.setdefault(cluster, item.picture) != item.picture:
            aside[item.picture] = f"near-duplicate of {first[cluster]}"
    drawn = [item for item in items if item.picture not in aside]
    if not drawn:
        raise UserError(f"{shown(source)} holds no picture that can be used")
    chosen = {item.picture: coin(secret, str(item.sha256)) for item in drawn}
    formats = {item.picture: str(item.format).lower() for item in drawn}
    files: dict[str, str] = {}
    taken: set[str] = set()
    for entry in entries:
        if entry.name in chosen and entry.name not in files:
            suffix = "" if is_picture(entry.name) else f".{formats[entry.name]}"
            files[entry.name] = safe_name(entry.name, taken, suffix)
            _copy(entry, out / FOLDERS[chosen[entry.name]] / files[entry.name])
    for included, name in FOLDERS.items():
        _copy_captions([item for item in drawn if chosen[item.picture] is included], files, out / name)
    draw = Draw(
        secret=secret,
        commitment=commitment(secret, [str(item.sha256) for item in drawn]),
        pictures=tuple(
            DrawnPicture(
                picture=item.picture,
                sha256=str(item.sha256),
                included=chosen[item.picture],
                file=None if files[item.picture] == item.picture else files[item.picture],
            )
            for item in drawn
        ),
        set_aside=tuple(SetAside(picture=name, reason=str(reason)) for name, reason in sorted(aside.items())),
    )
    write_text(out / run_files.DRAW, draw.model_dump_json(indent=2) + "\n")  # last: a folder without it is unfinished
    return draw


def _copy_captions(items: Iterable[Item], files: Mapping[str, str], folder: Path) -> None:
    """Captions of the pictures in `folder`, if any, wherever they came from, as `scan` reads them."""
    lines = [json.dumps({"file_name": files[item.picture], "caption": item.caption}) for item in items if item.caption]
    if lines:
        write_text(folder / METADATA, "\n".join([*lines, ""]))


def _copy(entry: Entry, path: Path) -> None:
    """The entry's bytes as a file."""
    data = entry.data()
    if not isinstance(data, bytes):
        raise UserError("pictures in arrays cannot be drawn: save them as picture files in a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as stream:
        stream.write(data)
