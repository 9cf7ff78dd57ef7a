"""The command line: parse, call, print. Nothing else is decided here."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import warnings
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NamedTuple

# Threads that wait by spinning slow each other down on machines whose cores are shared; must be set before torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Arrow's own allocator keeps what short-lived buffers took; must be set before Arrow loads.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

import typer
from typer.exceptions import TyperException

from trainedon.checks import check_places, check_sources, device_of, swapped
from trainedon.errors import PictureError, UserError, meant
from trainedon.redact import redacted_argument
from trainedon.stopping import stoppable
from trainedon.terminal import (
    Bars,
    plain,
    print_audit,
    print_evaluation,
    print_passed,
    print_plan,
    print_sweep,
    progress_console,
    say,
    say_passed,
    stop,
)
from trainedon.unforeseen import Unforeseen, kept, logged_in, of_the_machine

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Was this diffusion model trained on this picture? Degrade-Restore-Compare, and honest statistics.",
)


def _here(folder: Path | None) -> Path | None:
    """Raises UserError for an address where only a place on this disk can be meant."""
    if folder is not None and ADDRESS.match(str(folder)):
        raise UserError(
            f"{folder} is an address, and this is written to this disk: give a folder here, and copy it there"
        )
    return folder


def _print_version(asked: bool) -> None:
    if asked:
        say(f"trainedon {version('trainedon')}")
        raise typer.Exit


@app.callback()
def _about(
    show: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """What stands before a command; the help is that of `app`."""


Model = Annotated[
    str, typer.Argument(help="Local diffusers folder, a checkpoint (.safetensors), or hub id (owner/name[@revision]).")
]
Out = Annotated[
    str,
    typer.Option(help="The run folder, a path or a URL (s3://...): new, or that of the same command, which goes on."),
]
Attacks = Annotated[str, typer.Option(help="Attacks, such as 'drc, loss(t=100)', or all. See `trainedon attacks`.")]
ADDRESS = re.compile(r"[\w+.-]{2,}:/")  # what a path makes of one
MOST = 2**53  # the largest number that every reader of JSON reads as it is
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
    typer.Option(help="Where captions are asked with, run each attack with other ones too: three times the work."),
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
    typer.Option(min=1, help="Rows that go through the network at once: 32 on cpu, 64 elsewhere, when not given."),
]
Device = Annotated[str, typer.Option(help="auto (a card if there is one), cpu, cuda, cuda:1, mps.")]
Engine = Annotated[
    str, typer.Option(help="local: this process. ray: a pool of workers, one a core or graphics card, or a cluster.")
]
Address = Annotated[
    str | None, typer.Option(help="With --engine ray: a running cluster, such as auto or ray://host:10001.")
]
Precision = Annotated[
    str, typer.Option(help="float32, bfloat16 or float16: what the network computes in. It changes scores slightly.")
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
    int | None, typer.Option(min=1, help="With --engine ray: how many workers; all cores or cards when not given.")
]
Shadows = Annotated[Path | None, typer.Option(help="Shadow models, for attacks that need them; see `train --shadows`.")]
Reference = Annotated[
    str | None, typer.Option(help="A model that never saw the pictures, for attacks that compare with one.")
]
Drawn = Annotated[
    Path | None,
    typer.Option(help="The draw.json of `trainedon draw`, if its coins decided which pictures the model was given."),
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
Unseen = Annotated[str | None, typer.Option(help="Pictures that the model cannot have seen, alike in every other way.")]


@app.command()
def audit(
    model: Model,
    suspects: Annotated[
        str, typer.Argument(help="The pictures in question: a folder, a parquet, .npz or .tar file, or a URL of these.")
    ],
    out: Out,
    unseen: Unseen = None,
    attacks: Attacks = "drc",
    drawn: Drawn = None,
    shadows: Shadows = None,
    reference: Reference = None,
    seed: Seed = 0,
    limit: Limit = None,
    caption: Caption = None,
    labels: Labels = "auto",
    controls: Controls = True,
    batch_size: BatchSize = None,
    device: Device = "auto",
    precision: Precision = "float32",
    compiled: Compile = False,
    adapter: Adapter = None,
    base: Base = None,
    size: Size = None,
    offload: Offload = None,
    slicing: Slicing = False,
    engine: Engine = "local",
    address: Address = None,
    workers: Workers = None,
    alpha: Alpha = "auto",
    orientation: Orientation = "auto",
    fit: Fit = "crop",
    resample: Resample = "lanczos",
    follow_links: FollowLinks = False,
) -> None:
    """Were these pictures used to train the model?"""
    sets = {"suspect": suspects} | ({"unseen": unseen} if unseen else {})
    asked = _Asked(attacks, shadows, reference, seed)
    machine = _Machine(
        device, batch_size, precision, compiled, engine, address, workers, adapter, base, size, offload, slicing
    )
    extra = {"draw": drawn, "caption": caption, "labels": labels, "controls": controls, "lead": _lead(attacks, unseen)}
    extra |= {"rendering": _rendering(alpha, orientation, fit, resample), "follow_links": follow_links}
    done = _execute("audit", model, sets, asked, limit, machine, out, **extra)
    print_audit(done.document)
    say(f"Page: {done.page}")


@app.command()
def evaluate(
    model: Model,
    members: Annotated[str, typer.Option(help="Pictures that the model was trained on.")],
    unseen: Annotated[str, typer.Option(help="Pictures that it was not trained on, alike in every other way.")],
    out: Out,
    attacks: Attacks = "drc",
    drawn: Drawn = None,
    shadows: Shadows = None,
    reference: Reference = None,
    dataset: Annotated[
        str | None, typer.Option(help="What papers call these pictures (cifar10, ...): prints what they report beside.")
    ] = None,
    seed: Seed = 0,
    limit: Limit = None,
    caption: Caption = None,
    labels: Labels = "auto",
    controls: Controls = True,
    batch_size: BatchSize = None,
    device: Device = "auto",
    precision: Precision = "float32",
    compiled: Compile = False,
    adapter: Adapter = None,
    base: Base = None,
    size: Size = None,
    offload: Offload = None,
    slicing: Slicing = False,
    engine: Engine = "local",
    address: Address = None,
    workers: Workers = None,
    alpha: Alpha = "auto",
    orientation: Orientation = "auto",
    fit: Fit = "crop",
    resample: Resample = "lanczos",
    follow_links: FollowLinks = False,
) -> None:
    """How much does the model leak? For models whose training pictures are known."""
    sets = {"member": members, "unseen": unseen}
    asked = _Asked(attacks, shadows, reference, seed)
    machine = _Machine(
        device, batch_size, precision, compiled, engine, address, workers, adapter, base, size, offload, slicing
    )
    extra = {"draw": drawn, "caption": caption, "labels": labels, "controls": controls, "dataset": dataset}
    extra |= {"rendering": _rendering(alpha, orientation, fit, resample), "follow_links": follow_links}
    done = _execute("evaluate", model, sets, asked, limit, machine, out, **extra)
    print_evaluation(done.document, done.folder)
    say(f"Page: {done.page}")


@app.command()
def peaks(
    model: Model,
    members: Annotated[str, typer.Option(help="Pictures that the model was trained on.")],
    unseen: Annotated[str, typer.Option(help="Pictures that it was not trained on, alike in every other way.")],
    out: Out,
    seed: Seed = 0,
    limit: Limit = None,
    caption: Caption = None,
    labels: Labels = "auto",
    batch_size: BatchSize = None,
    device: Device = "auto",
    precision: Precision = "float32",
    compiled: Compile = False,
    adapter: Adapter = None,
    base: Base = None,
    size: Size = None,
    offload: Offload = None,
    slicing: Slicing = False,
    engine: Engine = "local",
    address: Address = None,
    workers: Workers = None,
    alpha: Alpha = "auto",
    orientation: Orientation = "auto",
    fit: Fit = "crop",
    resample: Resample = "lanczos",
    follow_links: FollowLinks = False,
) -> None:
    """Do training pictures sit on sharper peaks of the model's density? Moves each picture, and looks at the error."""
    from trainedon.evidence import STUDY

    asked = _Asked(", ".join(STUDY), seed=seed)
    sets = {"member": members, "unseen": unseen}
    study = [_measurement(attack) for attack in _chosen("evaluate", sets, asked)]
    machine = _Machine(
        device, batch_size, precision, compiled, engine, address, workers, adapter, base, size, offload, slicing
    )
    extra = {"caption": caption, "labels": labels, "study": study}
    extra |= {"rendering": _rendering(alpha, orientation, fit, resample), "follow_links": follow_links}
    done = _execute("evaluate", model, sets, asked, limit, machine, out, **extra)
    print_evaluation(done.document, done.folder)
    say(json.loads((done.folder / "peaks.json").read_text("utf-8"))["sentence"])
    say(f"Page: {done.page}")


