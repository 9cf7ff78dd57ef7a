"""Models whose members are known. Those on which settings are tuned, and some held out, are trained here, by recipe.

    python -m benchmarks.targets --out DIR --faces DIR32 [--faces64 DIR64] [--only NAME ...]

Each becomes `DIR/NAME`, with its members in manifest.json; the same command goes on where it stopped. A snapshot counts
as a target of its own, NAME@PASSES. Faces are the caller's; designs are those that the demo's embedded model never saw,
captioned and grouped are all designs with their names in words, in one folder and in one a group. Where pictures have
labels the first so many (`--limit`) are of all labels.
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
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as in trainedon.cli; before torch loads

from benchmarks import flow
from trainedon.cli.terminal import Bars
from trainedon.embedded import demo
from trainedon.embedded import emoji as designs
from trainedon.errors import PictureError, UserError
from trainedon.files import write_json
from trainedon.pictures import scan
from trainedon.runs.folder import locked
from trainedon.training import AnyRecipe, Recipe, recipe_of
from trainedon.training import make as make_model

NAME = re.compile(r"[\w.@+-]+")


@dataclass(frozen=True)
class Made:
    """How a target is made.

    pictures: faces, faces64, designs, captioned or grouped, or another target: the pictures that it never saw. draw:
    how many are members; None: all. autoencoder, base: the target whose autoencoder is taken, or that is adapted.
    """

    pictures: str
    draw: int | None
    recipe: AnyRecipe
    snapshots: tuple[int, ...] = ()
    autoencoder: str | None = None
    base: str | None = None

    @property
    def before(self) -> tuple[str, ...]:
        """The targets that must have been made."""
        return tuple(name for name in (self.autoencoder, self.base) if name)


TUNING = {
    "faces-narrow": Made("faces", 128, Recipe(widths=(24, 48, 64), passes=400, seed=11), (150, 200)),
    "moji-v": Made(
        "designs", 160, Recipe(prediction="v_prediction", betas="squaredcos_cap_v2", passes=250, seed=12), (120,)
    ),
    "faces-flip": Made("faces", 128, Recipe(widths=(24, 48, 64), passes=400, seed=16, flip=True), (150, 200)),
    "moji-flip": Made("designs", 160, Recipe(widths=(24, 48, 64), passes=250, seed=17, flip=True), (120,)),
    "faces-weak": Made("faces", 768, Recipe(widths=(24, 48, 64), passes=60, seed=18), (15, 30)),
}
# Measured with the settings that were found on those above, and not looked at before.
HELD_OUT = {
    "faces64": Made("faces64", 96, Recipe(size=64, widths=(16, 32, 48, 64), passes=250, seed=13), (120,)),
    "faces-many": Made("faces", 384, Recipe(passes=120, seed=14)),
    "faces-mirrored": Made("faces", 192, Recipe(passes=300, seed=19, flip=True), (150,)),
    "faces-flow": Made("faces", 64, flow.FlowRecipe(widths=(24, 48, 64), passes=100, seed=26)),
}
# Beyond pixels. The autoencoder is no target, but what the others share.
LATENT = {
    "moji-kl": Made("captioned", None, recipe_of("autoencoder", seed=21)),
    "moji-text": Made(
        "captioned", 192, recipe_of("latent-text", widths=(48, 96), passes=150, seed=22), (75,), autoencoder="moji-kl"
    ),
    "moji-lora": Made("moji-text", 24, recipe_of("adapter", passes=150, seed=25), base="moji-text"),
    "moji-dit": Made("grouped", 192, recipe_of("dit", passes=160, seed=23), (80,), autoencoder="moji-kl"),
    "moji-ldm": Made(
        "captioned", 192, recipe_of("latent", widths=(48, 96), passes=150, seed=24), (75,), autoencoder="moji-kl"
    ),
    "faces-kl": Made("faces", None, recipe_of("autoencoder", seed=28)),
    "faces-ldm": Made(
        "faces", 192, recipe_of("latent", widths=(48, 96), passes=300, seed=29), (150,), autoencoder="faces-kl"
    ),
}
MADE = TUNING | HELD_OUT | LATENT
# On which a setting was chosen: `drc-latent` on snapshots of the last two.
CHOSEN_ON = {*TUNING, "moji-text", "moji-ldm"}


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
    split(manifest, (Stored(designs.render(Path(row["picture"]).stem)) for row in manifest["pictures"]), folder)
    return Known("openmoji", demo.model_folder(), folder / "members", folder / "unseen")


def manifest_of(model: Path) -> dict:
    """What a model's manifest.json says, or for a snapshot that of the model which it is one of."""
    for folder in (model, model.parent) if model.name.startswith("after-") else (model,):
        if (folder / "manifest.json").is_file():
            return json.loads((folder / "manifest.json").read_text("utf-8"))
    raise UserError(f"{model} has no manifest.json: write NAME=MODEL:MEMBERS:UNSEEN")


