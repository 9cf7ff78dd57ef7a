"""Rows in columns are the rows that a plain program would have, and a table of them takes little room."""

import hashlib
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainedon.evidence import (
    FeatureTable,
    Scores,
    audit_table,
    evaluate_table,
    json_parts,
    near_duplicates,
    read_scores,
    to_json,
)
from trainedon.evidence.protocol.documents import PictureEvidence
from trainedon.evidence.table.clusters import ENCODER
from trainedon.evidence.table.codes import DIGEST, MISSING, Dictionary, DictionaryBuilder, lookup
from trainedon.evidence.table.deduplicate import MEMBER, NOT_LISTED, OTHER_DIGEST, SALT, TWIN, deduplicate
from trainedon.evidence.table.lazy import LazySequence
from trainedon.evidence.table.picture_table import PictureTable
from trainedon.evidence.table.scores import NO_ROW

LETTERS = ["z", "é", "A", "Ω", "\U0001f600", "\uffff", "a b", "~"]


def digest(text):
    return hashlib.sha256(str(text).encode()).hexdigest()


def given(seed):
    """Random rows and inventory of two sets: copies, twins, near-duplicates, holes, odd digests, several attacks."""
    rng = np.random.default_rng(seed)
    asked = ("suspect", "member")[seed % 2]
    names = [f"{LETTERS[rng.integers(len(LETTERS))]}{rng.integers(999)}-{i}" for i in range(90)]
    alike = rng.integers(0, 2**63, len(names))
    rows, listed, features = [], [], {}
    for name, i in ((name, i) for name in (asked, "unseen") for i in range(len(names)) if rng.random() < 0.8):
        sha256 = digest((name if rng.random() < 0.7 else "either", i if rng.random() < 0.85 else i // 2))
        phash = int(alike[i] if rng.random() < 0.3 else rng.integers(0, 2**63))
        item = {"picture": names[i], "set": name, "sha256": sha256, "phash": f"{phash:016x}", "reason": None}
        item |= {f"mean_{channel}": float(rng.choice([0.4, 0.45, 0.6])) for channel in "rgb"}
        reasons = ["truncated", TWIN if name == "unseen" else "exact duplicate of x"]
        item["reason"] = reasons[rng.integers(2)] if rng.random() < 0.1 else None
        listed += [item] if rng.random() < 0.95 else []
        features[name, names[i]] = rng.normal(size=4).astype(np.float32)
        for attack in ("a", "b", "c")[: 1 + seed % 3]:
            row = {"picture": names[i], "set": name, "sha256": sha256, "score": round(rng.normal(), 1)}
            row |= {"attack": attack, "attack_repr": f"{attack}()", "nfe": int(rng.integers(9)), "seconds": None}
            row |= {"cluster": f"c{rng.integers(20)}" if rng.random() < 0.1 else None, "reason": None}
            if rng.random() < 0.1:
                row["sha256"] = (None, digest("another"), "no digest")[rng.integers(3)]
            if item["reason"] or rng.random() < 0.05:
                row |= {"score": None, "reason": item["reason"]}
            rows += [row] if rng.random() < 0.95 else []
    return asked, [rows[i] for i in rng.permutation(len(rows))], listed, features


def plain(rows, sets, listed, features):
    """The steps of `prepare` as one would write them for a few rows. Returns rows as mappings."""
    rows = [dict(row, near=None, source=None, reason=row["reason"] if row["score"] is None else None) for row in rows]
    for row in rows:
        row["reason"] = row["reason"] or (None if row["score"] is not None else "no score was given")
    if listed is not None:
        items = {(item["set"], item["picture"]): item for item in listed}
        attacks = list(dict.fromkeys(row["attack"] for row in rows))
        for row in rows:
            item = items.get((row["set"], row["picture"]))
            why = item and item["reason"]
            if item is None:
                why = NOT_LISTED if row["score"] is not None else None
            elif row["sha256"] not in (None, item["sha256"]):
                why = OTHER_DIGEST
            row.update({"score": None, "reason": why} if why else {})
        had = {(row["attack"], row["set"], row["picture"]) for row in rows}
        empty = {"score": None, "nfe": None, "seconds": None, "cluster": None, "near": None, "source": None}
        for attack in attacks:
            for (name, picture), item in items.items():
                if (attack, name, picture) not in had:
                    row = {"picture": picture, "set": name, "sha256": item["sha256"], "attack": attack}
                    rows.append(row | {"attack_repr": f"{attack}()", "reason": item["reason"] or NO_ROW} | empty)
        suspects = {
            (row["attack"], row["sha256"]): row["score"]
            for row in rows
            if row["set"] == "suspect" and row["score"] is not None and row["sha256"]
        }
        for row in rows:
            if row["reason"] == TWIN and (row["attack"], row["sha256"]) in suspects:
                row.update(score=suspects[row["attack"], row["sha256"]], reason=None)
        clusters = near_duplicates(listed, features)
        for row in rows:
            row["cluster"] = row["cluster"] or clusters.get((row["set"], row["picture"]))
    first = {}
    for row in sorted(rows, key=lambda row: (("member", "suspect", "unseen").index(row["set"]), row["picture"])):
        if row["score"] is None or row["sha256"] is None:
            continue
        same = first.setdefault((row["attack"], row["sha256"]), row)
        again = first.setdefault((row["attack"], row["sha256"], row["set"]), row)
        if again is not row:
            row.update(score=None, reason=f"exact duplicate of {again['picture']}")
        elif same is not row and same["set"] == "member":
            row.update(score=None, reason=MEMBER)
        elif same is not row:
            same["cluster"] = row["cluster"] = same["cluster"] or row["cluster"] or row["sha256"]
    groups = {}
    for row in rows:
        if row["score"] is not None and row["cluster"] is not None:
            groups.setdefault((row["attack"], row["cluster"]), []).append(row)

    def order(row):
        text = (row["sha256"] or digest(row["picture"])) + row["set"]
        return hashlib.sha256(SALT + text.encode()).digest(), row["picture"]

    for group in groups.values():
        counts, *others = sorted(group, key=order)
        for row in others:
            row["near"] = counts["picture"]
    return rows


@pytest.mark.parametrize("how", ["scores alone", "pictures", "looks"])
@pytest.mark.parametrize("seed", range(6))
def test_preparing_by_columns_is_preparing_row_by_row(seed, how):
    asked, rows, listed, features = given(seed)
    features = FeatureTable(ENCODER, features) if how == "looks" else None
    listed = None if how == "scores alone" else listed
    scores = deduplicate(Scores.from_rows(rows), (asked, "unseen"), listed, features)
    expected = plain(rows, (asked, "unseen"), listed, features)
    assert [row._asdict() for row in scores.rows] == expected
    for key in scores.attacks:
        sample = scores.sample(key, "unseen")
        mine = sorted(
            (row for row in expected if (row["attack"], row["set"]) == (key.name, "unseen")),
            key=lambda row: row["picture"],
        )
        counted = [row for row in mine if row["score"] is not None and row["near"] is None]
        assert [row.picture for row in sample.rows] == [row["picture"] for row in counted]
        assert sample.score.tolist() == [row["score"] for row in counted]
        assert [row._asdict() for row in sample.unscored] == [row for row in mine if row["score"] is None]


@pytest.mark.parametrize("seed", range(2))
def test_a_list_of_pictures_is_read_alike_from_a_file_a_table_and_mappings(seed, tmp_path):
    asked, rows, listed, _ = given(seed)
    table = pa.Table.from_pylist(listed)
    pq.write_table(table, tmp_path / "pictures.parquet", row_group_size=7)
    compute = audit_table if asked == "suspect" else evaluate_table
    found = [
        to_json(compute(Scores.from_rows(rows), pictures))
        for pictures in (listed, table, tmp_path / "pictures.parquet")
    ]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    "odd",
    [
        {"picture": " a"},
        {"set": " suspect "},
        {"attack": " drc "},
        {"attack_repr": ""},
        {"sha256": digest(1).upper()},
        {"sha256": " ab"},
        {"score": float("inf")},
        {"score": float("nan"), "reason": " odd "},
        {"score": None},
        {"nfe": float("nan")},
        {"cluster": " x "},
        {"cluster": ""},
    ],
    ids=str,
)
def test_a_batch_with_one_odd_row_is_read_as_rows_are(odd, tmp_path):
    rows = [
        {"picture": f"{i}", "set": "suspect", "score": float(i), "sha256": digest(i), "attack": "drc"}
        | {"attack_repr": "Drc()", "reason": None, "nfe": 3.0, "cluster": None}
        for i in range(3)
    ]
    rows[1] |= odd
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "scores.parquet")
    assert read_scores(tmp_path) == Scores.from_rows(rows)
    as_text = pa.table({name: pa.array([row[name] for row in rows]).cast(pa.string()) for name in rows[0]})
    pq.write_table(as_text, tmp_path / "scores.parquet")
    assert read_scores(tmp_path) == Scores.from_rows(rows), "numbers as text"