@app.command()
def sweep(
    model: Model,
    members: Annotated[str, typer.Option(help="Pictures that the model was trained on.")],
    unseen: Annotated[str, typer.Option(help="Pictures that it was not trained on, alike in every other way.")],
    out: Out,
    attack: Annotated[str, typer.Option(help="The attack that is varied, such as 'drc-hide(roi=face)'.")] = "drc-hide",
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=V1,V2,... (or V1;V2 where values hold commas): a parameter of the attack; of drc also "
            "mask-ratio, inverted, region, and those of its restorer, such as scale. Several give all combinations."
        ),
    ] = None,
    question: Annotated[
        list[str] | None,
        typer.Option(help="mask-ratio, inverted, region, encoder, restorer, reference, cost, or all; repeatable."),
    ] = None,
    shadows: Shadows = None,
    reference: Reference = None,
    seed: Seed = 0,
    limit: Limit = None,
    caption: Caption = None,
    labels: Labels = "auto",
    batch_size: BatchSize = None,
    device: Device = "auto",
    precision: Precision = "float32",
    compiled: Compile = False,
    adapter: Adapter = None,
    base: Base = None,
    size: Size = None,
    offload: Offload = None,
    slicing: Slicing = False,
    engine: Engine = "local",
    address: Address = None,
    workers: Workers = None,
    alpha: Alpha = "auto",
    orientation: Orientation = "auto",
    fit: Fit = "crop",
    resample: Resample = "lanczos",
    follow_links: FollowLinks = False,
) -> None:
    """Which settings work best? One attack under many settings, as curves: mask ratio, region, encoder, cost, ..."""
    from trainedon.evidence import Sweep
    from trainedon.sweeps.grid import plan

    sets = {"member": members, "unseen": unseen}
    have, given = _means("evaluate", sets, _Asked(attack, shadows, reference, seed, base))
    _check_places("evaluate", sets, out)
    settings = plan(attack, vary or [], question or [], have, **given)
    machine = _Machine(
        device, batch_size, precision, compiled, engine, address, workers, adapter, base, size, offload, slicing
    )
    target = machine.load(model, out)
    settings = settings.possible(target)
    extra = {"sweep": settings.facts(), "caption": caption, "labels": labels, "engine": machine.engine_for(model)}
    extra |= {"rendering": _rendering(alpha, orientation, fit, resample), "follow_links": follow_links}
    done = _run("evaluate", target, sets, settings.attacks, seed, limit, out, **extra)
    print_sweep(Sweep.model_validate_json((done.folder / "sweep.json").read_bytes()))
    say(f"Page: {done.page}")


