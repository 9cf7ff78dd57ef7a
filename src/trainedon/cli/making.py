"""Commands before there is a model to audit: draw, twins, train and convert."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from trainedon import api
from trainedon.api import Reading
from trainedon.checks import check_sources
from trainedon.cli.option_groups import MOST, FollowLinks, here
from trainedon.cli.terminal import Bars, say, say_besides
from trainedon.errors import UserError


def convert(
    *,
    checkpoint: Annotated[Path, typer.Argument(help="A pickled checkpoint of PyTorch: .pt, .pth, .ckpt, .bin.")],
    out: Annotated[Path, typer.Option(callback=here, help="A new folder, to which its tensors are written.")],
    only: Annotated[
        str | None, typer.Option(help="Take this key of the checkpoint alone, such as ema; all but optimisers else.")
    ] = None,
) -> None:
    """Take the tensors out of a pickled checkpoint, as safetensors; none of its code runs."""
    from trainedon.reporting.words import plural

    found = api.convert(checkpoint, out, only)
    for name, (key, tensors) in found.files.items():
        where = "at the top" if key is None else f"of {key!r}"
        begin = f"; all their names begin with {found.begins[name]!r}" if name in found.begins else ""
        say(f"{out / name}: {plural(tensors, 'tensor')}, {where}{begin}")
    if found.values:
        say(f"{out / 'convert.json'}: {plural(len(found.values), 'value')}: {_few([*found.values])}")
    if found.aside:
        say(f"Left out: {', '.join(found.aside)}; --only KEY takes one of them.")
    if found.dropped:
        say(f"Neither tensors nor short values, and left out: {_few(found.dropped)}.")
    if found.unknown:
        say(f"Named in it, and not opened: {_few(found.unknown)}.")
    first = quote(str(out / next(iter(found.files))))
    say(
        f"Next: `trainedon audit {first} ...`, if it is Stable Diffusion, SDXL or Flux in one file. Any other network "
        "is built by its own code, which loads this file: audit it as my_module:make_target (docs/own-networks.md)."
    )


def _few(names: Sequence[str]) -> str:
    """Up to six of them."""
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def draw(
    *,
    pictures: Annotated[str, typer.Argument(help="Folder, parquet or tar of the pictures that coins are tossed for.")],
    out: Annotated[
        Path, typer.Option(callback=here, help="A new folder: included/, held-out/ and draw.json are written there.")
    ],
    secret: Annotated[str | None, typer.Option(help="Decides the coins; drawn at random when not given.")] = None,
    follow_links: FollowLinks = False,
) -> None:
    """Before training: let chance decide which pictures a model is given. Gives the strongest evidence afterwards."""
    with Bars() as bars:
        drawn = api.draw(pictures, out, secret, follow_links=follow_links, progress=bars)
    say_besides(pictures, follow_links)
    included = sum(picture.included for picture in drawn.pictures)
    say(f"Included: {included} pictures, in {out / 'included'}: train on all of these.")
    say(f"Held out: {len(drawn.pictures) - included}, in {out / 'held-out'}: keep them from the model.")
    if drawn.set_aside:
        say(f"Set aside: {len(drawn.set_aside)}; draw.json says why.")
    say(f"Publish this now, and draw.json only after training: {drawn.commitment}")


def twins(
    *,
    pictures: Annotated[
        str, typer.Argument(help="Folder, parquet, .npz or .tar file of the pictures that are to be published.")
    ],
    out: Annotated[
        Path, typer.Option(callback=here, help="A new folder: publish/, kept/ and twins.json are written there.")
    ],
    way: Annotated[
        str,
        typer.Option(
            help="How the copies of a picture differ. crop: by a few pixels of its cut. turn: by a degree or two. "
            "pattern: by a pattern below what is seen. mirror: by left and right, where nothing in the pictures is "
            "handed. auto: crop, which is found best again."
        ),
    ] = "auto",
    kept: Annotated[
        int, typer.Option(min=1, max=99, help="Copies of each picture that are kept; several say more of one picture.")
    ] = 1,
    quality: Annotated[
        int | None, typer.Option(min=1, max=95, help="Write JPEG files of this quality; PNG when not given.")
    ] = None,
    secret: Annotated[
        str | None, typer.Option(help="Decides copies and coins; drawn at random when not given.")
    ] = None,
    reading: Reading,
) -> None:
    """Before publishing: make copies of each picture, and let chance decide which one is published. Strong evidence
    afterwards, without a trainer's help and without other pictures."""
    with Bars() as bars:
        made = api.twins(
            pictures, out, way=way, kept=kept, quality=quality, secret=secret, reading=reading, progress=bars
        )
    say_besides(pictures, reading.follow_links)
    n, one = len(made.pictures), "copy" if kept == 1 else "copies"
    say(f"To publish: {n} pictures, in {out / 'publish'}; these and no other copies, nor the originals.")
    say(f"To keep: {kept} {one} of each, in {out / 'kept'}, and {out / 'twins.json'}: show them to nobody.")
    if made.set_aside:
        say(f"Set aside: {len(made.set_aside)}; twins.json says why.")
    say(f"Publish this now, with a date that others can check: {made.commitment}")


