"""The table of attacks for papers, and figures with their numbers beside them."""

import csv
import re
import sys

import numpy as np
import pytest
from commandline import call

from trainedon.exports.attack_sheet import latex
from trainedon.exports.plots import slug
from trainedon.runs import verify


def test_the_table_has_every_attack_with_its_intervals_and_is_checked(run):
    with (run / "attacks.csv").open(newline="") as stream:
        rows = [*csv.DictReader(stream)]
    assert [row["name"] for row in rows] == ["my_attack 50%", "$x^2$"]
    assert float(rows[0]["auc_low"]) < float(rows[0]["auc_low_alone"]) < float(rows[0]["auc"])
    assert rows[0]["tpr_at_0.01"] == "" and rows[0]["members"] == "40"
    text = (run / "attacks.tex").read_text()
    assert r"my\_attack 50\% & 0." in text and r"\$x\textasciicircum{}2\$ &" in text
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1 and "& -- &" in text
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    assert {line.count("&") - line.count(r"\&") for line in body.strip().splitlines()} == {4}
    assert not [check for check in verify(run) if check.ok is False]
    (run / "attacks.tex").write_text(text.replace("0.", "1.", 1))
    assert [check.name for check in verify(run) if check.ok is False] == ["tables hold what follows from the scores"]
    assert call("report", run).returncode == 0
    assert (run / "attacks.tex").read_text() == text, "a table that is there is kept up"


def test_no_row_is_taken_for_an_argument_of_what_stands_before_it(tmp_path):
    with (tmp_path / "given.csv").open("w") as stream:
        stream.write("picture,set,attack,score\na,member,[9pt] loss,1\nb,unseen,[9pt] loss,0\n")
    assert call("report", tmp_path / "given.csv", "--out", tmp_path / "run", "--latex").returncode == 0
    lines = (tmp_path / "run" / "attacks.tex").read_text().splitlines()
    assert lines[lines.index(r"\midrule") + 1].startswith("{}[9pt] loss &")


def test_no_text_of_a_stranger_is_a_command_of_tex():
    assert latex("\\input{/etc/passwd} & % $ # _ {} ~ ^\n\x1b") == (
        r"\textbackslash{}input\{/etc/passwd\} \& \% \$ \# \_ \{\} \textasciitilde{} \textasciicircum{}"
    )
    assert slug("../DRC (t=100)") == "drc-t-100"


def test_figures_are_vectors_the_same_each_time_and_their_numbers_lie_beside(run, tmp_path):
    pytest.importorskip("matplotlib")
    for name in ("one", "two"):
        done = call("report", run, "--figures", tmp_path / name)
        assert done.returncode == 0, done.stderr
    one = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert one == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    stems = {"roc", "roc-log", "scores-01-my-attack-50", "scores-02-x-2"}
    assert {*one} == {f"{stem}.{kind}" for stem in stems for kind in ("svg", "pdf", "csv")}
    assert one["roc.svg"].startswith(b"<?xml") and one["roc.pdf"].startswith(b"%PDF")
    drawn = one["roc.svg"].decode()
    assert "<image" not in drawn and "my_attack 50%" in drawn and "$x^2$" in drawn
    with (tmp_path / "one" / "roc.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["attack"] == "$x^2$"]
    assert (rows[0]["fpr"], rows[-1]["tpr"]) == ("0.0", "1.0")
    area = np.trapezoid([float(row["tpr"]) for row in rows], [float(row["fpr"]) for row in rows])
    with (run / "attacks.csv").open(newline="") as stream:
        assert float([*csv.DictReader(stream)][1]["auc"]) == pytest.approx(area)
    with (tmp_path / "one" / "scores-02-x-2.csv").open(newline="") as stream:
        assert sum(int(row["member"]) for row in csv.DictReader(stream)) == 40


def test_figures_name_every_attack_and_no_name_reorders_what_is_read(tmp_path):
    pytest.importorskip("matplotlib")
    with (tmp_path / "given.csv").open("w", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["picture", "set", "attack", "score"])
        for attack in ("_mine", "my\u202eecnis"):
            writer.writerows([f"{name}{i}", name, attack, i] for name in ("member", "unseen") for i in range(9))
    assert call("report", tmp_path / "given.csv", "--out", tmp_path / "run").returncode == 0
    assert call("report", tmp_path / "run", "--figures", tmp_path / "drawn").returncode == 0
    drawn = [path.read_text("utf-8") for path in (tmp_path / "drawn").glob("*.svg")]
    assert len(drawn) == 4 and not [text for text in drawn if "\u202e" in text]
    roc = (tmp_path / "drawn" / "roc.svg").read_text("utf-8")
    assert ">_mine</text>" in roc and ">my\ufffdecnis</text>" in roc


def test_without_matplotlib_it_is_said_what_to_install(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = call("report", run, "--figures", tmp_path)
    assert done.returncode == 2 and re.search(r"pip install 'trainedon\[figures\]'", done.stderr)
