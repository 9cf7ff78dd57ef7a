"""The blind baseline: what tells two sets of pictures apart without asking the model.

If file facts, colours, what the pictures show, or the captions that the model is conditioned on separate suspects from
unseen pictures, then a difference of scores between them says nothing about training (Das et al., arXiv 2406.16201;
Zhang et al., arXiv 2409.19798).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import fisher_exact, ks_2samp

from trainedon.evidence.protocol import caption_views as said
from trainedon.evidence.protocol.blind_by_source import dealt, dealt_p, untaught
from trainedon.evidence.protocol.detectable import BASELINE_LEVEL, detectable
from trainedon.evidence.protocol.documents import Blind, BlindView
from trainedon.evidence.protocol.picture_views import picture_views, stacked
from trainedon.evidence.protocol.rules import STANDARD_2, Rules
from trainedon.evidence.statistics.roc import auc
from trainedon.evidence.statistics.two_sample import (
    Deal,
    View,
    classifier_two_sample_test,
    discriminant,
    null_spread,
)
from trainedon.evidence.table.codes import MISSING
from trainedon.evidence.table.deduplicate import near_duplicate_clusters
from trainedon.evidence.table.feature_table import FeatureTable
from trainedon.evidence.table.memory import release_unused
from trainedon.evidence.table.picture_table import Facts, Pictures, PictureTable
from trainedon.evidence.table.rows import BY_NAME, SETS
from trainedon.evidence.table.split import seed_of

MISMATCH_LEVEL = 0.01
FEWEST = 10  # pictures a side
MOST = 4096  # pictures a side, chosen by digest: enough to see any difference that matters
PERMUTATIONS = 999
SEED = 20240619  # of standard-1; later the seed follows from the digests
LOGGED = ("width", "height", "bytes", "sharpness")
PLAIN = ("mean_r", "mean_g", "mean_b", "std_r", "std_g", "std_b")
LATER = ("jpeg_trace", "detail")  # not in inventories of earlier versions
COLUMNS = ("set", "picture", "sha256", *LOGGED, *PLAIN, *LATER, "format", "mode", "caption", "source")
CAPTIONS = (said.WRITTEN, said.SAY)  # the views of them


@dataclass(frozen=True)
class Findings:
    """The baseline's document, and in words why a mismatch was found (None when it was not)."""

    blind: Blind
    codec: str | None
    resolution: str | None


def run(
    pictures: Pictures | PictureTable | None,
    set_name: str,
    features: FeatureTable | None = None,
    captions: bool = False,
    rules: Rules = STANDARD_2,
    by_source: bool = False,
) -> Findings:
    """Compare the usable pictures of `set_name` with the unseen ones, near-duplicates counted once.

    pictures: the inventory, or None. features: of an encoder; pictures without any are left out. captions: whether the
    model is conditioned on them. Where any picture has one, those without count as having an empty one. rules: whether
    how pictures look without an encoder is compared too, and whether to say which difference would have been found.
    by_source: whether labels are dealt by whose works the pictures are.
    """
    if pictures is None:
        return _not_run("no facts about the pictures were given, only scores", 0, 0, None, None)
    listed = pictures if isinstance(pictures, PictureTable) else PictureTable.read(pictures)
    first, unseen = _chosen(listed, (set_name, "unseen"), features)
    codec = resolution = deal = None
    seed = seed_of(*([str(p["sha256"]) for p in part] for part in (first, unseen))) if rules.seeded else SEED
    if by_source and first and unseen:
        alike = dealt(first, unseen, PERMUTATIONS, seed)
        if isinstance(alike, str):
            return _not_run(alike, len(first), len(unseen), None, None)
        first, unseen, deal = alike.first, alike.unseen, alike.deal
    if first and unseen:
        codec, resolution = codec_mismatch(first, unseen, deal), resolution_mismatch(first, unseen, deal)
    if min(len(first), len(unseen)) < FEWEST:
        why = f"it needs {FEWEST} usable pictures a side; there are {len(first)} and {len(unseen)}"
        return _not_run(why, len(first), len(unseen), codec, resolution)
    if deal is not None and (why_not := untaught(deal.fold, len(first))):
        return _not_run(why_not, len(first), len(unseen), codec, resolution)
    views = _views(first, unseen, features, captions, rules.looks)
    strange = [name for name, view in views.items() if not np.isfinite(view.x).all()]
    if strange:
        why = f"not all numbers of {strange[0]!r} are finite"
        return _not_run(why, len(first), len(unseen), codec, resolution)
    found = _compared(views, len(first), len(unseen), codec, resolution, rules, seed, deal)
    return Findings(found, codec, resolution)


