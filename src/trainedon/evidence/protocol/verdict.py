"""What an evaluation says first: how much its strongest attack finds, and whether that is beyond chance."""

from __future__ import annotations

from collections.abc import Mapping

from trainedon.evidence.protocol.documents import AttackEvaluation, Evaluation, Verdict

CHANCE = 0.5


def verdict(document: Evaluation) -> Verdict | None:
    """The verdict over all attacks of an evaluation; None where none has an AUC.

    Whoever reads the best of k attacks picks it by its AUC, so the interval is the joint one (`intervals.jointly`):
    picking the maximum has been paid for. That with the highest AUC need not be the one that shows most: few pictures
    make wide intervals. As all joint intervals hold at once, a leak is shown where any of them lies above chance.
    """
    strongest, shown = document.strongest, document.best_shown
    if strongest is None or strongest.auc is None or strongest.auc_ci is None or shown is None:
        return None
    n, found = sum(one.auc is not None for one in document.attacks), is_beyond_chance(shown)
    return Verdict(
        strongest=strongest.repr,
        auc=strongest.auc,
        auc_ci=strongest.auc_ci,
        n_attacks=n,
        shown_by=shown.repr if found else None,
        sentence=sentence(document, {}),
    )


def sentence(document: Evaluation, labels: Mapping[str, str]) -> str:
    """The verdict in one sentence. labels: repr of an attack -> what a person called it, else its name."""
    strongest, shown = document.strongest, document.best_shown
    if strongest is None or shown is None:
        return "No attack could be scored on both sides, so nothing is said of a leak."

    def called(attack: AttackEvaluation) -> str:
        return labels.get(attack.repr, attack.name)

    n = sum(one.auc is not None for one in document.attacks)
    which = f"{called(strongest)}, the strongest of {n} attacks," if n > 1 else called(strongest)
    together = ", which holds for all of them together" if n > 1 else ""
    told = f"{which} has AUC {strongest.auc:.3f} ({_interval(strongest)}{together})"
    if not is_beyond_chance(shown):
        return f"No leak is shown: {told}, and 0.5 is chance."
    by_another = f"; {called(shown)} shows more, with at least {_least(shown):.3f}" if shown is not strongest else ""
    if document.blind.separates:
        return f"Members are told from unseen pictures, but so they are without the model: {told}{by_another}."
    return f"A leak is shown: {told}{by_another}."


def is_beyond_chance(attack: AttackEvaluation) -> bool:
    """Whether its interval, together with those of the other attacks, lies above chance."""
    return _least(attack) > CHANCE


def _least(attack: AttackEvaluation) -> float:
    return attack.auc_ci[0] if attack.auc_ci else 0.0


def _interval(attack: AttackEvaluation) -> str:
    low, high = attack.auc_ci or (0.0, 1.0)
    return f"95 % interval {low:.3f} to {high:.3f}"
