"""Reading the table of scores: what counts, what does not, and what is refused."""

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainedon.errors import UserError
from trainedon.evidence.table.deduplicate import complete, without_duplicates
from trainedon.evidence.table.scores import NO_ROW, Scores, count_reasons, read_scores


def row(picture, set_name, score, **more):
    return {"picture": picture, "set": set_name, "score": score, **more}


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_parquet_and_csv_of_one_table_are_one_table(tmp_path):
    rows = [
        row("a.png", "suspect", 1.5, sha256="ab" * 32, attack="drc", attack_repr="DRC(n=1)", nfe=20, seconds=0.5),
        row("b.png", "unseen", None, attack="drc", attack_repr="DRC(n=1)", reason="out of memory"),
    ]
    columns = ["picture", "set", "score", "sha256", "attack", "attack_repr", "reason", "nfe", "seconds", "extra"]
    pq.write_table(
        pa.table({name: pa.array([r.get(name) for r in rows]) for name in columns}), tmp_path / "scores.parquet"
    )
    lines = [",".join("" if r.get(name) is None else str(r[name]) for name in columns) for r in rows]
    path = write(tmp_path / "scores.csv", "\ufeff" + "\r\n".join([",".join(columns), *lines]) + "\r\n")
    assert read_scores(path) == read_scores(tmp_path / "scores.parquet") == read_scores(tmp_path)
    assert read_scores(path) == Scores.from_rows(rows)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no score was given"),
        ("null", "no score was given"),
        ("nan", "the score is not a number"),
        ("inf", "the score is infinite"),
        ("-Infinity", "the score is infinite"),
        ("1e999", "the score is infinite"),
    ],
)
def test_what_is_no_finite_number_is_not_scored(tmp_path, text, reason):
    scores = read_scores(write(tmp_path / "s.csv", f"picture,set,score\na,unseen,{text}\nb,unseen,2\n"))
    sample = scores.sample(scores.attacks[0], "unseen")
    assert sample.score.tolist() == [2.0]
    assert [(r.picture, r.reason) for r in sample.unscored] == [("a", reason)]


def test_a_reason_given_is_kept_and_a_finite_score_has_none():
    scores = Scores.from_rows(
        [row("a", "unseen", float("nan"), reason="diverged"), row("b", "unseen", 1, reason="fine")]
    )
    assert [r.reason for r in scores.rows] == ["diverged", None]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("picture,score\na,1\n", "lacks the column set"),
        ("picture,set,score\na,train,1\n", "'train'"),
        ("picture,set,score\na,unseen,high\n", "'high', which is not a number"),
        ("picture,set,score\n,unseen,1\n", "row 1 of the scores names no picture"),
        ("picture,set,score\na,unseen,1\na,unseen,2\n", "2 rows"),
        ("picture,set,score\n", "no rows"),
        ("", "lacks the column"),
    ],
)
def test_a_bad_table_is_refused_in_one_line(tmp_path, text, complaint):
    with pytest.raises(UserError, match=complaint) as error:
        read_scores(write(tmp_path / "s.csv", text))
    assert "\n" not in str(error.value)


def test_files_that_are_no_tables_are_refused(tmp_path):
    (tmp_path / "scores.parquet").write_bytes(b"PAR1 but not really")
    (tmp_path / "latin.csv").write_bytes(b"picture,set,score\n\xff\xfe,unseen,1\n")
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "scores.parquet", tmp_path / "latin.csv", tmp_path / "empty", tmp_path / "none.csv"):
        with pytest.raises(UserError) as error:
            read_scores(path)
        assert "\n" not in str(error.value)


def test_attacks_keep_the_order_of_the_table_and_tell_parameters_apart():
    rows = [
        row("a", "unseen", 1, attack=name, attack_repr=text)
        for name, text in (("z", "Z(1)"), ("a", "A"), ("z", "Z(2)"))
    ]
    assert Scores.from_rows(rows).attacks == (("z", "Z(1)"), ("a", "A"), ("z", "Z(2)"))


def test_order_of_rows_does_not_matter_inside_a_sample():
    rows = [row(name, "unseen", ord(name)) for name in "cab"]
    one, other = Scores.from_rows(rows), Scores.from_rows(rows[::-1])
    assert one.sample(one.attacks[0], "unseen") == other.sample(other.attacks[0], "unseen")


def test_the_inventory_accounts_for_every_picture():
    scores = Scores.from_rows([row("a", "suspect", 1), row("b", "suspect", 2), row("u", "unseen", 0)])
    inventory = [
        {"picture": "a", "set": "suspect", "sha256": "aa", "reason": None},
        {"picture": "b", "set": "suspect", "sha256": "bb", "reason": "exact duplicate of a"},
        {"picture": "c", "set": "suspect", "sha256": None, "reason": "truncated"},
        {"picture": "d", "set": "suspect", "sha256": "dd", "reason": None},
        {"picture": "m", "set": "member", "sha256": "ee", "reason": None},
    ]
    full = complete(scores, inventory, ("suspect", "unseen"))
    assert {(r.picture, r.score, r.reason) for r in full.rows} == {
        ("a", 1.0, None),
        ("b", None, "exact duplicate of a"),
        ("c", None, "truncated"),
        ("d", None, NO_ROW),
        ("u", None, "it is not in the list of pictures"),
    }


def test_a_picture_counts_once_within_and_across_sets():
    digest = [hashlib.sha256(bytes([i])).hexdigest() for i in range(4)]
    rows = [
        row("d", "unseen", 1, sha256=digest[3]),
        row("c", "unseen", 1, sha256=digest[3]),
        row("b", "unseen", 1, sha256=digest[0]),
        row("a", "unseen", 1, sha256=digest[0]),
        row("s", "suspect", 1, sha256=digest[0]),
        row("m", "member", 1, sha256=digest[1]),
        row("u", "unseen", 1, sha256=digest[1].upper()),
        row("s2", "suspect", 1, sha256=digest[2]),
        row("a", "unseen", 1, sha256=digest[0], attack="other"),
    ]
    found = without_duplicates(Scores.from_rows(rows)).rows
    assert {(r.set, r.picture, r.attack): r.reason for r in found if r.reason} == {
        ("unseen", "b", "unnamed"): "exact duplicate of a",
        ("unseen", "d", "unnamed"): "exact duplicate of c",
        ("unseen", "u", "unnamed"): "also among the members",
    }
    assert {(r.set, r.picture, r.attack) for r in found if r.cluster == digest[0]} == {
        ("unseen", "a", "unnamed"),
        ("suspect", "s", "unnamed"),
    }


def test_names_alone_make_no_duplicates():
    scores = Scores.from_rows([row("1.png", "suspect", 1), row("1.png", "unseen", 1)])
    assert without_duplicates(scores) == scores


def test_reasons_are_counted_and_the_tail_summed_up():
    rows = [row(f"x{i}", "unseen", None, reason=f"reason {i % 30:02d}") for i in range(31)]
    rows += [row(f"y{i}", "unseen", None, reason=f"exact duplicate of {i}") for i in range(3)]
    counts = count_reasons(Scores.from_rows(rows).rows)
    assert counts[0] == ("duplicate", 3)
    assert counts[1] == ("reason 00", 2)
    assert counts[-1] == ("other reasons", 11)
    assert sum(n for _, n in counts) == 34