def _chosen(listed: PictureTable, sets: tuple[str, str], features: FeatureTable | None) -> list[Sequence[Facts]]:
    """The facts of at most MOST usable pictures of each set, in the order of their digests, which has nothing to do
    with their names; of near-duplicates the first alone."""
    usable = listed.in_sets(sets) & listed.usable & listed.finite((*LOGGED, *PLAIN))
    cluster = near_duplicate_clusters(listed, usable, features)
    rows = np.flatnonzero(usable)
    rows = rows[np.lexsort((listed.picture[rows], BY_NAME[listed.set[rows]], listed.sha256[rows]))]
    first = np.zeros(len(rows), dtype=bool)
    first[np.unique(cluster[rows], return_index=True)[1]] = True
    rows = rows[first | (cluster[rows] == MISSING)]
    if features:
        seen = np.zeros(len(listed) + 1, dtype=bool)
        seen[listed.find(features.vectors)] = True
        rows = rows[seen[rows]]
    parts = [rows[listed.set[rows] == SETS.index(name)][:MOST] for name in sets]
    facts = listed.facts(np.concatenate(parts), COLUMNS)
    return [facts[: len(parts[0])], facts[len(parts[0]) :]]


def _views(
    first: Sequence[Facts], unseen: Sequence[Facts], features: FeatureTable | None, captions: bool, looks: bool
) -> dict[str, View]:
    """Every way in which the pictures are compared, by name."""
    views = {"files and colours": View(file_features(first, unseen), discriminant())}
    if features:
        keys = [_key(p) for rows in (first, unseen) for p in rows]
        vectors = stacked(features.vectors, keys).astype(float)
        views["what they show"] = View(vectors, discriminant(ridge=vectors.shape[1]))
        if looks and features.looks:
            views |= picture_views(features, keys)
    texts: list[Any] = [p["caption"] for rows in (first, unseen) for p in rows] if captions else []
    if any(texts):
        views[said.WRITTEN] = View(said.form(texts), discriminant())
        views[said.SAY] = View(said.words(texts), discriminant(ridge=2 * said.HASHED))
    return views


def _compared(
    views: Mapping[str, View],
    m: int,
    n: int,
    codec: str | None,
    resolution: str | None,
    rules: Rules,
    seed: int,
    deal: Deal | None,
) -> Blind:
    """Every view of m pictures and n unseen ones, tested together; the AUC printed is that of the view that separates
    best."""
    release_unused()  # the permutations take the most
    found, p_value, _ = classifier_two_sample_test([*views.values()], m, PERMUTATIONS, seed, deal=deal)
    areas = [auc(one.score[:m], one.score[m:], widen=one.widen, one_more=rules.one_more) for one in found]
    # correction over k views costs no more than testing each at 1/k of the level
    spread = max(one.widen for one in found) * null_spread(m, n)
    least = detectable(spread, BASELINE_LEVEL / len(views)) if rules.tells_detectable else None
    best = min(range(len(found)), key=lambda i: (found[i].p_value, -found[i].auc))
    return Blind(
        auc=areas[best].value,
        auc_ci=areas[best].interval,
        p_value=p_value,
        level=BASELINE_LEVEL,
        separates=p_value < BASELINE_LEVEL,
        views=tuple(
            BlindView(name=name, auc=area.value, auc_ci=area.interval, p_value=one.p_value)
            for name, area, one in zip(views, areas, found, strict=True)
        ),
        codec_mismatch=codec is not None,
        resolution_mismatch=resolution is not None,
        n_pictures=m,
        n_unseen=n,
        reason=None,
        detectable=least,
    )


