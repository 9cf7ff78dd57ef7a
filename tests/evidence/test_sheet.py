"""Score tables as text: what is read, whatever separates, and what is refused with its row."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainedon.errors import UserError
from trainedon.evidence.table.scores import read_scores

PLAIN = "picture,set,score\na.png,suspect,1.25\nb.png,unseen,-0.5\nc.png,unseen,2\n"
SAME = {
    "semicolons": PLAIN.replace(",", ";"),
    "tabs": PLAIN.replace(",", "\t"),
    "bars": PLAIN.replace(",", " | "),
    "decimal commas": PLAIN.replace(",", ";").replace(".25", ",25").replace("0.5", "0,5"),
    "decimal commas and tabs": PLAIN.replace(",", "\t").replace("1.25", "1,250").replace("0.5", "0,5"),
    "decimal commas in quotes": PLAIN.replace("1.25", '"1,25"').replace("-0.5", '"-0,5"'),
    "quotes": "\n".join(",".join(f'"{value}"' for value in line.split(",")) for line in PLAIN.splitlines()),
    "blanks": PLAIN.replace(",", ", "),
    "capitals in sets": PLAIN.replace("suspect", "Suspect ").replace("unseen", "UNSEEN"),
    "a printed minus": PLAIN.replace("-0.5", "\u22120.5"),
    "capitals": PLAIN.replace("picture,set,score", "Picture, SET ,Score "),
    "other columns": PLAIN.replace("\n", ",x\n").replace("score,x", "score,note"),
    "numbered rows": "".join(f"{i or ''},{line}\n" for i, line in enumerate(PLAIN.splitlines())),
    "an empty column": PLAIN.replace("\n", ",\n"),
    "a BOM": "\ufeff" + PLAIN,
    "CRLF": PLAIN.replace("\n", "\r\n"),
    "CR": PLAIN.replace("\n", "\r"),
    "blank lines": "\n" + PLAIN.replace("\n", "\n\n") + ",,\n \n",
    "no last line break": PLAIN.strip(),
    "comments above": "# of model 7, made on Monday\n" + PLAIN,
    "Excel's word": "sep=;\n" + PLAIN.replace(",", ";"),
    "exponents": PLAIN.replace("1.25", "125e-2").replace(",2\n", ",2E0\n"),
    "exponents with commas": PLAIN.replace(",", ";").replace("1.25", "12,5e-1").replace("-0.5", "-,5"),
}


def read(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return {(row.picture, row.set): (row.score, row.reason) for row in read_scores(path).rows}


@pytest.mark.parametrize("kind", SAME)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le with its mark"])
def test_one_table_written_in_many_ways(kind, encoding, tmp_path):
    text = SAME[kind]
    if encoding.startswith("utf-16-le"):
        text, encoding = "\ufeff" + text.removeprefix("\ufeff"), "utf-16-le"
    elif encoding == "utf-16":
        text = text.removeprefix("\ufeff")  # which it writes itself
    found = read(tmp_path / "s.csv", text, encoding)
    assert found == {
        ("a.png", "suspect"): (1.25, None),
        ("b.png", "unseen"): (-0.5, None),
        ("c.png", "unseen"): (2.0, None),
    }


def test_the_suffix_says_nothing(tmp_path):
    for name in ("s.tsv", "s.txt", "scores"):
        assert len(read(tmp_path / name, SAME["tabs"])) == 3
    table = pa.table({"Picture": ["a"], "set ": ["unseen"], "Score": [0.5]})
    pq.write_table(table, tmp_path / "s.csv")
    (row,) = read_scores(tmp_path / "s.csv").rows
    assert (row.picture, row.set, row.score) == ("a", "unseen", 0.5)


def test_names_may_hold_what_separates_where_they_stand_in_quotes(tmp_path):
    text = 'picture,set,score\n"a, b;c|d.png",unseen,1\n"say ""hi""",unseen,2\n"#3.png",unseen,3\né,unseen,4\n'
    assert [name for name, _ in read(tmp_path / "s.csv", text)] == ["a, b;c|d.png", 'say "hi"', "#3.png", "é"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (PLAIN.replace("1.25", "1,125730"), r"row 1 \(line 2\) has 4 values, and the header 3 columns; a comma inside"),
        (PLAIN.replace("-0.5", "-0,5"), r"row 2 \(line 3\) has 4 values"),
        (PLAIN.replace(",-0.5", ""), r"row 2 \(line 3\) has 2 values.*separated by commas: complete the row"),
        (PLAIN.replace("unseen,2", "unseen,2,"), r"row 3 \(line 4\) has 4 values"),
        (SAME["semicolons"].replace("a.png", "a;b.png"), r"row 1 .* 4 values.*separated by semicolons: put a value"),
        (SAME["semicolons"].replace("1.25", "1,234").replace("-0.5", "7"), r"row 1 .*'1,234', whose comma may be"),
        (PLAIN.replace("1.25", '"-12,345"').replace("-0.5", "7"), r"row 1 .*'-12,345', whose comma may be"),
        (SAME["semicolons"].replace("1.25", "1,234"), r"row 1 .*'1,234', and row 2 .*'-0.5': write all with a point"),
        (SAME["semicolons"].replace("1.25", "0,25"), r"row 1 .*'0,25', and row 2 .*'-0.5'"),
        (SAME["semicolons"].replace("1.25", "1.234,5"), r"row 1 .*'1.234,5': write it without marks between"),
        (SAME["semicolons"].replace("1.25", "1,234,567"), r"row 1 .*'1,234,567'"),
        (SAME["semicolons"].replace("1.25", "1 234,5"), r"row 1 .*'1 234,5'"),
        (SAME["semicolons"].replace("1.25", "1.234").replace("-0.5", "7"), r"row 1 .*'1.234', whose point may be"),
        (SAME["semicolons"].replace("1.25", "1.234").replace("-0.5", "0,5"), r"'0,5', and row 1 .*'1.234': write all"),
        (PLAIN.replace("1.25", "1.234.567"), r"row 1 .*'1.234.567'"),
        (PLAIN.replace("1.25", "1_000"), "'1_000', which is not a number"),
        (PLAIN.replace("1.25", "85 %"), "'85 %', which is not a number"),
        (PLAIN.replace("unseen,2", "Unsen,2"), "row 3 .*'Unsen'; did you mean unseen"),
        (PLAIN.replace("unseen,2", ",2"), "row 3 of the scores has no set; use one of"),
        (PLAIN.replace("a.png,suspect", "a.png,suspects"), "row 1 .*'suspects'; did you mean suspect"),
        (PLAIN.replace("a.png,suspect", "a.png,train"), "row 1 .*'train'; use one of suspect, unseen, member"),
        (PLAIN.replace("c.png", "b.png"), r"'b.png' has 2 rows .*the first is row 2"),
        (PLAIN.replace("score\n", "score,Score \n").replace(",2\n", ",2,3\n"), "two columns score"),
        (PLAIN.replace("score", "value"), "lacks the column score: .*it has picture, set, value"),
        (PLAIN.replace(",", ":"), "lacks the columns picture, set, score: .*it has picture:set:score"),
        (PLAIN.replace("\n", ",\n").replace("1.25,", "1,125730"), r"row 1 .* a column without a name"),
        ('picture,set,score,note\na,unseen,1,"of\nb,unseen,2,x\n', "line 3: unexpected end"),
        ("x" * (1 << 20), "a line of more than"),
        ('{"picture": "a", "set": "unseen", "score": 1}', "lacks the columns?"),
        ("", "lacks the column"),
    ],
)
def test_what_is_not_clear_is_refused_with_its_row(text, complaint, tmp_path):
    with pytest.raises(UserError, match=complaint) as error:
        read(tmp_path / "s.csv", text)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"PK\x03\x04" + bytes(40), "an Excel file.*save it as CSV"),
        (b"\xd0\xcf\x11\xe0" + bytes(40), "an Excel file.*save it as CSV"),
        (gzip.compress(PLAIN.encode(), mtime=0), "compressed"),
        (PLAIN.encode("utf-16-le"), "no text, or UTF-16 that does not say so"),
        (PLAIN.encode("utf-32"), "UTF-32"),
        (PLAIN.replace("c.png", "ü.png").encode("latin-1"), r"is not UTF-8 text \(line 4\): save"),
        (PLAIN.encode("utf-16")[:-1], "is not UTF-16 text|cannot be read"),
    ],
)
def test_what_is_no_such_text_is_refused(data, complaint, tmp_path):
    (tmp_path / "s.csv").write_bytes(data)
    with pytest.raises(UserError, match=complaint) as error:
        read_scores(tmp_path / "s.csv")
    assert "\n" not in str(error.value)


