"""The command line: parse, call, print. Nothing else is decided here."""

from __future__ import annotations

import os
import shlex
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

# Threads that wait by spinning slow each other down on machines whose cores are shared; must be set before torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from typer.exceptions import TyperException

from trainedon.errors import PictureError, UserError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Was this diffusion model trained on this picture? Degrade-Restore-Compare, and honest statistics.",
)
out_console = Console(highlight=False)
progress_console = Console(stderr=True)

Model = Annotated[str, typer.Argument(help="Local diffusers folder, or hub id (owner/name or owner/name@revision).")]
Out = Annotated[Path, typer.Option(help="The run folder: new, or that of the same command, which then goes on.")]
Attacks = Annotated[str, typer.Option(help="Attacks, such as 'drc, loss(t=100)', or all. See `trainedon attacks`.")]
Seed = Annotated[int, typer.Option(help="Seed of the noise that attacks draw.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Take the first N pictures of each source, in sorted order.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Rows that go through the network at once.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps.")]
Shadows = Annotated[Path | None, typer.Option(help="Shadow models, for attacks that need them; see `train --shadows`.")]
Reference = Annotated[
    str | None, typer.Option(help="A model that never saw the pictures, for attacks that compare with one.")
]
Unseen = Annotated[
    Path | None, typer.Option(help="Pictures that the model cannot have seen, alike in every other way.")
]


@app.command()
def audit(
    model: Model,
    suspects: Annotated[Path, typer.Argument(help="Folder, parquet file or .npz of the pictures in question.")],
    out: Out,
    unseen: Unseen = None,
    attacks: Attacks = "drc",
    shadows: Shadows = None,
    reference: Reference = None,
    seed: Seed = 0,
    limit: Limit = None,
    batch_size: BatchSize = 64,
    device: Device = "cpu",
) -> None:
    """Were these pictures used to train the model?"""
    sets = {"suspect": suspects} | ({"unseen": unseen} if unseen else {})
    asked = _Asked(attacks, shadows, reference, seed)
    document = _execute("audit", model, sets, asked, limit, batch_size, device, out)
    _print_audit(document)
    _say(f"Page: {out / 'report.html'}")


@app.command()
def evaluate(
    model: Model,
    members: Annotated[Path, typer.Option(help="Pictures that the model was trained on.")],
    unseen: Annotated[Path, typer.Option(help="Pictures that it was not trained on, alike in every other way.")],
    out: Out,
    attacks: Attacks = "drc",
    shadows: Shadows = None,
    reference: Reference = None,
    dataset: Annotated[
        str | None, typer.Option(help="What papers call these pictures (cifar10, ...): prints what they report beside.")
    ] = None,
    seed: Seed = 0,
    limit: Limit = None,
    batch_size: BatchSize = 64,
    device: Device = "cpu",
) -> None:
    """How much does the model leak? For models whose training pictures are known."""
    sets = {"member": members, "unseen": unseen}
    asked = _Asked(attacks, shadows, reference, seed)
    document = _execute("evaluate", model, sets, asked, limit, batch_size, device, out, dataset=dataset)
    _print_evaluation(document, out)
    _say(f"Page: {out / 'report.html'}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where pictures and run are written.")] = Path("trainedon-demo"),
    seed: Seed = 0,
) -> None:
    """Audit the embedded model on designs that it has seen and that it has not. One to two minutes on two cores."""
    from trainedon.demo import demo as scene

    pictures = out / f"pictures-{seed}"
    truth = scene.prepare(pictures, seed)
    sets = {"suspect": pictures / "suspects", "unseen": pictures / "unseen"}
    extra = {"truth": truth, "attribution": scene.ATTRIBUTION, "name": "OpenMoji demo"}
    folder = scene.model_folder()
    document = _execute(
        "audit", str(folder), sets, _Asked(scene.ATTACK, seed=seed), None, 64, "cpu", out / "run", **extra
    )
    _print_audit(document)
    named = {
        p.picture for p in document.pictures if p.q_value is not None and p.q_value <= document.false_discovery_rate
    }
    right = sum(truth[picture] for picture in named)
    _say(
        f"The truth, which the audit was not told: of {sum(truth.values())} designs that the model was trained on, "
        f"{right} were named; of {len(truth) - sum(truth.values())} that it never saw, {len(named) - right}."
    )
    _say(f"Page: {out / 'run' / 'report.html'}")