class Stored(NamedTuple):
    """A picture file's bytes, and what is known of the picture."""

    data: bytes
    label: int | None = None
    caption: str | None = None


def stored(source: Path) -> Iterator[Stored]:
    """The files of a source; unreadable ones are passed over. Raises UserError for arrays."""
    for entry in scan(source):
        try:
            data, caption = entry.data(), entry.caption
        except PictureError:
            continue
        if not isinstance(data, bytes):
            raise UserError(f"{source} holds arrays, not picture files: write NAME=MODEL:MEMBERS:UNSEEN")
        yield Stored(data, entry.label, caption)


def split(manifest: dict, pictures: Iterable[Stored], out: Path) -> None:
    """Copy pictures to `out/members` and `out/unseen` as the manifest says, each named by its digest, captions beside.

    By digest because names come from strangers, and because the first so many are then drawn at random: also of
    pictures with labels, whose folders lie below others of the digests' beginnings, so that these come first in order.
    The manifest is copied last, and where it lies nothing is done again. Raises UserError when pictures are missing,
    and when `out` holds those of another manifest.
    """
    done = out / "manifest.json"
    if done.exists():
        if json.loads(done.read_text("utf-8")) != manifest:
            raise UserError(f"{out} holds the pictures of another model: choose another --out")
        return
    wanted = {row["sha256"]: row["member"] for row in manifest["pictures"]}
    found = set()
    for data, label, caption in pictures:
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 in wanted and sha256 not in found:
            folder = out / ("members" if wanted[sha256] else "unseen")
            folder = folder if label is None else folder / sha256[:4] / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{sha256}.png").write_bytes(data)  # the content says what it is, not the suffix
            if caption is not None:
                (folder / f"{sha256}.txt").write_text(caption + "\n", "utf-8")
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


def all_designs(out: Path, *, groups: bool) -> Path:
    """All designs that have a name, with it as a caption, drawn into the folder `out`, whole or not at all."""
    if not out.exists():
        unfinished = out.with_name(f".{out.name}")
        designs.write(unfinished, captions=True, groups=groups)
        unfinished.replace(out)
    return out


def left_by(name: str, pictures: Path, out: Path) -> Path:
    """The pictures that a target of `out` never saw, parted from its members."""
    folder = out / "left-by" / name
    split(manifest_of(out / name), stored(pictures), folder)
    return folder / "unseen"


def make(name: str, made: Made, pictures: Path, out: Path, progress: Bars) -> list[str]:
    """Train one target into `out/NAME`; returns it and its snapshots as `known` reads them, if there is one to audit:
    an autoencoder is none, and an adapter is audited with its base."""
    folder = out / name
    with locked(folder):
        make_model(
            pictures,
            folder,
            made.recipe,
            draw=made.draw,
            autoencoder=out / made.autoencoder if made.autoencoder else None,
            base=out / made.base if made.base else None,
            snapshots=made.snapshots,
            progress=lambda what, done, total: progress(f"{name}: {what}", done, total),
        )
    if not any((folder / whole).exists() for whole in ("model_index.json", flow.WHOLE)):
        return []
    models = {name: folder} | {f"{name}@{passes}": folder / f"after-{passes}-passes" for passes in made.snapshots}
    return [f"{name}={model}:{pictures}" for name, model in models.items()]


def in_order(names: Iterable[str]) -> list[str]:
    """The targets of these names and those that they need, each once, and none before what it needs."""
    wanted = set(names)
    for name in reversed(MADE):  # what a target needs stands before it
        if name in wanted:
            wanted |= set(MADE[name].before)
    return [name for name in MADE if name in wanted]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="a folder for all of them")
    parser.add_argument("--faces", type=Path, help="pictures of 32 x 32 pixels or more, all of one kind")
    parser.add_argument("--faces64", type=Path, help="the same, of 64 x 64 pixels or more")
    parser.add_argument("--only", nargs="+", choices=MADE, default=list(MADE), help="these targets alone")
    given = parser.parse_args()
    try:
        sources = {"faces": given.faces, "faces64": given.faces64}
        names = in_order(given.only)
        asked = {MADE[name].pictures for name in names}
        if "designs" in asked:
            sources["designs"] = unseen_designs(given.out / "designs")
        for kind in {"captioned", "grouped"} & asked:
            sources[kind] = all_designs(given.out / kind, groups=kind == "grouped")
        specs = []
        with Bars() as bars:
            for name in names:
                kind = MADE[name].pictures
                if kind in MADE:
                    sources[kind] = left_by(kind, sources[MADE[kind].pictures], given.out)
                if pictures := sources[kind]:
                    specs += make(name, MADE[name], pictures, given.out, bars)
                else:
                    sys.stderr.write(f"{name} left out: give --{kind} DIR\n")
    except UserError as error:
        parser.exit(2, f"{error}\n")
    print("\n".join(specs))  # noqa: T201 (a command of its own)


if __name__ == "__main__":
    main()
