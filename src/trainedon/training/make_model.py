"""From a source of pictures to a model whose members are known, of any family."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from trainedon.errors import UserError
from trainedon.pictures import Rendering
from trainedon.pictures.pixels.rendering import DEFAULT
from trainedon.training.families import AdapterRecipe, AnyRecipe, AutoencoderRecipe, LatentRecipe, Material, Recipe
from trainedon.training.families.adapter import adapted
from trainedon.training.families.autoencoder import autoencoder_digest, open_autoencoder
from trainedon.training.manifest import Manifest, draw_members, read_named
from trainedon.training.train import learn

AUTOENCODER = "autoencoder"  # folder below a model's own, of the one that was trained for it
Progress = Callable[[str, int, int], None]


def make(
    source: str | Path,
    out: Path,
    recipe: AnyRecipe,
    *,
    draw: int | None = None,
    autoencoder: Path | None = None,
    base: Path | None = None,
    snapshots: Sequence[int] = (),
    rendering: Rendering = DEFAULT,
    progress: Progress,
    follow_links: bool = False,
) -> Manifest:
    """Draw `draw` members (None: all) from the source, train on them, and write the model to `out`; its manifest.

    autoencoder: a folder that has one, for families that learn in latents; when None, one is trained first, on every
    usable picture of the source, into `out/autoencoder`. base: the model that an adapter is for.
    rendering: how pictures become pixels.
    The same call goes on where it stopped. Raises UserError when pictures lack the captions or labels that the family
    needs, and as `draw_members` and `learn` do.
    """
    if autoencoder is not None and not isinstance(recipe, LatentRecipe):
        raise UserError(f"family {recipe.family} takes no autoencoder: leave out --autoencoder")
    if isinstance(recipe, AutoencoderRecipe) and draw is not None:
        raise UserError("an autoencoder is trained on every picture, so that it knows no members: leave out --draw")
    if base is not None and not isinstance(recipe, AdapterRecipe):
        raise UserError(f"a model to adapt is for family adapter, not {recipe.family}: leave out --adapter-of")
    if isinstance(recipe, AdapterRecipe):
        if base is None:
            raise UserError("an adapter needs a model to adapt: give --adapter-of MODEL")
        recipe = adapted(recipe, base)
    manifest = draw_members(
        source,
        out,
        draw=draw,
        seed=recipe.seed,
        condition=recipe.condition,
        rendering=rendering,
        progress=lambda done, total: progress("reading pictures", done, total),
        follow_links=follow_links,
    )
    named = [row["picture"] for row in manifest["pictures"] if row["member"]]
    assert recipe.size is not None and recipe.channels is not None, "`adapted` fills them in"
    members = read_named(source, set(named), recipe.size, recipe.channels, rendering, follow_links)
    material = Material(members.pixels, members.labels, members.captions, base=base)
    if isinstance(recipe, LatentRecipe):
        folder = autoencoder or _own_autoencoder(source, out, recipe, rendering, progress, follow_links)
        recipe = replace(recipe, autoencoder=autoencoder_digest(folder))
        texts = tuple(row.get("caption") or "" for row in manifest["pictures"])
        material = replace(material, autoencoder=open_autoencoder(folder), texts=texts)
    if (type(recipe) is Recipe or recipe.condition == "label") and members.labels is not None:
        others = [row.get("label") or 0 for row in manifest["pictures"]]  # who may be asked about later
        recipe = replace(recipe, classes=max(*others, int(members.labels.max())) + 1)
    learn(material, out, recipe, snapshots, progress=_with_loss(progress, "training"))
    return manifest


def _own_autoencoder(
    source: str | Path, out: Path, recipe: LatentRecipe, rendering: Rendering, progress: Progress, follow_links: bool
) -> Path:
    """The folder of one that is trained on all that the source has, whoever is drawn as a member."""
    own = AutoencoderRecipe(size=recipe.size, channels=recipe.channels, seed=recipe.seed)
    told = partial(_of_autoencoder, progress)
    make(source, out / AUTOENCODER, own, rendering=rendering, progress=told, follow_links=follow_links)
    return out / AUTOENCODER


def _of_autoencoder(progress: Progress, what: str, done: int, total: int) -> None:
    progress(f"autoencoder: {what}", done, total)


def _with_loss(progress: Progress, what: str) -> Callable[[int, int, float], None]:
    return lambda done, total, loss: progress(what if math.isnan(loss) else f"{what}, loss {loss:.4f}", done, total)