@app.command()
def train(
    pictures: Annotated[Path, typer.Argument(help="Folder, parquet file or .npz to draw the members from.")],
    out: Annotated[Path, typer.Option(help="The model's folder; the same command goes on where it stopped.")],
    draw: Annotated[
        int | None, typer.Option(min=1, help="How many members are drawn at random; all when not given.")
    ] = None,
    shadows: Annotated[
        int | None,
        typer.Option(min=2, help="Train this many shadow models, each on its own draw (half when not given)."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draw, the weights and the noise.")] = 0,
    size: Annotated[int, typer.Option(min=8, help="Side of the pictures in pixels.")] = 32,
    grey: Annotated[bool, typer.Option(help="One channel instead of three.")] = False,
    passes: Annotated[int, typer.Option(min=1, help="Passes over the members.")] = 400,
    batch_size: Annotated[int, typer.Option(min=1)] = 16,
    learning_rate: Annotated[float, typer.Option(min=0, help="Highest; it decays to zero.")] = 8e-4,
    widths: Annotated[str, typer.Option(help="Channels of each level of the network.")] = "32,64,96",
    layers: Annotated[int, typer.Option(min=1, help="Residual blocks a level.")] = 1,
    attention: Annotated[bool, typer.Option(help="Self-attention at the lowest level.")] = True,
    betas: Annotated[str, typer.Option(help="linear, scaled_linear, squaredcos_cap_v2, sigmoid.")] = "linear",
    prediction: Annotated[str, typer.Option(help="epsilon, sample, v_prediction.")] = "epsilon",
    zero_snr: Annotated[bool, typer.Option(help="Rescale the betas to zero terminal signal-to-noise ratio.")] = False,
) -> None:
    """Train a small diffusion model whose members are known, or several shadow models."""
    from trainedon.runs.folder import locked
    from trainedon.training import Recipe, draw_members, read_members, train_shadows
    from trainedon.training import train as train_model

    recipe = Recipe(
        size=size,
        channels=1 if grey else 3,
        widths=_widths(widths),
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
    with _Bars() as bars, locked(out):
        if shadows is not None:
            train_shadows(pictures, out, recipe, models=shadows, draw=draw, progress=bars)
            _say(f"{shadows} shadow models: {out}; give it to attacks as --shadows {out}")
            return
        manifest = draw_members(
            pictures, out, draw=draw, seed=seed, progress=lambda d, t: bars("reading pictures", d, t)
        )
        pixels, labels = read_members(pictures, manifest, size, recipe.channels)
        recipe = replace(recipe, classes=None if labels is None else int(labels.max()) + 1)
        train_model(
            pixels, out, recipe, labels=labels, progress=lambda d, t, loss: bars(f"training, loss {loss:.4f}", d, t)
        )
    _say(f"Model: {out}; its {manifest['members']} members are named in {out / 'manifest.json'}")


@app.command("attacks")
def list_attacks(
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="As a Markdown table, as in docs/attacks.md.")
    ] = False,
) -> None:
    """What attacks there are, what they need, their parameters, and what they cost."""
    from trainedon.attacks.listing import listing, markdown

    if as_markdown:
        sys.stdout.write(markdown())
        return
    for row in listing():
        _say(f"{row.name}: {row.title} ({row.paper})")
        _say(f"  needs: {row.needs}")
        _say(f"  parameters: {row.parameters}")
        _say(f"  network passes a picture: {row.passes}")
        if row.reported:
            _say(f"  reported: {row.reported}")
    _say("Parameters go in parentheses: --attacks 'drc(roi=attention:0.25, steps=10), loss(t=100), fremia(pia)'")


@app.command()
def report(run: Annotated[Path, typer.Argument(help="A run folder.")]) -> None:
    """Statistics and page again from the stored scores; no model and no pictures are needed."""
    from trainedon.evidence import Audit
    from trainedon.runs import conclude

    document = conclude(run)
    if isinstance(document, Audit):
        _print_audit(document)
    else:
        _print_evaluation(document, run)
    _say(f"Page: {run / 'report.html'}")


class _Asked(NamedTuple):
    """Which attacks, and what they are given."""

    attacks: str
    shadows: Path | None = None
    reference: str | None = None
    seed: int = 0


def _execute(
    kind: str,
    model: str,
    sets: dict,
    asked: _Asked,
    limit: int | None,
    rows: int,
    device: str,
    out: Path,
    name: str | None = None,
    **extra: Any,
) -> Any:
    from trainedon.runs import Plan, run
    from trainedon.targets import load_target

    chosen = _chosen(kind, sets, asked)
    target = load_target(model, device=device, rows=rows)
    if "all" in map(str.strip, asked.attacks.split(",")):
        chosen = [attack for attack in chosen if _allowed(attack, target)]
    if name:
        target.identity = replace(target.identity, name=name)
    command = shlex.join(["trainedon", *sys.argv[1:]])
    plan = Plan(kind=kind, sets=sets, attacks=chosen, seed=asked.seed, limit=limit, command=command, **extra)
    with _Bars() as bars:
        return run(target, plan, out, bars)


def _chosen(kind: str, sets: dict, asked: _Asked) -> list:
    """The attacks that were asked for; refused before anything is loaded when one lacks what it needs."""
    from trainedon.attacks import parse_attacks
    from trainedon.targets import Reference, Shadows

    have = ["gradients"] + ["unseen"] * ("unseen" in sets) + ["labels"] * (kind == "evaluate")
    shadows = asked.shadows and Shadows.open(asked.shadows)
    reference = asked.reference and Reference.open(asked.reference)
    return parse_attacks(asked.attacks, have, seed=asked.seed, shadows=shadows, reference=reference)


def _allowed(attack: Any, target: Any) -> bool:
    try:
        attack.check(target)
    except UserError as error:
        progress_console.print(_plain(f"left out: {error}"), soft_wrap=True)
        return False
    return True


class _Bars:
    """Progress bars on the terminal, one for each thing that is said to progress."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=progress_console,
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        key = what.partition(",")[0]
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(_plain(what), total=total)
        self._progress.update(self._tasks[key], completed=done, description=_plain(what))


def _print_evaluation(document: Any, run: Path) -> None:
    from trainedon.runs.folder import read_run

    record = read_run(run)
    backward = {cost["attack"]: cost["backward_per_picture"] for cost in record["costs"]}
    labels = record.get("labels", {})  # not in runs of earlier versions
    reported = {figures["attack"]: figures for figures in record.get("reported", [])}
    heads = ["attack", "AUC", "ASR*", "TPR@1%", "TPR@.1%", "passes", "s/pic", *(["reported"] if reported else [])]
    table = Table(box=None, padding=(0, 1, 0, 0))
    for head in heads:
        table.add_column(head, no_wrap=head != "attack", overflow="fold")
    for attack in document.attacks:
        area = "-" if attack.auc is None else f"{attack.auc:.4f} {_interval(attack.auc_ci, 3)}"
        wide = out_console.width >= 110  # a narrow terminal has no room for every interval
        rates = [_rate(attack.tpr_at_fpr.get(level), interval=wide) for level in ("0.01", "0.001")]
        passes = f"{_number(attack.nfe_per_picture, 0)}+{backward.get(attack.repr, 0)}"
        cells = [area, _number(attack.asr, 3), *rates, passes, _number(attack.seconds_per_picture, 3)]
        label = _plain(labels.get(attack.repr, attack.name))
        table.add_row(label, *cells, *([_figures(reported, attack)] if reported else []))
    out_console.print(table)
    _say("* best threshold picked on the same pictures: optimistic, printed because papers do")
    _say("passes: forward+backward a picture; in parentheses 95 % intervals; n < N: not estimable, N unseen are needed")
    if reported:
        _say(
            f"reported: AUC / ASR / TPR@1% that papers print for {record['choices']['dataset']}, on models of their own"
        )
    _print_flags(document)


def _figures(reported: dict, attack: Any) -> str:
    figures = reported.get(attack.repr)
    if figures is None:
        return "-"
    return " / ".join(_number(figures[key], 3) for key in ("auc", "asr", "tpr_1"))


def _print_audit(document: Any) -> None:
    table = Table("picture", "score", "p", "q", box=None, padding=(0, 2, 0, 0))
    for row in document.pictures[:12]:
        table.add_row(_plain(row.picture), _number(row.score, 4), _number(row.p_value, 4), _number(row.q_value, 4))
    out_console.print(table)
    if len(document.pictures) > 12:
        _say(f"... and {len(document.pictures) - 12} more, in audit.json")
    _print_flags(document)
    _say(f"Claim level {document.claim.level}: {document.claim.sentence}")


def _print_flags(document: Any) -> None:
    for flag in document.flags:
        _say(f"flag {flag.code}: {flag.raised_because}")


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _rate(rate: Any, *, interval: bool) -> str:
    if rate is None or not rate.estimable:
        return "-" if rate is None else f"n < {rate.needed}"
    return f"{rate.tpr:.3f} {_interval(rate.tpr_ci, 2)}" if interval else f"{rate.tpr:.3f}"


def _interval(bounds: tuple[float, float] | None, digits: int) -> str:
    return "" if bounds is None else f"({bounds[0]:.{digits}f} to {bounds[1]:.{digits}f})"


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(width) for width in text.split(","))
    except ValueError:
        raise UserError(f"--widths {text!r}: give whole numbers joined by commas, such as 32,64,96") from None


def _plain(text: str) -> str:
    """Without control characters, which a file name may hold and a terminal would obey, and without markup."""
    from rich.markup import escape

    return escape("".join(character if character.isprintable() else "?" for character in text))


def _say(text: str) -> None:
    out_console.print(_plain(text), soft_wrap=True)


def main() -> None:
    """Entry point: bad input ends with one line and exit code 2, an interrupt with 130."""
    warnings.filterwarnings("ignore")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    try:
        app(standalone_mode=False)
    except (UserError, PictureError) as error:
        Console(stderr=True, highlight=False).print(f"trainedon: {_plain(str(error))}", soft_wrap=True)
        raise SystemExit(2) from None
    except (KeyboardInterrupt, typer.Abort):
        Console(stderr=True).print("trainedon: stopped; the same command goes on from here")
        raise SystemExit(130) from None
    except TyperException as error:
        error.show()
        raise SystemExit(error.exit_code) from None