def _measurement(attack: Any) -> dict:
    """What a study records of one of its attacks."""
    move, radius = getattr(attack, "move", None), getattr(attack, "radius", None)
    return {"repr": repr(attack), "kind": attack.name, "move": move, "radius": radius, "t": attack.t}


@app.command()
def draw(
    pictures: Annotated[str, typer.Argument(help="Folder, parquet or tar of the pictures that coins are tossed for.")],
    out: Annotated[
        Path, typer.Option(callback=_here, help="A new folder: included/, held-out/ and draw.json are written there.")
    ],
    secret: Annotated[str | None, typer.Option(help="Decides the coins; drawn at random when not given.")] = None,
    follow_links: FollowLinks = False,
) -> None:
    """Before training: let chance decide which pictures a model is given. Gives the strongest evidence afterwards."""
    from trainedon.training import draw_pictures

    with Bars() as bars:
        told = partial(bars, "reading pictures")
        drawn = draw_pictures(pictures, out, secret, progress=told, follow_links=follow_links)
    _say_besides(pictures, follow_links)
    included = sum(picture.included for picture in drawn.pictures)
    say(f"Included: {included} pictures, in {out / 'included'}: train on all of these.")
    say(f"Held out: {len(drawn.pictures) - included}, in {out / 'held-out'}: keep them from the model.")
    if drawn.set_aside:
        say(f"Set aside: {len(drawn.set_aside)}; draw.json says why.")
    say(f"Publish this now, and draw.json only after training: {drawn.commitment}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(callback=_here, help="Where pictures and run are written.")] = Path(
        "trainedon-demo"
    ),
    seed: Seed = 0,
) -> None:
    """Audit the embedded model on designs that it has seen and that it has not. One to two minutes on two cores."""
    from trainedon.demo import demo as scene

    pictures = out / f"pictures-{seed}"
    truth = scene.prepare(pictures, seed)
    sets = {"suspect": pictures / "suspects", "unseen": pictures / "unseen"}
    extra = {"truth": truth, "attribution": scene.ATTRIBUTION, "name": "OpenMoji demo"}
    folder = scene.model_folder()
    done = _execute(
        "audit", str(folder), sets, _Asked(scene.ATTACK, seed=seed), None, _Machine(), str(out / "run"), **extra
    )
    document = done.document
    print_audit(document)
    named = {
        p.picture for p in document.pictures if p.q_value is not None and p.q_value <= document.false_discovery_rate
    }
    right = sum(truth[picture] for picture in named)
    say(
        f"The truth, which the audit was not told: of {sum(truth.values())} designs that the model was trained on, "
        f"{right} were named; of {len(truth) - sum(truth.values())} that it never saw, {len(named) - right}."
    )
    say(f"Page: {done.page}")


