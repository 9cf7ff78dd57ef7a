"""Near-duplicates: which pictures are linked, and that shortcuts lose no link."""

import itertools
import time

import numpy as np
import pytest
from slowly import slowly

from trainedon.evidence import FeatureTable, near_duplicates
from trainedon.evidence.table.clusters import AGREEING, ALIKE, CLOSE, COLOUR, ENCODER, SAME


def clusters(rows, features=None):
    return near_duplicates(rows, None if features is None else FeatureTable(ENCODER, features))


HASHES = 0x0F1E2D3C4B5A6978


def row(name, phash, colour=(0.5, 0.5, 0.5), group="suspect", **more):
    sha256 = more.pop("sha256", f"{int.from_bytes(str(name).encode()):064x}"[-64:])
    means = dict(zip(("mean_r", "mean_g", "mean_b"), colour, strict=True))
    text = None if phash is None else f"{phash:016x}"
    return {"set": group, "picture": str(name), "sha256": sha256, "reason": None, "phash": text} | means | more


def flipped(phash, *bits):
    for bit in bits:
        phash ^= 1 << bit
    return phash


def feature(cosine, d=8):
    """A vector at the given cosine from (1, 0, 0, ...)."""
    out = np.zeros(d, np.float32)
    out[:2] = 3 * cosine, 3 * np.sqrt(1 - cosine**2)
    return out


def together(*rows, features=None):
    return clusters(rows, features) != {}


def naive(rows, features):
    """All pairs, one at a time."""
    groups = [{number} for number in range(len(rows))]
    for i, j in itertools.combinations(range(len(rows)), 2):
        a, b = rows[i], rows[j]
        if a["phash"] is None or b["phash"] is None or a["reason"] or b["reason"]:
            continue
        bits = (int(a["phash"], 16) ^ int(b["phash"], 16)).bit_count()
        u, v = features.get((a["set"], a["picture"])), features.get((b["set"], b["picture"]))
        cosine = -1.0 if u is None or v is None else float(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
        gap = max(abs(round(1000 * a[f"mean_{c}"]) - round(1000 * b[f"mean_{c}"])) for c in "rgb")
        if gap <= COLOUR and (bits <= SAME or (bits <= CLOSE and cosine >= AGREEING) or cosine >= ALIKE):
            one = groups[i] | groups[j]
            for member in one:
                groups[member] = one
    return {
        (r["set"], r["picture"]): min(rows[k]["sha256"] for k in group)
        for r, group in zip(rows, groups, strict=True)
        if len(group) > 1
    }


@pytest.mark.parametrize("seed", [0, *slowly(1, 2)])
def test_shortcuts_find_what_comparing_all_pairs_finds(seed):
    rng = np.random.default_rng(seed)
    rows, features = [], {}
    centres = rng.integers(0, 2**63, 25)
    for number in range(300):
        phash = int(centres[rng.integers(25)]) if rng.random() < 0.6 else int(rng.integers(0, 2**63))
        phash = flipped(phash, *rng.integers(0, 64, rng.integers(0, 9)).tolist())
        colour = rng.choice([0.3, 0.4, 0.45, 0.6], 3)
        reason = "cannot be read" if rng.random() < 0.05 else None
        one = row(number, None if rng.random() < 0.05 else phash, colour, ("suspect", "unseen")[number % 2])
        rows.append(one | {"reason": reason, "sha256": f"{int(rng.integers(2**62)):064x}"})
        if rng.random() < 0.7:
            features[rows[-1]["set"], str(number)] = rng.normal(size=4).astype(np.float32)
    found = clusters(rows, features)
    assert found == naive(rows, features) and len(set(found.values())) > 10
    assert clusters(rows, None) == naive(rows, {}) != found
    assert clusters(rows[::-1], features) == found


def test_hashes_within_the_threshold_are_linked_wherever_they_differ():
    for start in range(64 - SAME):
        near = flipped(HASHES, *range(start, start + SAME))
        assert together(row("a", HASHES), row("b", near))
        assert not together(row("a", HASHES), row("b", flipped(near, start + SAME)))
    apart = flipped(HASHES, *range(0, 64, 64 // SAME))  # one bit in almost every band
    assert together(row("a", HASHES), row("b", apart))


def test_the_encoder_alone_and_with_the_hash():
    close, far = flipped(HASHES, *range(CLOSE)), flipped(HASHES, *range(CLOSE + 1))
    for phash, cosine, expected in (
        (close, AGREEING + 0.001, True),
        (close, AGREEING - 0.001, False),
        (far, ALIKE - 0.001, False),
        (far, ALIKE + 0.001, True),
    ):
        features = {("suspect", "a"): feature(1.0), ("suspect", "b"): feature(cosine)}
        assert together(row("a", HASHES), row("b", phash), features=features) is expected
        assert not together(row("a", HASHES), row("b", phash), features={("suspect", "a"): feature(1.0)})


def test_another_colour_is_another_picture():
    features = {("suspect", "a"): feature(1.0), ("suspect", "b"): feature(1.0)}
    for colour, expected in (((0.5, 0.5, 0.62), True), ((0.5, 0.5, 0.622), False), ((0.3, 0.5, 0.5), False)):
        assert together(row("a", HASHES), row("b", HASHES, colour), features=features) is expected


def test_pictures_without_structure_or_with_a_reason_are_in_no_cluster():
    features = {("suspect", "a"): feature(1.0), ("suspect", "b"): feature(1.0)}
    assert not together(row("a", None), row("b", None), features=features)
    assert not together(row("a", HASHES), row("b", HASHES, reason="exact duplicate of a"), features=features)
    old = {name: value for name, value in row("a", HASHES).items() if name != "phash"}
    assert not together(old, dict(old, picture="b"), features=features)
    assert clusters([]) == {}


def test_a_cluster_spans_sets_and_is_named_by_its_smallest_digest():
    chain = [flipped(HASHES, *range(SAME * step)) for step in range(3)]  # the ends are not near one another
    rows = [
        row("x", chain[0], group="suspect", sha256="c" * 64),
        row("x", chain[1], group="unseen", sha256="b" * 64),
        row("y", chain[2], group="member", sha256="d" * 64),
        row("z", ~HASHES & 2**64 - 1, group="member", sha256="a" * 64),
    ]
    assert clusters(rows) == {("suspect", "x"): "b" * 64, ("unseen", "x"): "b" * 64, ("member", "y"): "b" * 64}
    assert clusters([rows[0], rows[2]]) == {}


def test_many_pictures_and_the_frames_of_a_film():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, 20_000).tolist()
    film = [flipped(HASHES, *bits) for bits in rng.integers(0, 64, (20_000, 2)).tolist()]
    rows = [row(number, phash) for number, phash in enumerate([*hashes, *film])]
    began = time.process_time()
    found = clusters(rows)
    assert time.process_time() - began < 10  # about 1 s; all pairs of the film take half a minute
    assert len(found) == len(film) and len(set(found.values())) == 1
