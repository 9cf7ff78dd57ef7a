"""Folders, links, pictures and tables that are none, or claim more than they hold."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hostile.cases import hostile
from PIL import Image


def _picture(number: int, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def _folder(place: Path) -> Path:
    folder = place / "pictures"
    folder.mkdir()
    (folder / "a.png").write_bytes(_picture(0))
    return folder


def _drawn(source: str = "pictures") -> list[str]:
    return [source, "--out", "drawn", "--secret", "s"]


@hostile("link out of the folder", code=0, command="draw")
def a_link_out_of_the_folder(place: Path) -> list[str]:
    (_folder(place) / "b.png").symlink_to("/etc/hostname")
    return _drawn()


@hostile("link out of the folder", code=0, command="draw")
def a_caption_that_is_a_link_to_a_secret(place: Path) -> list[str]:
    (_folder(place) / "a.txt").symlink_to("/etc/hostname")
    return _drawn()


@hostile("add --follow-links", command="draw")
def nothing_but_links(place: Path) -> list[str]:
    _folder(place)
    (place / "links").mkdir()
    (place / "links" / "a.png").symlink_to(place / "pictures" / "a.png")
    return _drawn("links")


@hostile("Set aside: 1", code=0, command="draw")
def a_pipe_called_as_a_picture(place: Path) -> list[str]:
    os.mkfifo(_folder(place) / "b.png")
    return _drawn()


@hostile("not a regular file", command="draw")
def a_pipe_called_as_metadata(place: Path) -> list[str]:
    folder = _folder(place)
    (place / "pipe").mkdir()
    os.mkfifo(place / "pipe" / "metadata.jsonl")
    (folder / "metadata.csv").symlink_to("/dev/zero")
    return _drawn("pipe/metadata.jsonl")


@hostile("run of trainedon", code=0, command="draw")
def a_run_among_the_pictures(place: Path) -> list[str]:
    run = _folder(place) / "run" / "evidence"
    run.mkdir(parents=True)
    (run / "b.png").write_bytes(_picture(1))
    (run.parent / "run.json").write_text('{"schema_version": 1, "status": "complete", "kind": "audit"}')
    return _drawn()


@hostile("is a draw of trainedon", command="draw")
def a_draw_as_the_pictures(place: Path) -> list[str]:
    folder = _folder(place)
    (folder / "draw.json").write_text(f'{{"schema_version": 1, "secret": "s", "commitment": "{"0" * 64}"}}')
    return _drawn()


@hostile("Set aside: 1", code=0, command="draw")
def a_ppm_whose_comment_never_ends(place: Path) -> list[str]:
    (_folder(place) / "b.ppm").write_bytes(b"P6\n#" + b"a" * 150_000_000 + b"\n8 8\n255\n" + bytes(192))
    return _drawn()


@hostile("stand for 200000 rows", command="draw")
def a_table_of_one_large_picture_again_and_again(place: Path) -> list[str]:
    value = pa.array([_picture(0) + bytes(50_000_000)])
    rows = pa.DictionaryArray.from_arrays(pa.array(np.zeros(200_000, np.int32)), value)
    pq.write_table(pa.table({"image": rows}), place / "t.parquet", store_schema=False, write_statistics=False)
    return _drawn("t.parquet")


@hostile("holds more than 512 MiB", command="draw")
def a_table_whose_names_are_pages_of_nothing(place: Path) -> list[str]:
    table = pa.table({"image": [_picture(0)] * 2, "name": ["a" * 300_000_000] * 2})
    pq.write_table(table, place / "t.parquet", compression="zstd", use_dictionary=False, write_statistics=False)
    return _drawn("t.parquet")