@pytest.mark.parametrize("seed", range(3))
def test_a_column_that_comes_in_parts_is_encoded_as_the_whole(seed, monkeypatch):
    sha256 = [row["sha256"] for row in given(seed)[1]]
    monkeypatch.setattr(DictionaryBuilder, "FEWEST", 5)
    builder = DictionaryBuilder()
    for start in range(0, len(sha256), 7):
        builder.add(pa.array(sha256[start : start + 7], pa.string()))
    (dictionary, codes), (expected, at_once) = builder.build(), Dictionary.encode(pa.array(sha256, pa.string()))
    assert codes.tolist() == at_once.tolist() and codes.dtype == np.int32
    assert dictionary.decode(np.arange(len(dictionary))) == expected.decode(np.arange(len(expected)))


def test_codes_order_as_code_points_do():
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice([*LETTERS, "\u0301", "\ud7ff", "0"], 3)) for _ in range(300)]
    held, codes = Dictionary.encode(pa.array([*texts, None]))
    assert held.decode(np.arange(len(held))) == sorted(set(texts))
    assert held.decode(codes) == [*texts, None]
    assert held.find([texts[5], "not there", texts[5]]).tolist() == [codes[5], MISSING, codes[5]]


@pytest.mark.parametrize("more", [["b", "d", None, "b"], [digest(1), digest(2)], [], [None]], ids=str)
@pytest.mark.parametrize("known", [["a", "b", "c"], [digest(2), digest(3)], []], ids=str)
def test_an_extended_dictionary_has_the_texts_of_both(known, more):
    builders = DictionaryBuilder(), DictionaryBuilder()
    for builder, texts in zip(builders, (known, more), strict=True):
        builder.add(pa.array(texts, pa.string()))
    (first, codes), (second, others) = (builder.build() for builder in builders)
    both, moved, found = first.extended(second.values)
    assert both.decode(np.arange(len(both))) == sorted({*known, *more} - {None})
    assert both.decode(lookup(moved, codes)) == known and both.decode(lookup(found, others)) == more
    assert both.find([*known]).tolist() == lookup(moved, codes).tolist()