def _key(picture: Facts) -> tuple[str, str]:
    return str(picture["set"]), str(picture["picture"])


def _not_run(reason: str, m: int, n: int, codec: str | None, resolution: str | None) -> Findings:
    compared = m > 0 and n > 0
    blind = Blind(
        auc=None,
        auc_ci=None,
        p_value=None,
        level=BASELINE_LEVEL,
        separates=None,
        views=(),
        codec_mismatch=codec is not None if compared else None,
        resolution_mismatch=resolution is not None if compared else None,
        n_pictures=m,
        n_unseen=n,
        reason=reason,
    )
    return Findings(blind, codec, resolution)


def _numbers(picture: Mapping[str, Any]) -> list[float]:
    """What a usable picture's file and colours say."""
    values = [picture[name] for name in (*LOGGED, *PLAIN)]
    logged = [math.log1p(max(0.0, float(value))) for value in values[: len(LOGGED)]]
    later = [math.log(max(1e-6, float(picture.get(name) or 1e-6))) for name in LATER]
    return logged + [float(value) for value in values[len(LOGGED) :]] + later


def file_features(*parts: Sequence[Facts]) -> np.ndarray:
    """File and colour facts as float64 (n, d), of all pictures of all parts.

    Logs of sizes, sharpness, traces of JPEG blocks and share of fine detail; colour means and spreads; format and mode
    as indicators.
    """
    n, d = sum(map(len, parts)), len((*LOGGED, *PLAIN, *LATER))
    columns = [np.fromiter((_numbers(p) for part in parts for p in part), np.dtype((float, d)), n)]
    for name in ("format", "mode"):
        values = np.array([str(p.get(name)) for part in parts for p in part], dtype=object)
        columns += [(values == kind)[:, None].astype(float) for kind in sorted(set(values))]
    return np.hstack(columns)


def codec_mismatch(first: Sequence[Facts], unseen: Sequence[Facts], deal: Deal | None = None) -> str | None:
    """In words how file formats differ, or None: no format in common, or Fisher's exact test below the level for one of
    them (Bonferroni over formats). deal: how labels are dealt instead, where that is not picture by picture."""
    a, b = (Counter(str(p.get("format")) for p in pictures) for pictures in (first, unseen))
    kinds = sorted(a | b)
    if deal is None:
        p = {kind: _fisher(a[kind], len(first), b[kind], len(unseen)) for kind in kinds}
    else:
        every = np.array([str(picture.get("format")) for part in (first, unseen) for picture in part])
        p = {kind: dealt_p((every == kind).astype(float), len(first), deal) for kind in kinds}
    kind = min(kinds, key=lambda kind: p[kind])
    if a & b and p[kind] * len(kinds) >= MISMATCH_LEVEL:
        return None
    shares = f"{a[kind] / len(first):.0%} of these pictures and {b[kind] / len(unseen):.0%} of the unseen ones"
    return f"{shares} are {kind} files"


def _fisher(a: int, m: int, b: int, n: int) -> float:
    return float(fisher_exact([[a, m - a], [b, n - b]]).pvalue)


def resolution_mismatch(first: Sequence[Facts], unseen: Sequence[Facts], deal: Deal | None = None) -> str | None:
    """In words how sizes differ, or None: ranges of width or height that do not meet, or a Kolmogorov-Smirnov test
    below the level for one of them (Bonferroni over the two). deal: how labels are dealt instead."""
    for side in ("width", "height"):
        a, b = (np.array([float(p[side]) for p in pictures]) for pictures in (first, unseen))
        if np.ptp(np.concatenate([a, b])) == 0:
            continue
        apart = a.max() < b.min() or b.max() < a.min()
        both = np.concatenate([a, b])
        p = ks_2samp(a, b, method="asymp").pvalue if deal is None else dealt_p(both, len(a), deal)
        if apart or p * 2 < MISMATCH_LEVEL:
            return f"the median {side} is {np.median(a):.0f} pixels here and {np.median(b):.0f} among the unseen ones"
    return None
