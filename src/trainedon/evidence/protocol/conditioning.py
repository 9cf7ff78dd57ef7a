"""Is the model conditioned alike for both sets? Under another kind of class or caption a model answers otherwise,
trained on the pictures or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.stats import fisher_exact

from trainedon.evidence.protocol.documents import ConditioningControl
from trainedon.evidence.table.picture_table import PictureTable, batches

LEVEL = 0.01
DEALS = 999
AT_ONCE = 64  # deals
SEED = 20240620
WORDS = {
    "given": "with a class label given",
    "folders": "with the number of the folder as class",
    "inferred": "with a class inferred by the model",
    "none": "without a class",
    "own": "with a caption of its own",
    "one": "with one caption for all",
    "missing": "without a caption",
}


def conditioning_control(
    listed: PictureTable | None, sets: Sequence[str], by: str | None
) -> ConditioningControl | None:
    """What the model was conditioned on for the usable pictures of two sets; None for an unconditional model, or where
    a run did not record it.

    by: `class`, `caption`, or `one caption` for all. They differ where the share of a way does, beyond chance: Fisher's
    exact test below 0.01, or all of one set and none of the other. Some missing captions in both sets, as chance deals
    them, are no difference. They differ too where given classes are spread otherwise: a permutation test of chi-square
    below 0.01.
    """
    if listed is None or by is None:
        return None
    ways, classes = _counted(listed, sets, by)
    found = [*filter(None, (_differing(way, *ways) for way in sorted(ways[0] | ways[1])))][:1] if all(ways) else []
    p = _spread(*classes) if all(classes) else None
    if p is not None and p < LEVEL:
        found.append(f"the classes of the two sets are spread differently (p = {p:.2g})")
    return ConditioningControl(
        by="class" if by == "class" else "caption",
        ways={name: dict(sorted(counts.items())) for name, counts in zip(sets, ways, strict=True)},
        classes_p_value=p,
        level=LEVEL,
        differs=bool(found),
        because="; ".join(found) or None,
    )


def _counted(listed: PictureTable, sets: Sequence[str], by: str) -> tuple[list[Counter[str]], list[Counter[str]]]:
    """For each set how many pictures were conditioned in each way, and on each class that the model did not infer."""
    ways: list[Counter[str]] = [Counter() for _ in sets]
    classes: list[Counter[str]] = [Counter() for _ in sets]
    among = [listed.usable & listed.in_sets([name]) for name in sets]
    start = 0
    for batch in batches(listed.source, ("label", "label_from", "caption")):
        part = slice(start, start := start + len(batch["label"]))
        if by == "class":
            label = batch["label"].to_numpy(zero_copy_only=False)
            known = zip(np.isnan(label).tolist(), batch["label_from"].to_pylist(), strict=True)
            way = np.array(["none" if missing else origin or "given" for missing, origin in known], dtype=object)
        else:
            label, told = None, batch["caption"].is_valid().to_numpy(zero_copy_only=False)
            way = np.where(told, "own" if by == "caption" else "one", "missing").astype(object)
        for number, here in enumerate(mask[part] for mask in among):
            ways[number].update(way[here].tolist())
            if label is not None:
                classes[number].update(label[here & np.isin(way, ("given", "folders"))].tolist())
    return ways, classes


def _differing(way: str, first: Counter[str], unseen: Counter[str]) -> str | None:
    """In words how often either set was asked in this way, where that differs."""
    m, n = first.total(), unseen.total()
    a, b = first[way], unseen[way]
    if abs(a / m - b / n) == 1 or fisher_exact([[a, m - a], [b, n - b]]).pvalue < LEVEL:
        return f"{a} of {m} pictures were asked about {WORDS[way]}, and {b} of {n} unseen ones"
    return None


def _spread(first: Counter[str], unseen: Counter[str]) -> float:
    """p-value of a permutation test of the chi-square statistic: are the classes of both sets dealt by chance?"""
    numbers = sorted(first | unseen)
    counts = np.array([[side[number] for number in numbers] for side in (first, unseen)])
    every, m = counts.sum(axis=0), int(counts[0].sum())
    expected = every * (m / every.sum())

    def statistic(dealt: np.ndarray) -> np.ndarray:
        summed: np.ndarray = ((dealt - expected) ** 2 / expected).sum(axis=-1)
        return summed  # that of the other set is in proportion

    rng, least, higher = np.random.default_rng(SEED), statistic(counts[0]) * (1 - 1e-9), 0
    for start in range(0, DEALS, AT_ONCE):
        dealt = rng.multivariate_hypergeometric(every, m, size=min(AT_ONCE, DEALS - start), method="marginals")
        higher += int((statistic(dealt) >= least).sum())
    return (1 + higher) / (1 + DEALS)
