"""Models whose members are known. Those on which settings are tuned, and some held out, are trained here, by recipe.

    python -m benchmarks.targets --out DIR --faces DIR32 [--faces64 DIR64] [--only NAME ...]

Each becomes `DIR/NAME`, with its members in manifest.json; the same command goes on where it stopped. A snapshot counts
as a target of its own, NAME@PASSES. Faces are the caller's; designs are those that the demo's embedded model never saw.
A target whose pictures are not given is left out. What is printed in the end can be given to
`python -m benchmarks.accuracy --targets`, and what of it is in TUNING with `--calibrate`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as in trainedon.cli; before torch loads

from trainedon.demo import demo, designs
from trainedon.errors import PictureError, UserError
from trainedon.files import write_json
from trainedon.pictures import scan
from trainedon.runs.folder import locked
from trainedon.terminal import Bars
from trainedon.training import Recipe, draw_members, read_members, train

NAME = re.compile(r"[\w.@+-]+")


@dataclass(frozen=True)
class Made:
    """How a target is made. pictures: faces, faces64 or designs. draw: how many of them are members."""

    pictures: str
    draw: int
    recipe: Recipe
    snapshots: tuple[int, ...] = ()


TUNING = {
    "faces-narrow": Made("faces", 128, Recipe(widths=(24, 48, 64), passes=400, seed=11), (150, 200)),
    "moji-v": Made(
        "designs", 160, Recipe(prediction="v_prediction", betas="squaredcos_cap_v2", passes=250, seed=12), (120,)
    ),
}
# Measured with the settings that were found on those above, and not looked at before.
HELD_OUT = {
    "faces64": Made("faces64", 96, Recipe(size=64, widths=(16, 32, 48, 64), passes=250, seed=13), (120,)),
    "faces-many": Made("faces", 384, Recipe(passes=120, seed=14)),
}
MADE = TUNING | HELD_OUT


@dataclass(frozen=True)
class Known:
    """A model, pictures that it was trained on, and pictures like them that it never saw."""

    name: str
    model: Path
    members: Path
    unseen: Path


def known(text: str, out: Path) -> Known:
    """NAME=MODEL:MEMBERS:UNSEEN; or NAME=MODEL:PICTURES, where the model's manifest.json says which ones are members.

    For the second form the pictures are copied to `out/pictures/NAME/members` and `.../unseen`. Raises UserError for
    another form, a name that makes no folder, and pictures that are not those of the manifest.
    """
    name, equals, rest = text.partition("=")
    parts = rest.split(":")
    if not equals or len(parts) not in (2, 3) or not all(parts):
        raise UserError(f"{text!r} is no target: write NAME=MODEL:MEMBERS:UNSEEN, or NAME=MODEL:PICTURES")
    if not NAME.fullmatch(name) or name in (".", "..", "pictures"):
        raise UserError(f"a target cannot be called {name!r}: use letters, digits, and . _ - @ +")
    model, *sources = map(Path, parts)
    if len(sources) == 2:
        return Known(name, model, *sources)
    folder = out / "pictures" / name
    split(manifest_of(model), stored(sources[0]), folder)
    return Known(name, model, folder / "members", folder / "unseen")


def openmoji(out: Path) -> Known:
    """The demo's embedded model and all designs of its manifest, for which nothing but the package is needed."""
    folder = out / "pictures" / "openmoji"
    manifest = manifest_of(demo.model_folder())
    split(manifest, ((designs.render(Path(row["picture"]).stem), None) for row in manifest["pictures"]), folder)
    return Known("openmoji", demo.model_folder(), folder / "members", folder / "unseen")


def manifest_of(model: Path) -> dict:
    """What a model's manifest.json says, or for a snapshot that of the model which it is one of."""
    for folder in (model, model.parent) if model.name.startswith("after-") else (model,):
        if (folder / "manifest.json").is_file():
            return json.loads((folder / "manifest.json").read_text("utf-8"))
    raise UserError(f"{model} has no manifest.json: write NAME=MODEL:MEMBERS:UNSEEN")