def test_words_for_nothing_and_numbers_beyond_reckoning_are_not_scored(tmp_path):
    words = ["", "n/a", "#N/A", "-", "NaN", "inf", "1e999", "1e308", "-1e308", "1e300"]
    reasons = [*["no score was given"] * 4, "the score is not a number", *["the score is infinite"] * 2]
    reasons += [*["the score is too large to be reckoned with"] * 2, None]
    text = "picture,set,score\n" + "".join(f"{i},unseen,{word}\n" for i, word in enumerate(words))
    found = read(tmp_path / "s.csv", text)
    assert [reason for _, reason in found.values()] == reasons
    table = pa.table({"picture": list("abc"), "set": ["unseen"] * 3, "score": [1e308, -1e301, -1e300]})
    pq.write_table(table, tmp_path / "s.parquet")
    assert [row.reason for row in read_scores(tmp_path / "s.parquet").rows] == [*reasons[-2:-1] * 2, None]


def test_a_long_table_is_read_whole(tmp_path):
    scores = np.random.default_rng(0).normal(size=5_000)
    rows = "".join(f"{i};unseen;{str(score).replace('.', ',')}\n" for i, score in enumerate(scores.tolist()))
    found = read(tmp_path / "s.csv", "picture;set;score\n" + rows)
    assert [score for score, _ in found.values()] == scores.tolist()
