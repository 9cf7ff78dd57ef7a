"""Options that several functions take alike: what is asked, where the work is done, how pictures are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainedon.errors import UserError
from trainedon.spec import check_fields, shown

if TYPE_CHECKING:
    from trainedon.pictures import Rendering
    from trainedon.pictures.works import SourceFrom


@dataclass(frozen=True)
class Choices:
    """What is asked of every attack and picture alike.

    seed: of the noise that attacks draw. limit: the first so many pictures of each source, in sorted order; None: all.
    caption: all pictures are asked about with this one; None: each with its own. labels: where classes come from for a
    class-conditional model: `auto`, `folders` or `infer`. Raises UserError for a limit below 1.
    """

    seed: int = 0
    limit: int | None = None
    caption: str | None = None
    labels: str = "auto"

    def __post_init__(self) -> None:
        check_fields(self, "Choices")
        _at_least_one("limit", self.limit)


@dataclass(frozen=True)
class Machine:
    """How a model is opened, and where the work is done.

    batch_size: rows that go through the network at once, fewer where memory has no room for them; None: 32 on a CPU, 1
    there of a large network, 64 elsewhere. device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`. precision: `float32`,
    `bfloat16` or `float16`, or `auto`: as the model's files on CUDA, float32 elsewhere; compile: by `torch.compile`;
    both change scores slightly. adapter: LoRAs that are fused into a latent model, `PATH:0.6` for part of the change.
    base: of a model in one file, a diffusers folder with what the file lacks. size: side of the pictures in pixels, if
    a latent model shall see another than its own. offload: `model` or `sequential`; slicing: both save memory on large
    models.
    engine: `local`, or `ray` with the `address` of a cluster. workers: how many processes take the inventory, and with
    `ray` score too; None: one a core or card. Raises UserError for a batch size or workers below 1.
    """

    batch_size: int | None = None
    device: str = "auto"
    precision: str = "auto"
    compile: bool = False
    adapter: Sequence[str] | None = None
    base: Path | None = None
    size: int | None = None
    offload: str | None = None
    slicing: bool = False
    engine: str = "local"
    address: str | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        check_fields(self, "Machine")
        _at_least_one("batch_size", self.batch_size)
        _at_least_one("workers", self.workers)


@dataclass(frozen=True)
class Reading:
    """How pictures are found and become pixels, on which training programs differ.

    alpha: `white`, `black` or `drop`, or `auto`, which asks the model where it matters. orientation: `exif`, `stored`
    or `auto`. fit: `crop`, `squash` or `pad`. resample: `lanczos`, `bicubic`, `bilinear`, `box` or `nearest`.
    follow_links: whether links that lead out of a folder of pictures are followed. source_from: what says whose work a
    picture is, where scores depend on that: `folder`, the first one below the folder that is given; or `column`, that
    of a parquet table called source, artist or author. Raises UserError for another one.
    """

    alpha: str = "auto"
    orientation: str = "auto"
    fit: str = "crop"
    resample: str = "lanczos"
    follow_links: bool = False
    source_from: str | None = None

    def __post_init__(self) -> None:
        check_fields(self, "Reading")
        _ = self.sources  # a wrong one is refused at once

    @property
    def sources(self) -> SourceFrom | None:
        """What says whose work a picture is. Raises UserError for a choice that there is not."""
        if self.source_from is None:
            return None
        from trainedon.pictures.works import known_source

        return known_source(self.source_from)

    def without_sources(self, what: str) -> None:
        """Raises UserError, with `what` is asked, where it was said whose works the pictures are and nothing asks."""
        if self.source_from is not None:
            raise UserError(f"--source-from is for audits, which deal labels by it: leave it out for {what}")

    @property
    def rendering(self) -> Rendering:
        """What the reader of pictures takes. Raises UserError for a choice that there is not."""
        from trainedon.pictures import Rendering

        return Rendering(self.alpha, self.orientation, self.fit, self.resample)


def _at_least_one(name: str, number: int | None) -> None:
    if number is not None and number < 1:
        raise UserError(f"{name} {number}: give 1 or more, or None")


CHOICES, MACHINE, READING = Choices(), Machine(), Reading()
EXAMPLES = {Choices: "Choices(seed=1)", Machine: 'Machine(device="cpu")', Reading: 'Reading(fit="pad")'}


def check_call(model: object, sets: Mapping[str, object], places: Mapping[str, object], **options: object) -> None:
    """What a function was called with, before anything is done with it.

    sets: name -> its pictures. places: name of an argument -> what it names; None where it is not given. options:
    `choices`, `machine`, `reading`. Raises UserError, with what to give, for another type.
    """
    if not isinstance(model, str | Path) and not hasattr(model, "denoise"):
        raise UserError(
            f"the model is {shown(model)}: give its path or hub id, or what load_target or Target.of returned"
        )
    for name, place in sets.items():
        if not isinstance(place, str | Path):
            raise UserError(
                f"the {name} pictures are {shown(place)}: give a path or a URL of a folder, parquet, .npz or .tar file"
            )
    for name, place in places.items():
        if place is not None and not isinstance(place, str | Path):
            raise UserError(f"{name} is {shown(place)}: give a path, or None")
    for name, given in options.items():
        kind = next(kind for kind in EXAMPLES if kind.__name__.lower() == name)
        if not isinstance(given, kind):
            raise UserError(f"{name} is {shown(given)}: give {name}={EXAMPLES[kind]}")
