"""Is a run folder what it says? Everything that follows from its scores is computed again and compared."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import numpy as np

from trainedon import evidence, reporting, run_files
from trainedon.errors import UserError
from trainedon.evidence.table.codes import MISSING
from trainedon.evidence.table.deduplicate import joined
from trainedon.evidence.table.rows import Rows
from trainedon.exports.sheets import sheets
from trainedon.formats import RunRecord, read_record
from trainedon.formats.exhibit_json import ExhibitRecord, read_exhibit
from trainedon.formats.label_json import read_labels
from trainedon.formats.reasons import PASSED
from trainedon.formats.run_record import InputEntry
from trainedon.pictures import Inventory, inventory_digest, read_inventory
from trainedon.pictures.pixels.sniffing import kind_of
from trainedon.reading import json_of, open_regular, read_bytes
from trainedon.runs.added_attacks import unfinished
from trainedon.runs.checking.consistency import disagreements
from trainedon.runs.checking.contents import contents, digest_in
from trainedon.runs.checking.differences import differences
from trainedon.runs.checking.earlier_page import wrong_with
from trainedon.runs.conclusion import Documents, recompute
from trainedon.runs.scoring.exhibit_files import RESTORED, check_sizes, shown_files

LISTED = 5
MOST_ATTACKS = 300  # of a table that is computed again
MOST_PAIRS = 50_000  # of settings that a sweep compares
MOST_SHOWN = 1000  # evidence pictures
PAGE = "the page shows what follows from the scores"  # one of the checks
Answer = tuple[bool | None, str]


@dataclass(frozen=True)
class Check:
    """One thing that was checked. ok: None where nothing could be checked. detail: what was found."""

    name: str
    ok: bool | None
    detail: str


def verify(run: Path) -> list[Check]:
    """Check a run folder, whoever made it; changes nothing. Whatever is wrong with a file in it is a check that failed.

    Raises UserError when `run` is no run folder.
    """
    if not os.path.lexists(run / run_files.RUN):
        raise UserError(f"{run} is not a run folder: it has no {run_files.RUN}")
    try:
        record = read_record(run)
    except UserError as error:
        return [Check("the record can be read", False, str(error))]
    if not record.is_complete and not record.finished:  # all else follows from scores that are not all there
        return [Check("the run is complete", *_answer(lambda: (False, f"{unfinished(run, record)}; then verify it")))]
    # several checks need them, and they take a while
    scores = cache(lambda: evidence.read_scores(run / run_files.SCORES))
    documents = cache(lambda: _documents(run, record, scores()))
    checks: list[tuple[str, Callable[[], Answer]]] = [
        ("the run is complete", lambda: _complete(record)),
        ("the folder holds what a run writes", lambda: _contents(run)),
        ("the record agrees with itself", lambda: _record(record)),
        ("files are as they were when the run ended", lambda: _files(run, record)),
        ("pictures are those that the run records", lambda: _pictures(run, record)),
        ("scores belong to these pictures and attacks", lambda: _scores(run, record, scores())),
        ("the statistics follow from the scores", lambda: _statistics(run, documents().named())),
        ("evidence pictures are as they were when the run ended", lambda: _restored(run, record)),
        ("evidence pictures carry the scores of the table", lambda: _exhibits(run, scores())),
        ("tables hold what follows from the scores", lambda: _sheets(run, record, documents().first)),
        (PAGE, lambda: _page(run, record, documents().first)),
    ]
    return [Check(name, *_answer(check)) for name, check in checks]


def _answer(check: Callable[[], Answer]) -> Answer:
    try:
        return check()
    except UserError as error:
        return False, str(error)
    except Exception as error:  # noqa: BLE001 a stranger's file must not end the other checks, whatever is wrong with it
        said = " ".join(str(error).split())[:120]
        return False, f"it could not be checked ({type(error).__name__}{said and f': {said}'})"


def _documents(run: Path, record: RunRecord, scores: evidence.Scores) -> Documents:
    """What follows from the scores. Raises UserError where it would take for ever."""
    groups = record.sweep.groups if record.sweep else []
    pairs = sum(len(group.settings) ** 2 // 2 for group in groups)
    if len(scores.attacks) > MOST_ATTACKS or pairs > MOST_PAIRS:
        raise UserError(f"{len(scores.attacks)} attacks and {pairs} comparisons are more than can be computed again")
    return recompute(run, record)


def _complete(record: RunRecord) -> Answer:
    if record.is_complete and not record.finished:
        return False, "its status is complete, and it does not say when it was finished"
    return record.is_complete, f"its status is {record.status}"


def _contents(run: Path) -> Answer:
    found = contents(run)
    if found.wrong:
        return False, _listed(found.wrong)
    return True, f"besides: {_listed(found.besides)}" if found.besides else "and nothing besides"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{'; '.join(names[:LISTED])}{more}"


def _record(record: RunRecord) -> Answer:
    found = disagreements(record)
    return not found, _listed(found) or "as made, as asked and as it says of the model"


def _files(run: Path, record: RunRecord) -> Answer:
    known = record.files
    due = {run_files.SCORES} | ({run_files.PICTURES} if record.identity.pictures else set())
    due |= {run_files.DRAW} if record.identity.draw else set()
    due |= {run_files.TWINS} if record.identity.twins else set()
    if missing := sorted(due - known.keys()):
        return False, f"the run records no digest of {', '.join(missing)}"
    if strange := sorted(known.keys() - {*run_files.INPUTS}):
        return False, f"{_listed(strange)} is no file that statistics are computed from"
    if added := [name for name in run_files.INPUTS if name not in known and os.path.lexists(run / name)]:
        return False, f"{_listed(added)} was not there when the run ended"
    changed = [name for name, digest in known.items() if digest_in(run, name) != digest]
    return not changed, f"changed or missing: {', '.join(changed)}" if changed else ", ".join(known)


def _pictures(run: Path, record: RunRecord) -> Answer:
    known = record.identity.pictures
    if not known:
        return None, "only scores were given"
    items = read_inventory(run / run_files.PICTURES)
    if (run / run_files.LABELS).exists():  # labels that were inferred came after the digest was taken
        inferred = read_labels(run / run_files.LABELS, len(items))
        items = items.replaced("label", {i: None for i, item in enumerate(items) if item.sha256 in inferred})
    wrong = [name for name, digest in known.items() if inventory_digest(items.of_set(name)) != digest]
    for name in known:
        given, found = record.inputs.get(name, InputEntry()), items.of_set(name)
        wrong += [] if _as_passed_over(found, given) else [f"what was passed over of {name}"]
        wrong += [] if given.pictures in (None, len(found.pictures)) else [f"the number of {name}"]
    wrong += [f"the set {name}" for name in sorted({*items.column("set").unique().to_pylist()} - {*known})]
    return not wrong, f"not as recorded: {', '.join(wrong)}" if wrong else f"{len(items.pictures)} pictures"


def _as_passed_over(items: Inventory, given: InputEntry) -> bool:
    """Whether as much of a set was passed over as the run records, and nothing that was scored."""
    over = [item for item in items if item.reason is not None and item.reason.startswith(PASSED)]
    counts = Counter(kind_of(str(item.reason)) for item in over)
    return counts == given.passed_over and all(item.sha256 is None for item in over)


def _scores(run: Path, record: RunRecord, scores: evidence.Scores) -> Answer:
    asked, identity, controls = record.choices.attacks, record.identity, [*record.controls]
    if asked is not None and [key.repr for key in scores.attacks] != [*asked, *controls]:
        return False, "the attacks of the table are not those of the run, in its order"
    if controls != identity.controls:
        return False, "the controls are not those of which the run was made"
    if record.choices.lead != identity.lead:
        return False, "the claim speaks of another test than the run was made for"
    if not identity.pictures:
        return None, "only scores were given"
    scores, listed = joined(scores, run / run_files.PICTURES)
    if not len(listed):
        return False, "pictures.parquet lists no picture"
    columns = scores.columns
    place = listed.rows_of(columns.set, columns.picture)
    missing = []
    for key in sorted(scores.attacks):
        known = np.zeros(len(listed) + 1, dtype=bool)  # the last is for rows that are not listed
        known[place[scores.of_attack(key).indices]] = True
        missing.append(np.flatnonzero(~known[:-1]))
    if n := sum(map(len, missing)):
        first = listed.names.decode(listed.picture[next(filter(len, missing))[:1]])[0]
        return False, f"{n} pictures have no row in the table, such as {first}"
    strange = (place == MISSING) | (listed.sha256[place] != columns.sha256)
    unfit = (listed.reason[place] != MISSING) & np.isfinite(columns.score)
    for at in np.flatnonzero(strange | unfit)[:1].tolist():
        row = scores.rows[at]
        why = "is not in pictures.parquet with this digest" if strange[at] else "was not to be used and has a score"
        return False, f"{row.picture} ({row.set}) {why}"
    return True, f"{len(scores)} rows"


def _statistics(run: Path, due: dict[str, evidence.Document]) -> Answer:
    strangers = [name for name in run_files.DOCUMENTS if os.path.lexists(run / name)]
    differing = [f"{name} is not of this run" for name in strangers if name not in due]
    for name, document in due.items():
        if _is_text_of(run / name, evidence.json_parts(document)):
            continue
        text = evidence.to_json(document)
        try:
            data = read_bytes(run / name, 2 * len(text.encode()) + 2**20)
            stored, now = json_of(data, name), json.loads(text)
            type(document).model_validate_json(data)
        except (OSError, ValueError):  # pydantic's error is a ValueError
            return False, f"{name} is missing or breaks its schema"
        differing += [f"{name}: {place}" for place in differences(stored, now)]
    if not differing:
        return True, "every number is the same"
    more = f" and {len(differing) - LISTED} more" if len(differing) > LISTED else ""
    return False, f"{'; '.join(differing[:LISTED])}{more}"


def _is_text_of(path: Path, parts: Iterable[str]) -> bool:
    """Whether a file is the text in these parts, byte for byte; neither is held as a whole."""
    try:
        with open_regular(path) as stream:
            same = all(stream.read(len(part)) == part for part in map(str.encode, parts))
            return same and not stream.read(1)
    except OSError:
        return False


def _sheets(run: Path, record: RunRecord, document: evidence.Audit | evidence.Evaluation) -> Answer:
    """Tables need not be there, as in runs of earlier versions; one that is must be what the scores give."""
    here = {name: made for name, made in sheets(run, record, document).items() if os.path.lexists(run / name)}
    wrong = [name for name, made in here.items() if not _is_text_of(run / name, made() or ())]
    if wrong:
        return False, f"{_listed(wrong)} is not what the scores give"
    return (True, ", ".join(here)) if here else (None, "none are there; `trainedon report` writes them")


def _restored(run: Path, record: RunRecord) -> Answer:
    here = shown_files(run)
    known = record.restored
    if known is None:
        return None, "their digests were not recorded" if here else "none were kept"
    if strange := [name for name in known if not RESTORED.fullmatch(name)]:
        return False, f"{_listed(strange)} is no evidence picture"
    wrong = sorted({*known} ^ {*here}) + [name for name in here if known.get(name) != digest_in(run, name)]
    wrong = sorted({*wrong})
    return (False, f"changed, missing or new: {_listed(wrong)}") if wrong else (True, f"{len(known)} files")


def _exhibits(run: Path, scores: evidence.Scores) -> Answer:
    files = [*islice((run / run_files.RESTORED).glob(f"*/{run_files.EXHIBIT}"), MOST_SHOWN + 1)]
    if len(files) > MOST_SHOWN:
        return False, f"there are more than {MOST_SHOWN}, which no run keeps"
    for path in sorted(files):
        told = read_exhibit(path)
        if not _has_row(scores, told):
            return False, f"{path.parent.name} says {told.score} of {told.picture}, and the table does not"
    return (True, f"{len(files)} pictures") if files else (None, "none were kept")


def _has_row(scores: evidence.Scores, told: ExhibitRecord) -> bool:
    """Whether the table has a scored row with this attack, set, picture and score."""
    columns = scores.columns
    (code,) = columns.names.find([told.picture])
    rows = Rows(columns, np.flatnonzero(columns.picture == code))
    asked = (told.attack, told.set, told.picture, told.score)
    return any((row.attack, row.set, row.picture, row.score) == asked for row in rows)


def _page(run: Path, record: RunRecord, document: evidence.Audit | evidence.Evaluation) -> Answer:
    check_sizes(run, record.model.shape)
    due = reporting.page(reporting.read(run, document))
    try:
        shown = read_bytes(run / run_files.PAGE, 2 * len(due.encode()) + 2**20).decode()
    except (OSError, UnicodeDecodeError):
        return False, "report.html is missing or cannot be read"
    if shown == due:
        return True, "it is the page that the scores give"
    writer = record.versions.get("trainedon")
    if writer and writer != version("trainedon"):
        wrong = wrong_with(shown, due, document.claim.sentence if isinstance(document, evidence.Audit) else "")
        told = f"version {writer} wrote it, by the record, so that it could not be checked as a whole"
        return (None, f"{told}; `trainedon report` writes it anew") if wrong is None else (False, wrong)
    for number, (first, second) in enumerate(zip(shown.splitlines(), due.splitlines(), strict=False), start=1):
        if first != second:
            return False, f"line {number} is not what the scores give: {first.strip()[:80]!r}"
    return False, "it is shorter or longer than what the scores give"