@app.command()
def train(
    pictures: Annotated[str, typer.Argument(help="Folder, parquet, .npz or .tar file, to draw the members from.")],
    out: Annotated[
        Path, typer.Option(callback=_here, help="The model's folder; the same command goes on where it stopped.")
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
    snapshot: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Also keep the model as it is after this many passes; may be given several times."),
    ] = None,
    alpha: Alpha = "auto",
    orientation: Orientation = "auto",
    fit: Fit = "crop",
    resample: Resample = "lanczos",
    follow_links: FollowLinks = False,
) -> None:
    """Train a small diffusion model whose members are known, or a LoRA for one, or several shadow models."""
    from trainedon.runs.folder import locked
    from trainedon.training import Recipe, check_ours, check_shadows_folder, make, recipe_of, train_shadows

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
        passes=passes,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
    )
    rendering = _rendering(alpha, orientation, fit, resample)
    if shadows is not None and snapshot:
        raise UserError("--snapshot keeps one model as it was, and --shadows trains several: give one of the two")
    if shadows is not None and type(recipe) is not Recipe:
        raise UserError(f"shadow models are of family pixel, not {recipe.family}: leave out --shadows or the other")
    check_sources([pictures])
    (check_ours if shadows is None else check_shadows_folder)(out)
    _say_besides(pictures, follow_links)
    with Bars() as bars, locked(out):
        if isinstance(recipe, Recipe) and shadows is not None:
            train_shadows(
                pictures,
                out,
                recipe,
                models=shadows,
                draw=draw,
                rendering=rendering,
                progress=bars,
                follow_links=follow_links,
            )
            say(f"{shadows} shadow models: {out}; give it to attacks as --shadows {out}")
            return
        manifest = make(
            pictures,
            out,
            recipe,
            draw=draw,
            autoencoder=autoencoder,
            base=adapter_of,
            snapshots=snapshot or (),
            rendering=rendering,
            progress=bars,
            follow_links=follow_links,
        )
    say(f"Model: {out}; its {manifest['members']} members are named in {out / 'manifest.json'}")


