"""The verdict is that of the strongest attack, and limits are decided by intervals that hold for all of them."""

import numpy as np
import pytest
from commandline import call

from trainedon.errors import UserError
from trainedon.evidence import STANDARD_1, Scores, evaluate_table, judge


def evaluation(n=60, rules=None, **shifts):
    """Attacks whose members lie `shift` above the unseen pictures; None: no score at all."""
    rng = np.random.default_rng(0)
    rows = [
        {"picture": f"{name} {i}", "set": name, "attack": attack, "attack_repr": attack.upper(), "score": score}
        for attack, shift in shifts.items()
        for name, far in (("member", 1), ("unseen", 0))
        for i, score in enumerate([None] * n if shift is None else rng.normal(far * shift, 1, n))
    ]
    return evaluate_table(Scores.from_rows(rows), **({"rules": rules} if rules else {}))


def test_the_verdict_is_of_the_strongest_attack_wherever_it_was_named():
    document = evaluation(weak=0.0, strong=2.0, middle=0.8)
    assert document.strongest.name == "strong" and document.verdict.strongest == "STRONG"
    assert document.verdict.auc_ci == document.attacks[1].auc_ci != document.attacks[1].auc_ci_alone
    assert document.verdict.shown_by == "STRONG" and document.verdict.n_attacks == 3
    assert document.verdict.sentence.startswith("A leak is shown: strong, the strongest of 3 attacks, has AUC 0.9")
    nothing = evaluation(first=None, second=0.0)
    assert nothing.verdict.strongest == "SECOND" and nothing.verdict.shown_by is None
    assert nothing.verdict.sentence.startswith("No leak is shown: second has AUC")
    assert evaluation(first=None).verdict is None
    assert evaluation(weak=0.0, strong=2.0, rules=STANDARD_1).verdict is None


@pytest.mark.slow
def test_picking_the_strongest_of_many_attacks_that_see_nothing_shows_no_leak():
    shown = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        rows = [
            {"picture": f"{name} {i}", "set": name, "attack": f"a{k}", "attack_repr": f"A{k}", "score": score}
            for k in range(12)
            for name in ("member", "unseen")
            for i, score in enumerate(rng.normal(0, 1, 40))
        ]
        shown += evaluate_table(Scores.from_rows(rows)).verdict.shown_by is not None
    assert shown <= 4, "5 % of 40; by each attack's own interval it would be 7"


@pytest.mark.parametrize(
    ("limit", "outcome", "says"),
    [
        ("auc=0.6", "above", "auc=0.6: shown to be exceeded: strong, which of 2 attacks shows most, has AUC 0.9"),
        ("AUC = .97", "not estimable", "144 members and as many unseen pictures are needed"),
        ("auc=0.9", "not shown", "auc=0.9: not shown to be exceeded: strong"),
        ("tpr@5%=0.1", "above", "has TPR at a FPR of 5 %"),
        ("tpr@1%=0.05", "not estimable", "it takes 299 unseen pictures, and there are 60 with a score"),
    ],
)
def test_a_limit_is_decided_by_the_lower_end_and_never_passed_in_silence(limit, outcome, says):
    answer = judge(evaluation(weak=0.1, strong=2.0), limit)
    assert answer.outcome == outcome and says in answer.sentence
    if answer.interval and outcome == "above":
        assert answer.interval[0] > answer.limit.value


def test_few_pictures_that_no_attack_could_show_anything_with_have_not_passed():
    few = judge(evaluation(n=6, only=9.0), "auc=0.6")
    assert few.outcome == "not estimable" and "8 members and as many unseen pictures are needed" in few.sentence
    assert judge(evaluation(n=8, only=9.0), "auc=0.6").outcome == "above"
    assert judge(evaluation(n=8, only=0.0), "auc=0.6").outcome == "not shown"
    assert judge(evaluation(only=None), "auc=0.6").outcome == "not estimable"


def test_an_attack_without_a_number_is_named_and_has_not_passed():
    answer = judge(evaluation(weak=0.1, broken=None), "auc=0.9", {"BROKEN": "broken(t=5)"})
    assert answer.outcome == "not estimable" and answer.attack == "WEAK"
    assert answer.sentence.startswith("auc=0.9: not estimable for all attacks, and not shown by others: weak, ")
    assert answer.sentence.endswith("; no number of broken(t=5).")
    above = judge(evaluation(strong=2.0, broken=None), "auc=0.6")
    assert above.outcome == "above" and above.sentence.endswith("; no number of broken.")


@pytest.mark.parametrize("text", ["auc", "auc=1", "auc=60", "auc>0.5", "tpr@2%=0.1", "auc=nan", "", "auc=-0.5"])
def test_what_is_no_limit_is_refused(text):
    with pytest.raises(UserError, match=r"is no limit: give one such as auc=0\.6"):
        judge(evaluation(only=1.0), text)


def test_a_pipeline_is_told_by_the_exit_code(tmp_path):
    rng = np.random.default_rng(1)
    table = tmp_path / "scores.csv"
    lines = [f"{name}{i},{name},{score}" for name, at in (("member", 2), ("unseen", 0))
             for i, score in enumerate(rng.normal(at, 1, 80))]  # fmt: skip
    table.write_text("\n".join(["picture,set,score", *lines]))
    run = tmp_path / "run"
    assert call("report", table, "--out", run).returncode == 0
    codes = {"auc=0.6": 3, "auc=0.93": 0, "tpr@1%=0.1": 4}
    for limit, code in codes.items():
        done = call("report", run, "--fail-above", limit)
        assert done.returncode == code and f"\n{limit}: " in done.stdout, done.stdout + done.stderr
    both = call("report", run, "--fail-above", "tpr@1%=0.1", "--fail-above", "auc=0.6")
    assert both.returncode == 3
    refused = call("report", run, "--fail-above", "auc=2")
    assert refused.returncode == 2 and "is no limit" in refused.stderr
    suspects = tmp_path / "suspects.csv"
    suspects.write_text(table.read_text().replace("member", "suspect"))
    done = call("report", suspects, "--out", tmp_path / "audit", "--fail-above", "auc=0.6")
    assert done.returncode == 2 and "--fail-above is for evaluations" in done.stderr
