"""Options, each declared once; and groups of them, dataclasses that a command takes as one parameter."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from trainedon.errors import UserError

ADDRESS = re.compile(r"[\w+.-]{2,}:/")  # what a path makes of one
MOST = 2**53  # the largest number that every reader of JSON reads as it is

Model = Annotated[
    str,
    typer.Argument(
        help="Local diffusers folder, a checkpoint (.safetensors), hub id (owner/name\\[@revision]), or, for a network "
        "of your own, my_module:callable (docs/own-networks.md)."
    ),
]
Out = Annotated[
    str,
    typer.Option(help="The run folder, a path or a URL (s3://...): new, or that of the same command, which goes on."),
]
Attacks = Annotated[str, typer.Option(help="Attacks, such as 'drc, loss(t=100)', or all. See `trainedon attacks`.")]
AuditAttacks = Annotated[
    str | None,
    typer.Option(
        help="Attacks, such as 'drc, loss(t=100)', or all. See `trainedon attacks`. When not given: drc, "
        "without unseen pictures minus its score of the mirror image, and with twins the one that is best for these."
    ),
]
PlannedAttacks = Annotated[
    str | None,
    typer.Option(help="Attacks, such as 'drc, loss(t=100)', or all. When not given: drc, as `audit` asks with it."),
]
Seed = Annotated[int, typer.Option(min=-MOST, max=MOST, help="Seed of the noise that attacks draw.")]
Limit = Annotated[
    int | None, typer.Option(min=1, max=MOST, help="Take the first N pictures of each source, in sorted order.")
]
FollowLinks = Annotated[
    bool,
    typer.Option("--follow-links", help="Follow links that lead out of a folder of pictures; else they are left out."),
]
Caption = Annotated[
    str | None, typer.Option(help="Ask about all pictures with this caption; when not given, each with its own.")
]
Controls = Annotated[
    bool,
    typer.Option(
        help="On models conditioned on captions, run each attack with other ones too: three times the work. "
        "In an audit, run the first attack on mirrored pictures too: without them, or a control model, no claim gets "
        "above level 2."
    ),
]
Labels = Annotated[
    str,
    typer.Option(
        help="Classes of a class-conditional model. auto: given ones if all pictures have one, else numbers of folders "
        "if they can be nothing else, else inferred. folders: always these. infer: inferred for all."
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Rows that go through the network at once, fewer where memory has no room for them. When not given: 32 "
        "on cpu (1 of a large network), 64 elsewhere.",
    ),
]
Device = Annotated[str, typer.Option(help="auto (a card if there is one), cpu, cuda, cuda:1, mps.")]
Engine = Annotated[
    str, typer.Option(help="local: this process. ray: a pool of workers, one a core or graphics card, or a cluster.")
]
Address = Annotated[
    str | None, typer.Option(help="With --engine ray: a running cluster, such as auto or ray://host:10001.")
]
Precision = Annotated[
    str,
    typer.Option(
        help="float32, bfloat16 or float16: what the network computes in. It changes scores slightly. auto: as the "
        "model's files on CUDA, float32 elsewhere."
    ),
]
Compile = Annotated[bool, typer.Option("--compile", help="Compile the network first (torch.compile): for long runs.")]
Adapter = Annotated[
    list[str] | None,
    typer.Option(
        help="A LoRA, or another adapter, that is fused into a latent model: its file, its folder or a hub id; "
        "PATH:0.6 takes part of its change. Give the option again for each further one."
    ),
]
Base = Annotated[
    Path | None,
    typer.Option(help="For a model in one file: a diffusers folder with what the file lacks, such as tokenizers."),
]
Size = Annotated[
    int | None,
    typer.Option(
        min=8,
        max=4096,
        help="Side of the pictures in pixels, if a latent model shall see another than it was made for.",
    ),
]
Offload = Annotated[
    str | None,
    typer.Option(help="model or sequential: keep parts of a large pipeline off the card while they do not work."),
]
Slicing = Annotated[
    bool,
    typer.Option("--slicing", help="Attention and autoencoder of a large pipeline in slices: slower, less memory."),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="How many processes take the inventory, and with --engine ray score too; one a core, or card, when not "
        "given.",
    ),
]
Shadows = Annotated[Path | None, typer.Option(help="Shadow models, for attacks that need them; see `train --shadows`.")]
Reference = Annotated[
    str | None, typer.Option(help="A model that never saw the pictures, for attacks that compare with one.")
]
Control = Annotated[
    str | None,
    typer.Option(
        help="A model that cannot have seen any of the pictures: each attack is run on it too, and what it finds there "
        "is no memory of them."
    ),
]
Drawn = Annotated[
    Path | None,
    typer.Option(help="The draw.json of `trainedon draw`, if its coins decided which pictures the model was given."),
]
Twins = Annotated[
    Path | None,
    typer.Option(
        help="The twins.json of `trainedon twins`, if its coins decided which copies of the pictures were published; "
        "the kept copies lie beside it."
    ),
]
Alpha = Annotated[
    str,
    typer.Option(
        help="white, black or drop: what training did with transparency. auto: asks the model, if it matters."
    ),
]
Orientation = Annotated[
    str,
    typer.Option(help="exif or stored: whether training turned pictures as EXIF says. auto: asks the model likewise."),
]
Fit = Annotated[str, typer.Option(help="crop, squash or pad: how training brought pictures to the model's shape.")]
Resample = Annotated[str, typer.Option(help="lanczos, bicubic, bilinear, box or nearest.")]
SourceFrom = Annotated[
    str | None,
    typer.Option(
        help="Whose work each picture is, where one artist's works are compared with others: folder (the first one "
        "below the one given) or column (source, artist or author of a parquet table)."
    ),
]
Unseen = Annotated[str | None, typer.Option(help="Pictures that the model cannot have seen, alike in every other way.")]

FailAbove = Annotated[
    list[str] | None,
    typer.Option(
        help="For pipelines: end with exit code 3 where it is shown that the model leaks more than this, such as "
        "auc=0.6 or tpr@1%=0.05, and with 4 where so few pictures could not show it; repeatable. What decides is the "
        "lower end of the interval that holds for all attacks together."
    ),
]

# Of commands without a model.
AlphaAlone = Annotated[str, typer.Option(help="white, black or drop: what becomes of transparency. auto: white.")]
OrientationAlone = Annotated[
    str, typer.Option(help="exif or stored: whether pictures are turned as EXIF says. auto: exif.")
]

# Field of a group -> how it stands on the command line.
OF_GROUPS: dict[str, Any] = {
    "seed": Seed,
    "limit": Limit,
    "caption": Caption,
    "labels": Labels,
    "batch_size": BatchSize,
    "device": Device,
    "precision": Precision,
    "compile": Compile,
    "adapter": Adapter,
    "base": Base,
    "size": Size,
    "offload": Offload,
    "slicing": Slicing,
    "engine": Engine,
    "address": Address,
    "workers": Workers,
    "alpha": Alpha,
    "orientation": Orientation,
    "fit": Fit,
    "resample": Resample,
    "follow_links": FollowLinks,
    "source_from": SourceFrom,
}


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for each field of its parameters that are dataclasses, in their place, as typer takes
    it: all parameters by name."""
    hints = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    alone = {} if "model" in hints else {"alpha": AlphaAlone, "orientation": OrientationAlone}
    ways = OF_GROUPS | alone
    parameters: list[Parameter] = []
    for name, parameter in signature(command).parameters.items():
        if name in groups:
            parameters += [_option(field.name, ways[field.name], field.default) for field in fields(groups[name])]
        else:
            parameters.append(_option(name, hints[name], parameter.default))

    def called(**given: Any) -> None:
        made = {
            name: kind(**{field.name: given.pop(field.name) for field in fields(kind)})  # type: ignore[operator]
            for name, kind in groups.items()
        }
        command(**given, **made)

    called.__name__, called.__doc__ = command.__name__, command.__doc__
    called.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in parameters}
    return called


def _option(name: str, annotation: Any, default: object) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def here(folder: Path | None) -> Path | None:
    """Raises UserError for an address where only a place on this disk can be meant."""
    if folder is not None and ADDRESS.match(str(folder)):
        raise UserError(
            f"{folder} is an address, and this is written to this disk: give a folder here, and copy it there"
        )
    return folder