@app.command("attacks")
def list_attacks(
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="As a Markdown table, as in docs/attacks.md.")
    ] = False,
) -> None:
    """What attacks there are, what they need, their parameters, and what they cost."""
    from trainedon.attacks.core.catalogue import listing, markdown

    if as_markdown:
        sys.stdout.write(markdown())
        return
    for row in listing():
        say(f"{row.name}: {row.title} ({row.paper})")
        say(f"  needs: {row.needs}")
        say(f"  parameters: {row.parameters}")
        say(f"  network passes a picture: {row.passes}")
        if row.reported:
            say(f"  reported: {row.reported}")
    say("Parameters go in parentheses: --attacks 'drc-hide(roi=attention:0.25, steps=10), loss(t=100), fremia(pia)'")


@app.command("plan")
def plan_run(
    model: Model,
    n: Annotated[str, typer.Argument(metavar="N", help="How many pictures: 1000000, 1_000_000, 1e6 or 1M.")],
    gpus: Annotated[int, typer.Option(help="How many devices like this one share the work.")] = 1,
    attacks: Attacks = "drc",
    shadows: Shadows = None,
    reference: Reference = None,
    pictures: Annotated[
        str | None, typer.Option(help="Some of the pictures: their size, and how fast they are read, is measured.")
    ] = None,
    bytes_per_picture: Annotated[str | None, typer.Option(help="How large a stored picture is, such as 100k.")] = None,
    batch_size: BatchSize = None,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="The same as JSON.")] = False,
    precision: Precision = "float32",
    compiled: Compile = False,
    base: Base = None,
    alpha: Alpha = "auto",
    orientation: Orientation = "auto",
    fit: Fit = "crop",
    resample: Resample = "lanczos",
    follow_links: FollowLinks = False,
) -> None:
    """What would N pictures take? Measures one batch of the network here, and says passes, hours and bytes."""
    from trainedon.attacks.core.pool import Pool
    from trainedon.attacks.wrappers.recaptioned import controls
    from trainedon.planning import forecast as planning

    number = planning.count(n, "N")
    size = None if bytes_per_picture is None else planning.count(bytes_per_picture, "--bytes-per-picture")
    asked = _Asked(attacks, shadows, reference, base=base)
    chosen = _chosen("evaluate", {"unseen": pictures}, asked)
    target = _Machine(device, batch_size, precision, compiled, base=base).load(model)
    chosen = _possible(chosen, asked, target)
    if target.conditioning == "caption":  # as audit and evaluate do
        chosen += controls(chosen, Pool.of(("one", "another")))
    rendering = _rendering(alpha, orientation, fit, resample)
    found = planning.plan(
        target,
        chosen,
        number,
        gpus,
        source=pictures,
        bytes_per_picture=size,
        rendering=rendering,
        follow_links=follow_links,
    )
    if as_json:
        sys.stdout.write(json.dumps(asdict(found), indent=2) + "\n")
    else:
        if pictures is not None:
            _say_besides(pictures, follow_links)
        print_plan(found)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run folder; or a table of scores, CSV or parquet, with --out.")],
    out: Annotated[Path | None, typer.Option(callback=_here, help="For a table: the run folder to write.")] = None,
) -> None:
    """Statistics and page again from the stored scores; no model and no pictures are needed."""
    from trainedon.evidence import Audit
    from trainedon.runs import conclude, conclude_table

    if out is None and run.is_file():
        raise UserError(f"{run} is a table: say with --out DIR where statistics and page are to be written")
    if out is not None and run.is_dir():
        raise UserError(f"{run} is a folder: leave out --out, which is for tables of scores")
    with logged_in(out or run):
        document = conclude(run) if out is None else conclude_table(run, out)
    run = out or run
    print_passed(run)
    if isinstance(document, Audit):
        print_audit(document)
    else:
        print_evaluation(document, run)
    say(f"Page: {run / 'report.html'}")


