"""Commands that look at what is there: attacks, plan, report, verify, seal, schema."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from trainedon import api, run_files
from trainedon.api import Machine, Reading
from trainedon.cli.limits_met import checked_limits, hold_to
from trainedon.cli.option_groups import (
    Adapter,
    Base,
    BatchSize,
    Compile,
    Control,
    Controls,
    Device,
    FailAbove,
    Model,
    Offload,
    PlannedAttacks,
    Precision,
    Reference,
    Shadows,
    Size,
    Slicing,
    here,
)
from trainedon.cli.plan_printing import print_plan
from trainedon.cli.printing import print_audit, print_card, print_evaluation, print_page, print_passed
from trainedon.cli.terminal import Bars, say, say_besides
from trainedon.errors import UserError, meant
from trainedon.formats.page_language import Language
from trainedon.spec import left_out
from trainedon.unforeseen import logged_in

VERDICTS = {True: "ok", False: "FAILED", None: "not checked"}


def attacks(
    *,
    name: Annotated[str | None, typer.Argument(help="One attack: all that there is to know of it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as JSON.")] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="As a Markdown table, as in docs/attacks.md.")
    ] = False,
) -> None:
    """What attacks there are, what they need, their parameters, and what they cost."""
    from trainedon.cli.catalogue import card, listing, markdown

    if name is not None and as_markdown:
        raise UserError("--markdown is the table of all attacks: leave out the name")
    if as_json:
        cards = [card(one.name) for one in listing()] if name is None else [card(name)]
        told = [asdict(one) for one in cards]
        sys.stdout.write(json.dumps(told if name is None else told[0], indent=2, ensure_ascii=False) + "\n")
        return
    if name is not None:
        print_card(card(name))
        return
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
    for line in left_out():
        say(f"left out: {line}")
    say("Parameters go in parentheses: --attacks 'drc-hide(roi=attention:0.25, steps=10), loss(t=100), fremia(pia)'")


def plan(
    *,
    model: Model,
    n: Annotated[str, typer.Argument(metavar="N", help="How many pictures: 1000000, 1_000_000, 1e6 or 1M.")],
    gpus: Annotated[int, typer.Option(help="How many devices like this one share the work.")] = 1,
    attacks: PlannedAttacks = None,
    shadows: Shadows = None,
    reference: Reference = None,
    control: Control = None,
    controls: Controls = True,
    pictures: Annotated[
        str | None, typer.Option(help="Some of the pictures: their size, and how fast they are read, is measured.")
    ] = None,
    bytes_per_picture: Annotated[str | None, typer.Option(help="How large a stored picture is, such as 100k.")] = None,
    suspects: Annotated[
        int | None,
        typer.Option(
            help="How many of the N are suspects, of an audit: says which claim it can reach. All: without unseen "
            "pictures."
        ),
    ] = None,
    sources: Annotated[
        int | None,
        typer.Option(help="With --suspects, all works of one artist: how many others the unseen ones are of."),
    ] = None,
    batch_size: BatchSize = None,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="The same as JSON.")] = False,
    precision: Precision = "auto",
    compiled: Compile = False,
    base: Base = None,
    adapter: Adapter = None,
    size: Size = None,
    offload: Offload = None,
    slicing: Slicing = False,
    reading: Reading,
) -> None:
    """What would N pictures take? Measures one batch of the network here, and says passes, hours and bytes."""
    from trainedon.planning.forecast import count

    found = api.plan(
        model,
        count(n, "N"),
        gpus=gpus,
        attacks=attacks,
        shadows=shadows,
        reference=reference,
        control=control,
        controls=controls,
        pictures=pictures,
        bytes_per_picture=None if bytes_per_picture is None else count(bytes_per_picture, "--bytes-per-picture"),
        suspects=suspects,
        sources=sources,
        machine=Machine(batch_size, device, precision, compiled, adapter, base, size, offload, slicing),
        reading=reading,
    )
    if as_json:
        sys.stdout.write(json.dumps(asdict(found), indent=2) + "\n")
        return
    if pictures is not None:
        say_besides(pictures, reading.follow_links)
    print_plan(found)


def report(
    *,
    run: Annotated[Path, typer.Argument(help="A run folder; or a table of scores, CSV or parquet, with --out.")],
    out: Annotated[Path | None, typer.Option(callback=here, help="For a table: the run folder to write.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Also the table of attacks, RUN/attacks.csv.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Also the table of attacks for TeX, RUN/attacks.tex.")] = False,
    figures: Annotated[
        Path | None,
        typer.Option(
            callback=here,
            help="A folder for figures (ROC, scores, sweeps) as SVG and PDF, with their numbers as CSV; needs "
            r"pip install 'trainedon\[figures]'.",
        ),
    ] = None,
    fail_above: FailAbove = None,
    language: Annotated[Language | None, typer.Option(help="Of the page, from now on; en at first.")] = None,
) -> None:
    """Statistics and page again from the stored scores; no model and no pictures are needed."""
    from trainedon.evidence import Audit, Evaluation

    limits = checked_limits(fail_above)

    with logged_in(out or run), Bars() as bars:
        found = api.report(run, out, csv=csv, latex=latex, figures=figures, language=language, progress=bars)
    folder = out or run
    print_passed(found.passed_over)
    if isinstance(found, Audit):
        print_audit(found)
    elif isinstance(found, Evaluation):
        print_evaluation(found, folder)
    for name in [run_files.ATTACKS_SHEET] * csv + [run_files.ATTACKS_LATEX] * latex:
        say(f"Table: {folder / name}")
    if figures is not None:
        say(f"Figures: {figures}")
    print_page(folder, folder)
    if limits and not isinstance(found, Evaluation):
        raise UserError("--fail-above is for evaluations: of suspects nobody knows how many the model was trained on")
    if isinstance(found, Evaluation):
        hold_to(limits, found)


def verify(
    *,
    run: Annotated[Path, typer.Argument(help="A run folder, whoever made it.")],
    seal: Annotated[Path | None, typer.Argument(help="With --seal: the seal, when it is not RUN/seal.json.")] = None,
    sealed: Annotated[bool, typer.Option("--seal", help="Also compare with the seal: who vouches for it?")] = False,
    signer: Annotated[
        Path | None, typer.Option(help="The public key of who should have sealed it, PEM or `ssh-ed25519 ...`.")
    ] = None,
) -> None:
    """Compute a run's statistics again from its scores, and say whether its files and its page tell the truth."""

    from trainedon.runs.checking.verify import PAGE

    checks = api.verify(run, sealed=sealed, seal=seal, signer=signer)
    for one in checks:
        say(f"{VERDICTS[one.ok]}: {one.name} ({one.detail})")
    failed = sum(one.ok is False for one in checks)
    if failed:
        say(f"{failed} of {len(checks)} checks failed: do not rely on this page")
        raise SystemExit(1)
    if not (sealed or seal or signer):
        how = "--seal checks its seal" if (run / run_files.SEAL).exists() else "a seal says who vouches for them"
        say(f"Scores could have been replaced before, and all else computed from these: {how}.")
    unchecked = any(one.name == PAGE and one.ok is None for one in checks)
    page = "; its page was not checked: `trainedon report` writes it anew" if unchecked else ""
    say(f"This run tells what follows from its scores{page}.")