def stored(source: Path) -> Iterator[tuple[bytes, int | None]]:
    """The files of a source and their labels; unreadable ones are passed over. Raises UserError for arrays."""
    for entry in scan(source):
        try:
            data = entry.data()
        except PictureError:
            continue
        if not isinstance(data, bytes):
            raise UserError(f"{source} holds arrays, not picture files: write NAME=MODEL:MEMBERS:UNSEEN")
        yield data, entry.label


def split(manifest: dict, pictures: Iterable[tuple[bytes, int | None]], out: Path) -> None:
    """Copy pictures to `out/members` and `out/unseen` as the manifest says, each named by its digest.

    By digest because names come from strangers, and because the first so many are then drawn at random. The manifest is
    copied last, and where it lies nothing is done again. Raises UserError when pictures are missing, and when `out`
    holds those of another manifest.
    """
    done = out / "manifest.json"
    if done.exists():
        if json.loads(done.read_text("utf-8")) != manifest:
            raise UserError(f"{out} holds the pictures of another model: choose another --out")
        return
    wanted = {row["sha256"]: row["member"] for row in manifest["pictures"]}
    found = set()
    for data, label in pictures:
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 in wanted and sha256 not in found:
            folder = out / ("members" if wanted[sha256] else "unseen") / ("" if label is None else str(label))
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{sha256}.png").write_bytes(data)  # the content says what it is, not the suffix
            found.add(sha256)
    if len(found) < len(wanted):
        raise UserError(f"{len(wanted) - len(found)} of {len(wanted)} pictures of the manifest are missing: give all")
    if len(set(wanted.values())) < 2:
        raise UserError("the manifest names no unseen picture: write NAME=MODEL:MEMBERS:UNSEEN")
    write_json(done, manifest)


def unseen_designs(out: Path) -> Path:
    """The designs that the demo's embedded model never saw, drawn into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    for row in manifest_of(demo.model_folder())["pictures"]:
        path = out / row["picture"]
        if not row["member"] and not path.exists():
            path.write_bytes(designs.render(path.stem))
    return out


def make(name: str, made: Made, pictures: Path, out: Path, progress: Bars) -> list[str]:
    """Train one target into `out/NAME`; returns it and its snapshots as `known` reads them."""
    folder = out / name
    with locked(folder):
        manifest = draw_members(pictures, folder, draw=made.draw, seed=made.recipe.seed)
        pixels, labels = read_members(pictures, manifest, made.recipe.size, made.recipe.channels)
        recipe = replace(made.recipe, classes=None if labels is None else int(labels.max()) + 1)
        train(
            pixels,
            folder,
            recipe,
            labels=labels,
            snapshots=made.snapshots,
            progress=lambda done, total, loss: progress(f"{name}, loss {loss:.4f}", done, total),
        )
    models = {name: folder} | {f"{name}@{passes}": folder / f"after-{passes}-passes" for passes in made.snapshots}
    return [f"{name}={model}:{pictures}" for name, model in models.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="a folder for all of them")
    parser.add_argument("--faces", type=Path, help="pictures of 32 x 32 pixels or more, all of one kind")
    parser.add_argument("--faces64", type=Path, help="the same, of 64 x 64 pixels or more")
    parser.add_argument("--only", nargs="+", choices=MADE, default=list(MADE), help="these targets alone")
    given = parser.parse_args()
    try:
        sources = {"faces": given.faces, "faces64": given.faces64}
        if any(MADE[name].pictures == "designs" for name in given.only):
            sources["designs"] = unseen_designs(given.out / "designs")
        specs = []
        with Bars() as bars:
            for name in given.only:
                if pictures := sources[MADE[name].pictures]:
                    specs += make(name, MADE[name], pictures, given.out, bars)
                else:
                    sys.stderr.write(f"{name} left out: give --{MADE[name].pictures} DIR\n")
    except UserError as error:
        parser.exit(2, f"{error}\n")
    print("\n".join(specs))  # noqa: T201 (a command of its own)


if __name__ == "__main__":
    main()
