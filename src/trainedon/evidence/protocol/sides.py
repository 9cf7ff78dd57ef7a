"""What audits and evaluations record alike of the two sides of an attack."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainedon.evidence.protocol.controls import unseen_control
from trainedon.evidence.protocol.documents import (
    Unscored,
)
from trainedon.evidence.protocol.rules import Rules
from trainedon.evidence.statistics.pvalues import SEED, SetTest, permutation_test
from trainedon.evidence.table.rows import Rows, picture_ids
from trainedon.evidence.table.scores import Sample, count_reasons
from trainedon.evidence.table.split import calibration_mask, seed_of


def halves(unseen: Sample) -> tuple[np.ndarray, np.ndarray]:
    """The scores that set thresholds, and those that count alarms."""
    calibrates = calibration_mask(unseen.rows)
    return unseen.score[calibrates], unseen.score[~calibrates]


def set_test(first: Sample, unseen: Sample, rules: Rules) -> SetTest:
    """Whether the pictures of the first set score higher than unseen ones."""
    return permutation_test(first.score, unseen.score, rules.deals, _seed(rules, first, unseen))


def _seed(rules: Rules, *samples: Sample) -> int:
    return seed_of(*(picture_ids(sample.rows) for sample in samples)) if rules.seeded else SEED


def common(first: Sample, unseen: Sample, rules: Rules) -> dict[str, Any]:
    """What both kinds of attack record say of cost, ties, the control and pictures without a score."""
    unscored = Rows(first.rows.columns, np.concatenate([first.unscored.indices, unseen.unscored.indices]))
    shared = np.intersect1d(first.score, unseen.score)
    return {
        "nfe_per_picture": _mean("nfe", first, unseen),
        "seconds_per_picture": _mean("seconds", first, unseen),
        "n_tied": int(np.isin(first.score, shared).sum() + np.isin(unseen.score, shared).sum()),
        "unseen_control": unseen_control(*halves(unseen), rules.deals, _seed(rules, unseen), rules.tells_detectable),
        "n_not_scored": len(unscored),
        "not_scored": tuple(Unscored(reason=reason, n=n) for reason, n in count_reasons(unscored)),
    }


def _mean(cost: str, *samples: Sample) -> float | None:
    values = np.concatenate([sample.rows.column(cost) for sample in samples])
    known = values[~np.isnan(values)]
    return float(np.mean(known)) if len(known) else None