@app.command()
def verify(
    run: Annotated[Path, typer.Argument(help="A run folder, whoever made it.")],
    seal: Annotated[Path | None, typer.Argument(help="With --seal: the seal, when it is not RUN/seal.json.")] = None,
    sealed: Annotated[bool, typer.Option("--seal", help="Also compare with the seal: who vouches for it?")] = False,
    signer: Annotated[
        Path | None, typer.Option(help="The public key of who should have sealed it, PEM or `ssh-ed25519 ...`.")
    ] = None,
) -> None:
    """Compute a run's statistics again from its scores, and say whether its files and its page tell the truth."""
    from trainedon.runs import verify as check
    from trainedon.runs.contents import SEAL
    from trainedon.runs.keys import public_key
    from trainedon.runs.seal import check_seal

    expected = None if signer is None else public_key(signer)
    checks = check(run)
    if sealed or seal or signer:
        checks += check_seal(run, seal, expected)
    for one in checks:
        say(f"{ {True: 'ok', False: 'FAILED', None: 'nothing to check'}[one.ok] }: {one.name} ({one.detail})")
    failed = sum(one.ok is False for one in checks)
    if failed:
        say(f"{failed} of {len(checks)} checks failed: do not rely on this page")
        raise SystemExit(1)
    if not (sealed or seal or signer):
        how = "--seal checks its seal" if (run / SEAL).exists() else "a seal says who vouches for them"
        say(f"Scores could have been replaced before, and all else computed from these: {how}.")
    say("This run tells what follows from its scores.")


@app.command()
def seal(
    run: Annotated[Path | None, typer.Argument(help="A run folder that is complete.")] = None,
    key: Annotated[Path | None, typer.Option(help="Sign with this Ed25519 key, PEM or as ssh-keygen makes it.")] = None,
    out: Annotated[
        Path | None, typer.Option(callback=_here, help="Where the seal is written; RUN/seal.json when not given.")
    ] = None,
    new_key: Annotated[Path | None, typer.Option(help="Make a key in this file, and FILE.pub to give away.")] = None,
) -> None:
    """Vouch for a run: one digest over everything in its folder, with the date, signed where a key is given."""
    from trainedon.runs import keys
    from trainedon.runs.seal import read_seal
    from trainedon.runs.seal import seal as seal_run

    if new_key is not None:
        say(f"Key: {new_key}, for you alone. Publish {keys.new_key(new_key)}, so that others know your seals.")
        key = key or new_key
    if run is None:
        if new_key is None:
            raise UserError("give the run folder that is to be sealed, or --new-key FILE")
        return
    path = seal_run(run, out, None if key is None else keys.private_key(key, _passphrase))
    found = read_seal(path)
    who = f"by the key {keys.fingerprint(keys.of_pem(found.public_key.encode()))}" if found.public_key else "unsigned"
    say(f"Sealed: {path}, {len(found.files)} files, {found.sealed}, {who}")
    say(f"Digest: {found.digest}")


def _passphrase() -> str:
    """That of an encrypted key. Raises UserError where nobody can be asked."""
    known = os.environ.get("TRAINEDON_PASSPHRASE")
    if known is None and not sys.stdin.isatty():
        raise UserError("the key is encrypted: set TRAINEDON_PASSPHRASE, or run this in a terminal, which asks for it")
    return known if known is not None else typer.prompt("Passphrase of the key", hide_input=True)