def seal(
    *,
    run: Annotated[Path | None, typer.Argument(help="A run folder that is complete.")] = None,
    key: Annotated[Path | None, typer.Option(help="Sign with this Ed25519 key, PEM or as ssh-keygen makes it.")] = None,
    out: Annotated[
        Path | None, typer.Option(callback=here, help="Where the seal is written; RUN/seal.json when not given.")
    ] = None,
    new_key: Annotated[Path | None, typer.Option(help="Make a key in this file, and FILE.pub to give away.")] = None,
) -> None:
    """Vouch for a run: one digest over everything in its folder, with the date, signed where a key is given."""
    from trainedon.runs.checking import keys
    from trainedon.runs.checking.seal import read_seal

    if new_key is not None:
        say(f"Key: {new_key}, for you alone. Publish {keys.new_key(new_key)}, so that others know your seals.")
        key = key or new_key
    if run is None:
        if new_key is None:
            raise UserError("give the run folder that is to be sealed, or --new-key FILE")
        return
    path = api.seal(run, out, key=key, passphrase=_passphrase)
    found = read_seal(path)
    who = f"by the key {keys.fingerprint(keys.of_pem(found.public_key.encode()))}" if found.public_key else "unsigned"
    say(f"Sealed: {path}, {len(found.files)} files, {found.sealed}, {who}")
    say(f"Digest: {found.digest}")


def schema(
    *,
    document: Annotated[str, typer.Argument(help="run, audit, evaluation, peaks, sweep, compare, draw or twins.")],
) -> None:
    """The JSON schema of a document that runs write."""
    from trainedon.evidence import schemas

    known = schemas()
    if document not in known:
        raise UserError(f"there is no document {document!r}{meant(document, known)}: choose from {', '.join(known)}")
    sys.stdout.write(known[document])


def _passphrase() -> str:
    """That of an encrypted key. Raises UserError where nobody can be asked."""
    known = os.environ.get("TRAINEDON_PASSPHRASE")
    if known is None and not sys.stdin.isatty():
        raise UserError("the key is encrypted: set TRAINEDON_PASSPHRASE, or run this in a terminal, which asks for it")
    return known if known is not None else str(typer.prompt("Passphrase of the key", hide_input=True))
