"""What can be done with a run that is there: statistics and page again, limits, checks, a seal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from trainedon import run_files
from trainedon.errors import UserError

if TYPE_CHECKING:
    from trainedon.api.results import AuditRun, EvaluationRun
    from trainedon.attacks import Progress
    from trainedon.evidence import Evaluation, LimitAnswer
    from trainedon.formats.page_language import Language
    from trainedon.runs.checking.verify import Check


def report(
    run: str | Path,
    out: str | Path | None = None,
    *,
    csv: bool = False,
    latex: bool = False,
    figures: str | Path | None = None,
    language: Language | None = None,
    progress: Progress | None = None,
) -> AuditRun | EvaluationRun:
    """Statistics and page again from stored scores, as `trainedon report`; neither model nor pictures are needed.

    run: a run folder; or a table of scores, CSV or parquet, which is written to the new run folder `out`.
    csv, latex: the table of attacks too, as `attacks.csv` and `attacks.tex` in the run folder. figures: a folder for
    ROC curves, histograms of scores and the curves of a sweep, as SVG and PDF with their numbers as CSV; needs
    `trainedon[figures]`. language: of the page, `en`, `de` or `fr`; it is recorded, and stays where it is not given
    again. progress: called with (what, done, total). Raises UserError where one does not go with the other, or cannot
    be read.
    """
    from trainedon import runs
    from trainedon.api.results import AuditRun, EvaluationRun, Kept, of_run
    from trainedon.attacks.core.answers import silent
    from trainedon.evidence import Audit

    run = Path(run)
    if out is None and run.is_file():
        raise UserError(f"{run} is a table: say with --out DIR where statistics and page are to be written")
    if out is not None and run.is_dir():
        raise UserError(f"{run} is a folder: leave out --out, which is for tables of scores")
    tables = [name for name, asked in ((run_files.ATTACKS_SHEET, csv), (run_files.ATTACKS_LATEX, latex)) if asked]
    folder = run if out is None else Path(out)
    if (tables or language is not None) and (folder / run_files.SEAL).exists():
        raise UserError(
            f"{folder} is sealed as it is: take tables, or the page in another language, from a copy without "
            f"{run_files.SEAL}"
        )
    if out is not None:
        document = runs.conclude_table(run, folder, tables, progress or silent)
    if out is None or language is not None:
        document = runs.conclude(folder, tables, language, progress or silent)
    if figures is not None:
        from trainedon.exports.plots import write_figures
        from trainedon.formats import read_record

        write_figures(folder, read_record(folder), Path(figures))
    kept = Kept.of(folder)
    if isinstance(document, Audit):
        return of_run(AuditRun, document, kept)
    return of_run(EvaluationRun, document, kept)


def verify(
    run: str | Path, *, sealed: bool = False, seal: str | Path | None = None, signer: str | Path | None = None
) -> list[Check]:
    """Compute a run's statistics again from its scores, and compare its files and its page with these.

    sealed: also compare with the seal, `seal` if it is not `RUN/seal.json`. signer: the public key of who should have
    sealed it, which implies it. A check whose `ok` is False failed; None: nothing could be checked.
    Raises UserError for a key that cannot be read.
    """
    from trainedon.runs import verify as check
    from trainedon.runs.checking.keys import public_key
    from trainedon.runs.checking.seal import check_seal

    expected = None if signer is None else public_key(Path(signer))
    checks = check(Path(run))
    if sealed or seal or signer:
        checks += check_seal(Path(run), None if seal is None else Path(seal), expected)
    return checks


def judge(evaluation: Evaluation, limit: str) -> LimitAnswer:
    """Is it shown that the model leaks more than a limit, such as `auc=0.6` or `tpr@1%=0.05`? As `--fail-above`.

    evaluation: what `evaluate` or `report` returned. The answer's `outcome` is `above`, where the lower end of the
    interval of some attack, which holds for all attacks together, is above the limit; `not shown`; or `not estimable`,
    where with so few pictures it could not have been shown. Raises UserError for a limit that is none.
    """
    from trainedon.evidence import judge as judged
    from trainedon.formats import read_record

    folder = getattr(evaluation, "folder", None)
    return judged(evaluation, limit, None if folder is None else read_record(folder).labels)


def seal(
    run: str | Path,
    out: str | Path | None = None,
    *,
    key: str | Path | None = None,
    passphrase: Callable[[], str] | None = None,
) -> Path:
    """Vouch for a complete run: one digest over everything in its folder, with the date. The seal's file.

    out: where it is written, if not `RUN/seal.json`. key: an Ed25519 key, PEM or as ssh-keygen makes it, that signs it;
    passphrase: called where the key is encrypted. Raises UserError for an unfinished run and a key that does not open.
    """
    from trainedon.runs.checking import keys
    from trainedon.runs.checking.seal import seal as seal_run

    opened = None if key is None else keys.private_key(Path(key), passphrase or _no_passphrase)
    return seal_run(Path(run), None if out is None else Path(out), opened)


def _no_passphrase() -> str:
    raise UserError("the key is encrypted: give passphrase, a function that returns it")
