"""The same noise for copies of one name."""

from dataclasses import replace

import numpy as np
import pytest

from trainedon.attacks import parse_attacks
from trainedon.errors import UserError


def test_pictures_of_one_name_meet_the_same_noise(target, batch_of):
    (attack,) = parse_attacks("same-noise(loss)")
    batch = batch_of(4)
    pixels = batch.pixels[:1].repeat(4, 1, 1, 1)
    names = ("a/x.png", "a/x.png", "a/x~kept2.png", "a/y.png")
    scores = attack.score(target, replace(batch, pixels=pixels, names=names))
    assert scores[0] == scores[1] == scores[2] != scores[3]
    assert len({*batch.sha256}) == 4, "of other digests"


def test_a_picture_without_a_name_keeps_its_digest(target, batch_of):
    plain, attack = parse_attacks("loss, same-noise(loss)")
    batch = replace(batch_of(3), names=None)
    np.testing.assert_array_equal(attack.score(target, batch), plain.score(target, batch))


def test_what_knows_pictures_by_their_digests_is_refused():
    with pytest.raises(UserError, match="needs more than the audited model"):
        parse_attacks("same-noise(quantile(loss))", ["unseen"])
