"""Is a run folder what it says? Everything that follows from its scores is computed again and compared."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from trainedon import evidence, report
from trainedon.errors import UserError
from trainedon.evidence.prepare import joined
from trainedon.evidence.rows import Rows
from trainedon.evidence.texts import NONE
from trainedon.files import file_digest
from trainedon.pictures import Inventory, inventory_digest, read_inventory
from trainedon.pictures.sniffing import PASSED, kind_of
from trainedon.runs.folder import read_run
from trainedon.runs.run import recompute

CLOSE = 1e-9  # relative; the last digits of a number may differ between machines
LISTED = 5
DOCUMENTS = ("audit.json", "evaluation.json", "peaks.json", "sweep.json")


@dataclass(frozen=True)
class Check:
    """One thing that was checked. ok: None where the run has nothing to check. detail: what was found."""

    name: str
    ok: bool | None
    detail: str


def verify(run: Path) -> list[Check]:
    """Check a run folder; changes nothing. Raises UserError when `run` is none."""
    record = read_run(run)
    documents = cache(lambda: recompute(run, record))  # two checks need them, and they take a while
    checks: list[tuple[str, Callable[[], tuple[bool | None, str]]]] = [
        ("the run is complete", lambda: _complete(run, record)),
        ("files are as they were when the run ended", lambda: _files(run, record)),
        ("pictures are those that the run records", lambda: _pictures(run, record)),
        ("scores belong to these pictures and attacks", lambda: _scores(run, record)),
        ("the statistics follow from the scores", lambda: _statistics(run, documents())),
        ("evidence pictures carry the scores of the table", lambda: _exhibits(run, record)),
        ("the page shows what follows from the scores", lambda: _page(run, documents())),
    ]
    return [Check(name, *_answer(check)) for name, check in checks]


def _answer(check: Callable[[], tuple[bool | None, str]]) -> tuple[bool | None, str]:
    try:
        return check()
    except UserError as error:
        return False, str(error)


def _complete(run: Path, record: dict) -> tuple[bool | None, str]:
    status = record.get("status")
    return status == "complete", f"its status is {status}"


def _files(run: Path, record: dict) -> tuple[bool | None, str]:
    known = record.get("files")
    if not known:
        return None, "no digests were recorded"
    changed = [name for name, digest in known.items() if not (run / name).exists() or file_digest(run / name) != digest]
    return not changed, f"changed or missing: {', '.join(changed)}" if changed else ", ".join(known)


def _pictures(run: Path, record: dict) -> tuple[bool | None, str]:
    known = record.get("identity", {}).get("pictures")
    if not known or not (run / "pictures.parquet").exists():
        return None, "only scores were given"
    items = read_inventory(run / "pictures.parquet")
    if (run / "labels.json").exists():  # labels that were inferred came after the digest was taken
        inferred = json.loads((run / "labels.json").read_text("utf-8"))
        items = items.replaced("label", {i: None for i, item in enumerate(items) if item.sha256 in inferred})
    wrong = [name for name, digest in known.items() if inventory_digest(items.of_set(name)) != digest]
    wrong += [
        f"what was passed over of {name}" for name in known if not _as_passed_over(items.of_set(name), record, name)
    ]
    return not wrong, f"not as recorded: {', '.join(wrong)}" if wrong else f"{len(items.pictures)} pictures"


def _as_passed_over(items: Inventory, record: dict, name: str) -> bool:
    """Whether as much was passed over as the run records, and nothing that was scored."""
    due = record.get("inputs", {}).get(name, {}).get("passed_over") or {}
    over = [item for item in items if item.reason is not None and item.reason.startswith(PASSED)]
    return Counter(kind_of(str(item.reason)) for item in over) == due and all(item.sha256 is None for item in over)


def _scores(run: Path, record: dict) -> tuple[bool | None, str]:
    scores = evidence.read_scores(run / "scores.parquet")
    choices, identity = record.get("choices", {}), record.get("identity", {})
    asked = choices.get("attacks")
    controls = [*record.get("controls", {})]
    if asked is not None and [key.repr for key in scores.attacks] != [*asked, *controls]:
        return False, "the attacks of the table are not those of the run, in its order"
    if controls != identity.get("controls", []):
        return False, "the controls are not those of which the run was made"
    if choices.get("lead", "first") != identity.get("lead", "first"):
        return False, "the claim speaks of another test than the run was made for"
    if not (run / "pictures.parquet").exists():
        return None, "only scores were given"
    scores, listed = joined(scores, run / "pictures.parquet")
    columns = scores.columns
    place = listed.place(columns.set, columns.picture)
    missing = []
    for key in sorted(scores.attacks):
        known = np.zeros(len(listed) + 1, dtype=bool)  # the last is for rows that are not listed
        known[place[scores.of_attack(key).places]] = True
        missing.append(np.flatnonzero(~known[:-1]))
    if n := sum(map(len, missing)):
        first = listed.names.of(listed.picture[next(filter(len, missing))[:1]])[0]
        return False, f"{n} pictures have no row in the table, such as {first}"
    strange = (place == NONE) | (listed.sha256[place] != columns.sha256)
    unfit = (listed.reason[place] != NONE) & np.isfinite(columns.score)
    for at in np.flatnonzero(strange | unfit)[:1].tolist():
        row = scores.rows[at]
        why = "is not in pictures.parquet with this digest" if strange[at] else "was not to be used and has a score"
        return False, f"{row.picture} ({row.set}) {why}"
    return True, f"{len(scores)} rows"


def _statistics(run: Path, documents: dict[str, evidence.Document]) -> tuple[bool | None, str]:
    strangers = [name for name in DOCUMENTS if (run / name).exists()]
    differing = [f"{name} is not of this run" for name in strangers if name not in documents]
    for name, document in documents.items():
        if _is_text_of(run / name, document):
            continue
        try:
            stored = json.loads((run / name).read_text("utf-8"))
            type(document).model_validate_json((run / name).read_text("utf-8"))
        except (OSError, ValueError):  # pydantic's error is a ValueError
            return False, f"{name} is missing or breaks its schema"
        now = json.loads(evidence.to_json(document))
        differing += [f"{name}: {place}" for place in _differences(stored, now)]
    if not differing:
        return True, "every number is the same"
    more = f" and {len(differing) - LISTED} more" if len(differing) > LISTED else ""
    return False, f"{'; '.join(differing[:LISTED])}{more}"


def _is_text_of(path: Path, document: evidence.Document) -> bool:
    """Whether a file is the document, byte for byte; neither is held as a whole."""
    try:
        with path.open("rb") as stream:
            same = all(stream.read(len(part)) == part for part in map(str.encode, evidence.json_parts(document)))
            return same and not stream.read(1)
    except OSError:
        return False


def _differences(stored: object, now: object, place: str = "") -> Iterator[str]:
    """Where two JSON values differ, in words."""
    if isinstance(stored, dict) and isinstance(now, dict):
        for key in {**now, **stored}:
            yield from _differences(stored.get(key), now.get(key), f"{place}.{key}" if place else key)
    elif isinstance(stored, list) and isinstance(now, list) and len(stored) == len(now):
        for i, (first, second) in enumerate(zip(stored, now, strict=True)):
            yield from _differences(first, second, f"{place}[{i}]")
    elif not _same(stored, now):
        yield f"{place} is {_brief(stored)}, the scores give {_brief(now)}"


def _same(stored: object, now: object) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (stored, now))
    return math.isclose(stored, now, rel_tol=CLOSE, abs_tol=1e-12) if numbers else stored == now


def _brief(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _exhibits(run: Path, record: dict) -> tuple[bool | None, str]:
    scores = evidence.read_scores(run / "scores.parquet")
    files = sorted((run / "restored").glob("*/evidence.json"))
    for path in files:
        told = json.loads(path.read_text("utf-8"))
        if not _has_row(scores, told) or path.parent.name != str(told.get("sha256"))[:16]:
            return (
                False,
                f"{path.parent.name} says {told.get('score')} of {told.get('picture')}, and the table does not",
            )
    return (True, f"{len(files)} pictures") if files else (None, "none were kept")


def _has_row(scores: evidence.Scores, told: dict) -> bool:
    """Whether the table has a scored row with this attack, set, picture and score."""
    columns = scores.columns
    (number,) = columns.names.find(pa.array([str(told.get("picture"))]))
    rows = Rows(columns, np.flatnonzero(columns.picture == number))
    asked = tuple(told.get(name) for name in ("attack", "set", "picture", "score"))
    return any((row.attack, row.set, row.picture, row.score) == asked and row.score is not None for row in rows)


def _page(run: Path, documents: dict[str, evidence.Document]) -> tuple[bool | None, str]:
    try:
        shown = (run / "report.html").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False, "report.html is missing or cannot be read"
    document, *_ = documents.values()
    due = report.page(report.read(run, document))
    if shown == due:
        return True, "it is the page that the scores give"
    for number, (first, second) in enumerate(zip(shown.splitlines(), due.splitlines(), strict=False), start=1):
        if first != second:
            return False, f"line {number} is not what the scores give: {first.strip()[:80]!r}"
    return False, "it is shorter or longer than what the scores give"
