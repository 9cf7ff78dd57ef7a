"""From a table of scores as it was given to rows in columns, a batch at a time. What is odd is looked at row by row."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches

import numpy as np
import pyarrow as pa
import pyarrow.types as types

from trainedon.errors import UserError
from trainedon.evidence.table.rows import SETS, AttackKey, Columns, Row
from trainedon.evidence.table.texts import DIGEST, NONE, Growing, Words, compact, moved

NO_SCORE = "no score was given"
NO_NUMBER = "the score is not a number"
INFINITE = "the score is infinite"
TOO_LARGE = "the score is too large to be reckoned with"
LARGEST = 1e300  # above it differences of scores overflow
MOST_ATTACKS = 2000  # each is a table of its own, and a part of the page
NOTHING = ("", "-", "null", "none", "na", "n/a", "#n/a", "#nv", "<na>")  # in place of a number
TEXTS = ("picture", "sha256", "cluster")  # of which there may be one a row
NUMBERS = {"set": np.int8, "attack": np.int32, "reason": np.int32, "score": float, "nfe": float, "seconds": float}


class Gathered:
    """Collects rows, by columns as `Columns` has them."""

    def __init__(self) -> None:
        self.n = 0
        self.attacks, self.reasons = Words(), Words()
        self._texts = {name: Growing(pa.string() if name == "picture" else DIGEST) for name in TEXTS}
        self._numbers: dict[str, list[np.ndarray]] = {name: [] for name in NUMBERS}

    def add_rows(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Rows as mappings. Raises UserError for what `Scores.from_rows` refuses."""
        parsed = [_row(row, number) for number, row in enumerate(rows, start=self.n + 1)]
        texts = {name: pa.array([getattr(row, name) for row in parsed], pa.string()) for name in TEXTS}
        floats = {
            name: np.array([getattr(row, name) for row in parsed], dtype=float) for name in ("score", "nfe", "seconds")
        }
        codes = {
            "set": [SETS.index(row.set) for row in parsed],
            "attack": [self.attacks[AttackKey(row.attack, row.attack_repr)] for row in parsed],
            "reason": [NONE if row.reason is None else self.reasons[row.reason] for row in parsed],
        }
        self._add(texts | floats | {name: np.array(numbers, np.int32) for name, numbers in codes.items()})

    def add(self, batch: pa.RecordBatch) -> None:
        """The rows of a batch, read as `add_rows` reads them."""
        columns = self._plain(batch)
        if columns is None:
            self.add_rows(batch.to_pylist())
        else:
            self._add(columns)

    def columns(self) -> Columns:
        """Everything that was added, at least one row. Nothing of it is left here."""
        found = {name: self._texts.pop(name).numbered() for name in TEXTS}
        (names, picture), (marks, sha256), (clusters, cluster) = (found[name] for name in TEXTS)
        if len(clusters):
            digests, marks = marks, marks.with_more(clusters.values)
            sha256, cluster = moved(sha256, digests.numbers_in(marks)), moved(cluster, clusters.numbers_in(marks))
        others = {name: np.concatenate(self._numbers.pop(name), dtype=kind) for name, kind in NUMBERS.items()}
        near = np.full(self.n, NONE, np.int32)
        codes = {"picture": picture, "sha256": sha256, "cluster": cluster, "near": near}
        return Columns(names, marks, tuple(self.attacks), tuple(self.reasons), **codes, **others)

    def _add(self, columns: Mapping[str, np.ndarray | pa.Array]) -> None:
        if len(self.attacks) > MOST_ATTACKS:
            raise UserError(f"the table of scores has more than {MOST_ATTACKS} attacks: give a part of them at once")
        self.n += len(columns["score"])
        for name, column in self._texts.items():
            column.add(columns[name] if name == "picture" else compact(columns[name]))
        for name, parts in self._numbers.items():
            parts.append(columns[name].astype(NUMBERS[name], copy=False))

    def _plain(self, batch: pa.RecordBatch) -> dict[str, np.ndarray | pa.Array] | None:
        """The columns of a batch that holds what it should; None where any row needs a closer look."""
        given = {name: _as_expected(batch, name) for name in Row._fields[:-1]}
        if any(column is None for column in given.values()):
            return None
        if given["picture"].null_count or not all(map(str.strip, given["picture"].to_pylist())):
            return None
        sets = _by_value(given["set"], lambda text: SETS.index(text) if text in SETS else NONE)
        if (sets == NONE).any():
            return None
        costs = {name: _finite(given[name]) for name in ("nfe", "seconds")}
        score, reason = self._scored(given["score"], given["reason"])
        return {
            "picture": given["picture"],
            "set": sets,
            "attack": self._attacks(given["attack"], given["attack_repr"]),
            "sha256": _each(given["sha256"], lambda text: text and text.lower()),
            "cluster": _each(given["cluster"], lambda text: text),
            "score": score,
            "reason": reason,
            **costs,
        }

    def _attacks(self, names: pa.Array, reprs: pa.Array) -> np.ndarray:
        words = Words()
        pair = np.stack([_by_value(texts, lambda text: words[text]) for texts in (names, reprs)], axis=1)
        kinds, first, number = np.unique(pair, axis=0, return_index=True, return_inverse=True)
        known, new = list(words), np.empty(len(kinds), np.int32)
        for kind in np.argsort(first):  # numbered as they appear
            name, text = (known[word] for word in kinds[kind])
            new[kind] = self.attacks[AttackKey(name or "unnamed", text or name or "unnamed")]
        return new[number.reshape(-1)]

    def _scored(self, scores: pa.Array, reasons: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        value = scores.to_numpy(zero_copy_only=False)
        given = _by_value(reasons, lambda text: NONE if text is None else self.reasons[text])
        for which, why in (
            (scores.is_null().to_numpy(zero_copy_only=False), NO_SCORE),
            (np.isnan(value), NO_NUMBER),
            (np.isinf(value), INFINITE),
            (np.abs(value) > LARGEST, TOO_LARGE),
        ):
            missing = which & (given == NONE)
            if missing.any():
                given[missing] = self.reasons[why]
        finite = np.abs(value) <= LARGEST
        return np.where(finite, value, np.nan), np.where(finite, np.int32(NONE), given)


def _as_expected(batch: pa.RecordBatch, name: str) -> pa.Array | None:
    """A column as string or float64, nulls where there is none; None where it holds something else."""
    number = name in ("score", "nfe", "seconds")
    kind = pa.float64() if number else pa.string()
    if name not in batch.schema.names:
        return pa.nulls(len(batch), kind)
    column = batch.column(name)
    plain = column.type.value_type if types.is_dictionary(column.type) else column.type
    right = (types.is_integer, types.is_floating) if number else (types.is_string, types.is_large_string)
    if not any(is_right(plain) for is_right in (*right, types.is_null)):
        return None
    return column.cast(kind, safe=False)


def _by_value(texts: pa.Array, number: Callable[[str | None], int]) -> np.ndarray:
    """`number` of each text as `as_text` gives it, int32 (n,), asked once for each."""
    coded = texts.dictionary_encode(null_encoding="encode")
    numbers = np.array([number(as_text(text)) for text in coded.dictionary.to_pylist()], np.int32)
    return numbers[coded.indices.to_numpy()]


def _each(texts: pa.Array, change: Callable[[str | None], str | None]) -> pa.Array:
    """`change` of each text as `as_text` gives it. Digests, and nothing, are what they are."""
    if compact(texts).type != texts.type or texts.null_count == len(texts):
        return texts
    return pa.array([change(as_text(text)) for text in texts.to_pylist()], pa.string())


def _finite(numbers: pa.Array) -> np.ndarray:
    values = numbers.to_numpy(zero_copy_only=False)
    return np.where(np.abs(values) <= LARGEST, values, np.nan)


def _row(row: Mapping[str, object], number: int) -> Row:
    given, picture = as_text(row.get("set")), "" if row.get("picture") is None else str(row["picture"])
    if not picture.strip():
        raise UserError(f"row {number} of the scores names no picture; every row needs one")
    set_name = (given or "").casefold()
    if set_name not in SETS:
        close = get_close_matches(set_name, SETS, n=1)
        meant = f"did you mean {close[0]}? Use" if close else "use"
        has = f"the set {given!r}" if given else "no set"
        raise UserError(f"row {number} of the scores has {has}; {meant} one of {', '.join(SETS)}")
    score, reason = _number(row.get("score"), "score", number), as_text(row.get("reason"))
    if score is None:
        reason = reason or NO_SCORE
    elif not abs(score) <= LARGEST:
        reason = reason or (NO_NUMBER if math.isnan(score) else INFINITE if math.isinf(score) else TOO_LARGE)
        score = None
    else:
        reason = None
    attack = as_text(row.get("attack")) or "unnamed"
    costs = [_number(row.get(name), name, number) for name in ("nfe", "seconds")]
    nfe, seconds = (cost if cost is not None and abs(cost) <= LARGEST else None for cost in costs)
    sha256 = as_text(row.get("sha256"))
    name = as_text(row.get("attack_repr")) or attack
    sha256 = sha256.lower() if sha256 else None
    return Row(picture, set_name, attack, name, sha256, score, reason, nfe, seconds, as_text(row.get("cluster")))


def as_text(value: object) -> str | None:
    return None if value is None else str(value).strip() or None


def _number(value: object, column: str, number: int) -> float | None:
    if value is None or (isinstance(value, str) and value.strip().lower() in NOTHING):
        return None
    try:
        if isinstance(value, str):
            value = value.replace("\u2212", "-")  # the sign for minus, as it is printed
        if isinstance(value, str) and ("_" in value or not value.isascii()):  # which Python would take for numbers
            raise ValueError
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UserError(f"row {number} of the scores has the {column} {value!r}, which is not a number") from None