@pytest.mark.parametrize(
    ("odd", "is_packed"),
    [([], True), ([None], True)]
    + [([text], False) for text in (digest(0).upper(), "short", "é" * 32, digest(0) + "\n", "")],
    ids=str,
)
def test_digests_are_packed_for_as_long_as_all_are_digests(odd, is_packed):
    texts = [digest(i) for i in range(5)] + odd
    listed = PictureTable.read([{"picture": str(i), "set": "unseen", "sha256": text} for i, text in enumerate(texts)])
    assert (listed.digests.values.type == DIGEST) is is_packed
    assert listed.digests.decode(listed.sha256) == texts


def test_a_lazy_sequence_is_a_sequence_of_its_records_and_is_written_in_parts():
    def made(part):
        none = dict.fromkeys(("sha256", "score", "p_value", "q_value", "near", "reason"))
        return [PictureEvidence(picture=str(i), **none) for i in range(2000)[part]]

    lazy = LazySequence(PictureEvidence, 2000, made)
    assert (len(lazy), lazy[-1].picture, [one.picture for one in lazy[3:5]]) == (2000, "1999", ["3", "4"])
    assert lazy == tuple(lazy) and tuple(lazy) == lazy and lazy != lazy[1:]
    with pytest.raises(IndexError):
        lazy[2000]
    rows = [{"picture": f"{s}{i}", "set": s, "score": i} for s in ("suspect", "unseen") for i in range(30)]
    document = audit_table(Scores.from_rows(rows)).model_copy(update={"pictures": lazy})
    parts = list(json_parts(document))
    assert "".join(parts) == to_json(document.model_copy(update={"pictures": tuple(lazy)}))
    assert max(map(len, parts)) < len("".join(parts)) / 3


def held(make):
    """What `make` returns, and how many bytes it holds and took at most: Python's, NumPy's and Arrow's."""
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        found = make()
        now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return found, now + pa.total_allocated_bytes() - before, most


@pytest.mark.slow
def test_twenty_thousand_pictures_take_little_room(tmp_path):
    n = 20_000
    sets = np.array(["suspect", "unseen"]).repeat(n // 2)
    table = pa.table(
        {
            "picture": [f"{name}/{i:06d}.png" for i, name in enumerate(sets)],
            "set": sets,
            "sha256": [digest(i) for i in range(n)],
            "score": np.random.default_rng(0).normal(size=n),
            "reason": pa.nulls(n, pa.string()),
            "nfe": np.full(n, 20),
            "phash": [digest(i)[:16] for i in range(n)],
        }
    )
    pq.write_table(table.drop(["phash"]), tmp_path / "scores.parquet")
    pq.write_table(table.drop(["score", "nfe"]), tmp_path / "pictures.parquet")
    scores, kept, _ = held(lambda: read_scores(tmp_path))
    assert len(scores) == n and kept < 140 * n
    document, kept, most = held(lambda: audit_table(scores, tmp_path / "pictures.parquet"))
    assert len(document.pictures) == n // 2
    assert kept < 60 * n and most < 250 * n
    _, _, most = held(lambda: sum(map(len, json_parts(document))))
    assert most < 150 * n, "the text alone has more"