def train(
    *,
    pictures: Annotated[str, typer.Argument(help="Folder, parquet, .npz or .tar file, to draw the members from.")],
    out: Annotated[
        Path, typer.Option(callback=here, help="The model's folder; the same command goes on where it stopped.")
    ],
    draw: Annotated[
        int | None, typer.Option(min=1, help="How many members are drawn at random; all when not given.")
    ] = None,
    shadows: Annotated[
        int | None,
        typer.Option(
            min=2, max=10_000, help="Train this many shadow models, each on its own draw (half when not given)."
        ),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(help="pixel (when not given), latent, latent-text, dit, or autoencoder, which serves these."),
    ] = None,
    autoencoder: Annotated[
        Path | None, typer.Option(help="Take the autoencoder of this trained model, instead of training one first.")
    ] = None,
    adapter_of: Annotated[
        Path | None, typer.Option(help="Train no model but a LoRA for this one, which is of family latent-text.")
    ] = None,
    rank: Annotated[int | None, typer.Option(min=1, help="With --adapter-of: the rank of each change; 8.")] = None,
    seed: Annotated[int, typer.Option(min=-MOST, max=MOST, help="Seed of the draw, the weights and the noise.")] = 0,
    size: Annotated[int | None, typer.Option(min=8, max=1024, help="Side of the pictures in pixels; 32.")] = None,
    grey: Annotated[bool, typer.Option(help="One channel instead of three.")] = False,
    passes: Annotated[
        int | None, typer.Option(min=1, help="Passes over the members; 400, for an autoencoder 20, for a LoRA 200.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="16; for a LoRA 8.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(min=0, help="Highest; it decays to zero. 8e-4; autoencoder and LoRA 2e-3.")
    ] = None,
    widths: Annotated[
        str | None,
        typer.Option(help="Channels of each level; pixel 32,64,96, latent 64,128, dit 128, autoencoder 16,32,64."),
    ] = None,
    layers: Annotated[int | None, typer.Option(min=1, help="Blocks a level; 1, for dit 6.")] = None,
    attention: Annotated[bool | None, typer.Option(help="Self-attention at the lowest level; with.")] = None,
    betas: Annotated[
        str | None,
        typer.Option(help="linear (pixel), scaled_linear (latent), squaredcos_cap_v2, sigmoid."),
    ] = None,
    prediction: Annotated[str | None, typer.Option(help="epsilon, sample, v_prediction; epsilon.")] = None,
    zero_snr: Annotated[
        bool | None, typer.Option("--zero-snr", help="Rescale the betas to zero terminal signal-to-noise ratio.")
    ] = None,
    flip: Annotated[
        bool | None,
        typer.Option("--flip", help="Mirror pictures by a coin whenever they are trained on; pixel alone."),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            help="Change pictures at random whenever they are trained on: crop (80 to 100 % of the side), colour (up "
            "to 10 %), or crop,colour; pixel alone."
        ),
    ] = None,
    snapshot: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Also keep the model as it is after this many passes; may be given several times."),
    ] = None,
    reading: Reading,
) -> None:
    """Train a small diffusion model whose members are known, or a LoRA for one, or several shadow models."""
    from trainedon.training import Recipe, recipe_of

    recipe = recipe_of(
        family or ("pixel" if adapter_of is None else "adapter"),
        rank=rank,
        size=size,
        channels=1 if grey else None,
        widths=_widths(widths) if widths else None,
        attention=attention,
        layers=layers,
        betas=betas,
        prediction=prediction,
        zero_snr=zero_snr,
        flip=flip,
        augment=tuple(name.strip() for name in augment.split(",")) if augment else None,
        passes=passes,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
    )
    if shadows is not None and snapshot:
        raise UserError("--snapshot keeps one model as it was, and --shadows trains several: give one of the two")
    if shadows is not None and recipe.family != Recipe.family:
        raise UserError(f"shadow models are of family pixel, not {recipe.family}: leave out --shadows or the other")
    check_sources([pictures])
    say_besides(pictures, reading.follow_links)
    with Bars() as bars:
        if isinstance(recipe, Recipe) and shadows is not None:
            api.train_shadows(pictures, out, recipe, models=shadows, draw=draw, reading=reading, progress=bars)
            say(f"{shadows} shadow models: {out}; give it to attacks as --shadows {out}")
            return
        manifest = api.train(
            pictures,
            out,
            recipe,
            draw=draw,
            autoencoder=autoencoder,
            adapter_of=adapter_of,
            snapshots=snapshot or (),
            reading=reading,
            progress=bars,
        )
    say(f"Model: {out}; its {manifest['members']} members are named in {out / 'manifest.json'}")


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(width) for width in text.split(","))
    except ValueError:
        raise UserError(f"--widths {text!r}: give whole numbers joined by commas, such as 32,64,96") from None