@app.command()
def schema(
    document: Annotated[str, typer.Argument(help="audit, evaluation, peaks, sweep or draw.")],
) -> None:
    """The JSON schema of a document that runs write."""
    from trainedon.evidence import schemas

    known = schemas()
    if document not in known:
        raise UserError(f"there is no document {document!r}{meant(document, known)}: choose from {', '.join(known)}")
    sys.stdout.write(known[document])


class _Asked(NamedTuple):
    """Which attacks, and what they are given."""

    attacks: str
    shadows: Path | None = None
    reference: str | None = None
    seed: int = 0
    base: Path | None = None


class _Machine(NamedTuple):
    """Where the work is done."""

    device: str = "auto"
    rows: int | None = None
    precision: str = "float32"
    compiled: bool = False
    engine: str = "local"
    address: str | None = None
    workers: int | None = None
    adapter: list[str] | None = None
    base: Path | None = None
    size: int | None = None
    offload: str | None = None
    slicing: bool = False

    def load(self, model: str, out: str | None = None) -> Any:
        """The model, for the run folder `out` if any: with no device named, a run goes on where it was begun."""
        from trainedon.targets import load_target

        options = self._options()
        if self.device == "auto" and out is not None:
            options["device"] = device_of(out) or "auto"
        target = load_target(model, **options)
        if self.device == "auto":
            progress_console.print(f"device: {target.device}", highlight=False)
        return target

    def engine_for(self, model: str) -> Any:
        """None for this process. Raises UserError for an engine that there is not, and options of another one."""
        if self.engine == "ray":
            from trainedon.runs.cluster import Cluster

            return Cluster(model, self._options(), self.address, self.workers)
        if self.engine != "local":
            raise UserError(f"there is no engine {self.engine!r}: choose local or ray")
        if self.address or self.workers:
            raise UserError("--address and --workers are of the engine ray: add --engine ray")
        return None

    def _options(self) -> dict[str, Any]:
        return {
            "device": self.device,
            "rows": self.rows,
            "precision": self.precision,
            "compile": self.compiled,
            "adapter": tuple(self.adapter or ()),
            "base": self.base,
            "size": self.size,
            "offload": self.offload,
            "slicing": self.slicing,
        }


class _Done(NamedTuple):
    """A finished run. folder: where its files are on this disk. page: where the page is, as the person called it."""

    document: Any
    folder: Path
    page: str


def _execute(
    kind: str,
    model: str,
    sets: dict,
    asked: _Asked,
    limit: int | None,
    machine: _Machine,
    out: str,
    name: str | None = None,
    **extra: Any,
) -> _Done:
    engine = machine.engine_for(model)
    asked = asked._replace(base=machine.base)
    _check_places(kind, sets, out, extra.get("draw"))
    chosen = _chosen(kind, sets, asked)
    target = machine.load(model, out)
    chosen = _possible(chosen, asked, target)
    if name:
        target.identity = replace(target.identity, name=name)
    return _run(kind, target, sets, chosen, asked.seed, limit, out, engine=engine, **extra)


def _run(
    kind: str,
    target: Any,
    sets: dict,
    attacks: list,
    seed: int,
    limit: int | None,
    out: str,
    engine: Any = None,
    **extra: Any,
) -> _Done:
    from trainedon.formats import read_record
    from trainedon.runs import Plan, run
    from trainedon.runs.mirror import Mirror
    from trainedon.runs.rendering_choice import notes as rendering_notes

    place = Mirror.of(out)
    command = shlex.join(["trainedon", *map(redacted_argument, sys.argv[1:])])
    plan = Plan(kind=kind, sets=sets, attacks=attacks, seed=seed, limit=limit, command=command, **extra)
    with logged_in(place.path):
        place.fetch()
        with Bars() as bars:
            document = run(target, plan, place.path, bars, engine, place.keep)
        print_passed(place.path)
        place.finish()
        for note in rendering_notes(read_record(place.path)):
            say(note)
    return _Done(document, place.path, f"{place}/report.html")


