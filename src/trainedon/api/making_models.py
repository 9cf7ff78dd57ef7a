"""Before there is a model to audit: coins that decide about pictures, models whose members are known, checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from trainedon.api.options import READING, Reading
from trainedon.checks import check_sources
from trainedon.errors import UserError

if TYPE_CHECKING:
    from trainedon.attacks import Progress
    from trainedon.evidence import Draw, Twins
    from trainedon.targets.checkpoints.convert import Converted
    from trainedon.training import AnyRecipe, Manifest, Recipe


def convert(checkpoint: str | Path, out: str | Path, only: str | None = None) -> Converted:
    """The tensors of a pickled checkpoint (`.pt`, `.pth`, `.ckpt`, `.bin`) as safetensors, without running its code.

    out: a new folder, to which a file is written for each dictionary of tensors at the checkpoint's top (`model`,
    `ema`, ...), and `convert.json`, which lists them and what was left. only: the one to take. Raises UserError for a
    file that is no checkpoint of PyTorch, or holds no tensors, and for an `out` that holds something.
    """
    from trainedon.targets.checkpoints.convert import convert as converted

    return converted(checkpoint, out, only)


def draw(
    pictures: str | Path,
    out: str | Path,
    secret: str | None = None,
    *,
    follow_links: bool = False,
    progress: Progress | None = None,
) -> Draw:
    """Let chance decide, before training, which pictures a model is given: the strongest evidence afterwards.

    pictures: a folder, parquet or tar. out: a new folder, to which `included/`, `held-out/` and `draw.json` are
    written. secret: decides the coins; drawn at random when None. Raises UserError when `out` holds something.
    """
    from trainedon.attacks.core.answers import silent
    from trainedon.training import draw_pictures

    told = partial(progress or silent, "reading pictures")
    return draw_pictures(pictures, Path(out), secret, progress=told, follow_links=follow_links)


def twins(
    pictures: str | Path,
    out: str | Path,
    *,
    way: str = "auto",
    kept: int = 1,
    quality: int | None = None,
    secret: str | None = None,
    reading: Reading = READING,
    progress: Progress | None = None,
) -> Twins:
    """Of each picture make copies that serve equally well, and let a secret coin choose the one to be published.

    pictures: as of `audit`. out: a new folder, to which `publish/`, `kept/` and `twins.json` are written. way: how the
    copies differ: `crop`, `turn`, `pattern` or `mirror`, or `auto`. kept: how many copies of each are kept. quality:
    that of JPEG files, 1..95; None: PNG. secret: decides copies and coins; drawn at random when None. reading: how
    pictures are found, and what becomes of transparency and orientation.
    Raises UserError when `out` holds something, or for an argument that cannot be used.
    """
    from trainedon.attacks.core.answers import silent
    from trainedon.twinning import known_way, make_twins

    reading.without_sources("twins")
    if (reading.fit, reading.resample) != (READING.fit, READING.resample):
        raise UserError("copies keep the size of their picture: leave out --fit and --resample")
    check_sources([pictures])
    return make_twins(
        pictures,
        Path(out),
        known_way(way),
        kept=kept,
        quality=quality,
        secret=secret,
        rendering=reading.rendering,
        progress=partial(progress or silent, "making copies"),
        follow_links=reading.follow_links,
    )


def train(
    pictures: str | Path,
    out: str | Path,
    recipe: AnyRecipe | None = None,
    *,
    draw: int | None = None,
    autoencoder: str | Path | None = None,
    adapter_of: str | Path | None = None,
    snapshots: Sequence[int] = (),
    reading: Reading = READING,
    progress: Progress | None = None,
) -> Manifest:
    """Train a small diffusion model whose members are known, or a LoRA for one; the model's manifest.

    recipe: of `trainedon.recipe_of`; the family `pixel` when None. draw: how many members are drawn at random;
    None: all. autoencoder: that of a trained model, for a family in latents. adapter_of: the model that a LoRA is for.
    snapshots: the model as it is after so many passes is kept too. The same call goes on where it stopped.
    Raises UserError for what does not go together, and an `out` that holds something else.
    """
    from trainedon.attacks.core.answers import silent
    from trainedon.runs.folder import locked
    from trainedon.training import check_ours, make, recipe_of

    reading.without_sources("a training")
    check_sources([pictures])
    check_ours(Path(out))
    with locked(Path(out)):
        return make(
            pictures,
            Path(out),
            recipe or recipe_of("pixel"),
            draw=draw,
            autoencoder=None if autoencoder is None else Path(autoencoder),
            base=None if adapter_of is None else Path(adapter_of),
            snapshots=snapshots,
            rendering=reading.rendering,
            progress=progress or silent,
            follow_links=reading.follow_links,
        )


def train_shadows(
    pictures: str | Path,
    out: str | Path,
    recipe: Recipe | None = None,
    *,
    models: int,
    draw: int | None = None,
    reading: Reading = READING,
    progress: Progress | None = None,
) -> Path:
    """Train several shadow models, each on its own random draw; their folder, for `shadows=`.

    recipe: of the family `pixel`. models: how many, 2 or more. draw: members of each; None: half of the pictures. The
    same call goes on where it stopped. Raises UserError as `train`.
    """
    from trainedon import training
    from trainedon.attacks.core.answers import silent
    from trainedon.runs.folder import locked

    reading.without_sources("a training")
    check_sources([pictures])
    training.check_shadows_folder(Path(out))
    with locked(Path(out)):
        training.train_shadows(
            pictures,
            Path(out),
            recipe or training.Recipe(),
            models=models,
            draw=draw,
            rendering=reading.rendering,
            progress=progress or silent,
            follow_links=reading.follow_links,
        )
    return Path(out)
