"""From rows as they were given to columns: what a value may look like, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import numpy as np
import pyarrow as pa

from trainedon.errors import UserError
from trainedon.evidence.table.codes import MISSING, Codebook, Codes, DictionaryBuilder, lookup
from trainedon.evidence.table.rows import SETS, AttackKey, Columns, Floats, Row

NO_SCORE = "no score was given"
NO_NUMBER = "the score is not a number"
INFINITE = "the score is infinite"
TOO_LARGE = "the score is too large to be reckoned with"
LARGEST = 1e300  # above it differences of scores overflow
MOST_ATTACKS = 2000  # each is a table of its own, and a part of the page
NOTHING = ("", "-", "null", "none", "na", "n/a", "#n/a", "#nv", "<na>")  # in place of a number
TEXTS = ("picture", "sha256", "cluster")
NUMBERS = ("score", "nfe", "seconds")


class ColumnsBuilder:
    """Collects rows. `n`: how many there are."""

    def __init__(self) -> None:
        self.n = 0
        self._attacks: Codebook[tuple[str, str]] = Codebook()  # name and repr
        self._reasons: Codebook[str] = Codebook()
        self._sources: Codebook[str] = Codebook()
        self._texts = {name: DictionaryBuilder() for name in TEXTS}
        self._numbers: dict[str, list[Floats]] = {name: [] for name in NUMBERS}
        self._codes: dict[str, list[Codes]] = {name: [] for name in ("set", "attack", "reason", "source")}

    def add(self, given: Sequence[Mapping[str, object]]) -> None:
        """Some rows, at least one. Raises UserError for what `Scores.from_rows` refuses."""
        rows = [_row(row, number) for number, row in enumerate(given, start=self.n + 1)]
        columns = dict(zip(Row._fields, zip(*rows, strict=True), strict=True))
        attacks = zip(columns["attack"], columns["attack_repr"], strict=True)
        codes = {
            "set": [SETS.index(name) for name in columns["set"]],
            "attack": [self._attacks[attack] for attack in attacks],
            "reason": [MISSING if reason is None else self._reasons[reason] for reason in columns["reason"]],
            "source": [MISSING if source is None else self._sources[source] for source in columns["source"]],
        }
        if len(self._attacks) > MOST_ATTACKS:
            raise UserError(f"the table of scores has more than {MOST_ATTACKS} attacks: give a part of them at once")
        for name, column in self._texts.items():
            column.add(pa.array(columns[name], pa.string()))
        for name, parts in self._numbers.items():
            parts.append(np.array(columns[name], dtype=float))  # None becomes NaN
        for name, values in codes.items():
            self._codes[name].append(np.array(values, np.int32))
        self.n += len(rows)

    def build(self) -> Columns:
        """Everything that was added, at least one row. Nothing of it is left here."""
        names, picture = self._texts.pop("picture").build()
        digests, sha256 = self._texts.pop("sha256").build()
        clusters, cluster = self._texts.pop("cluster").build()
        digests, moved, named = digests.extended(clusters.values)
        score, nfe, seconds = (np.concatenate(self._numbers.pop(name)) for name in NUMBERS)
        return Columns(
            names=names,
            digests=digests,
            attacks=tuple(AttackKey(*attack) for attack in self._attacks),
            reasons=tuple(self._reasons),
            sources=tuple(self._sources),
            picture=picture,
            set=np.concatenate(self._codes.pop("set"), dtype=np.int8),
            attack=np.concatenate(self._codes.pop("attack")),
            sha256=lookup(moved, sha256),
            score=score,
            reason=np.concatenate(self._codes.pop("reason")),
            nfe=nfe,
            seconds=seconds,
            cluster=lookup(named, cluster),
            near=np.full(self.n, MISSING, np.int32),
            source=np.concatenate(self._codes.pop("source")),
        )


def _row(row: Mapping[str, object], number: int) -> Row:
    """A row as it counts. Raises UserError, which names the row by its number."""
    picture = "" if row.get("picture") is None else str(row["picture"])
    if not picture.strip():
        raise UserError(f"row {number} of the scores names no picture; every row needs one")
    set_name = _set(_text(row.get("set")), number)
    score, reason = _scored(row, number)
    attack = _text(row.get("attack")) or "unnamed"
    nfe, seconds = (_cost(row, name, number) for name in ("nfe", "seconds"))
    sha256 = _text(row.get("sha256"))
    return Row(
        picture,
        set_name,
        attack,
        _text(row.get("attack_repr")) or attack,
        sha256.lower() if sha256 else None,
        score,
        reason,
        nfe,
        seconds,
        _text(row.get("cluster")),
        source=_text(row.get("source")),
    )


def _set(given: str | None, number: int) -> str:
    name = (given or "").casefold()
    if name not in SETS:
        close = get_close_matches(name, SETS, n=1)
        meant = f"did you mean {close[0]}? Use" if close else "use"
        has = f"the set {given!r}" if given else "no set"
        raise UserError(f"row {number} of the scores has {has}; {meant} one of {', '.join(SETS)}")
    return name


def _scored(row: Mapping[str, object], number: int) -> tuple[float | None, str | None]:
    """A finite score, or None and why."""
    score = _number(row.get("score"), "score", number)
    if score is not None and abs(score) <= LARGEST:
        return score, None
    if given := _text(row.get("reason")):
        return None, given
    if score is None:
        return None, NO_SCORE
    return None, NO_NUMBER if math.isnan(score) else INFINITE if math.isinf(score) else TOO_LARGE


def _cost(row: Mapping[str, object], name: str, number: int) -> float | None:
    cost = _number(row.get(name), name, number)
    return cost if cost is not None and abs(cost) <= LARGEST else None


def _text(value: object) -> str | None:
    return None if value is None else str(value).strip() or None


def _number(value: object, column: str, number: int) -> float | None:
    if value is None or isinstance(value, float):
        return value
    if isinstance(value, str) and value.strip().lower() in NOTHING:
        return None
    try:
        if isinstance(value, str):
            value = value.replace("\u2212", "-")  # the sign for minus, as it is printed
        if isinstance(value, str) and ("_" in value or not value.isascii()):  # which Python would take for numbers
            raise ValueError
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UserError(f"row {number} of the scores has the {column} {value!r}, which is not a number") from None