def _say_besides(source: str, follow_links: bool) -> None:
    """What is passed over in a source of pictures, and what is assumed about it."""
    from trainedon.pictures import scan

    passed = scan(source, follow_links=follow_links).passed
    say_passed("pictures", passed.groups())
    for note in passed.notes:
        say(f"note: {note}")


def _rendering(alpha: str, orientation: str, fit: str, resample: str) -> Any:
    """How pictures become pixels. Raises UserError for a choice that there is not."""
    from trainedon.pictures import Rendering

    return Rendering(alpha, orientation, fit, resample)


def _check_places(kind: str, sets: dict, out: str, draw: Path | None = None) -> None:
    """What costs nothing to look at, before anything is loaded; what is odd but possible is said."""
    check_places(kind, sets, out)
    if draw is not None:
        from trainedon.evidence import read_draw

        read_draw(draw)
    doubt = swapped(sets)
    if doubt:
        progress_console.print(plain(f"note: {doubt}"), soft_wrap=True, highlight=False)


def _chosen(kind: str, sets: dict, asked: _Asked) -> list:
    """The attacks that were asked for; refused before anything is loaded when one lacks what it needs."""
    from trainedon.attacks import parse_attacks

    have, given = _means(kind, sets, asked)
    return parse_attacks(asked.attacks, have, **given)


def _means(kind: str, sets: dict, asked: _Asked) -> tuple[list[str], dict[str, Any]]:
    """What attacks have to work with, and what those that take it are given."""
    from trainedon.targets import Reference, Shadows

    have = ["gradients", "captions"] + ["unseen"] * ("unseen" in sets) + ["labels"] * (kind == "evaluate")
    shadows = asked.shadows and Shadows.open(asked.shadows)
    reference = asked.reference and Reference.open(asked.reference, asked.base)
    return have, {"seed": asked.seed, "shadows": shadows, "reference": reference}


def _lead(attacks: str, unseen: str | None) -> str:
    """The test that an audit's claim speaks of: CDI where it is named first."""
    if not attacks.strip().startswith("cdi"):
        return "first"
    if unseen is None:
        raise UserError("cdi compares with unseen pictures: give --unseen DIR")
    return "cdi"


def _possible(chosen: list, asked: _Asked, target: Any) -> list:
    """Of `all`, those that the target allows."""
    everything = "all" in map(str.strip, asked.attacks.split(","))
    return [attack for attack in chosen if _allowed(attack, target)] if everything else chosen


def _allowed(attack: Any, target: Any) -> bool:
    try:
        attack.check(target)
    except UserError as error:
        progress_console.print(plain(f"left out: {error}"), soft_wrap=True)
        return False
    return True


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(width) for width in text.split(","))
    except ValueError:
        raise UserError(f"--widths {text!r}: give whole numbers joined by commas, such as 32,64,96") from None


def main() -> None:
    """Entry point: bad input ends with one line and exit code 2, what nobody foresaw with one line and 1; Ctrl-C with
    130, as `stoppable` says."""
    warnings.filterwarnings("ignore")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    with stoppable():  # before typer sees an interrupt, which it would return as a number
        try:
            app(standalone_mode=False)
        except (UserError, PictureError) as error:
            stop(str(error))
            raise SystemExit(2) from None
        except TyperException as error:
            error.show()
            raise SystemExit(error.exit_code) from None
        except Exception as error:  # noqa: BLE001 (whatever it is, a person gets one line)
            why = of_the_machine(error)
            if why is not None:
                stop(why)
                raise SystemExit(2) from None
            stop(str(error) if isinstance(error, Unforeseen) else kept(error))
            raise SystemExit(1) from None
