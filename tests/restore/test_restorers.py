"""What every restorer promises, on a small real network."""

from dataclasses import replace

import pytest
import torch

from trainedon.condition import Classes
from trainedon.degrade.places import tile_means
from trainedon.errors import UserError
from trainedon.restore import DDNM, DPS, Guided, Inpaint, Join, Masked, Naive, PiGDM, Restorer, Twisted

EVERY = [
    Naive(),
    Naive(eta=0),
    Join(),
    Join(eta=0.5, resamplings=3, jump=2),
    Guided(),
    Guided(eta=0, scale=1),
    Guided(scale=1000),
    Guided(paste=0, since=0.25, until=0.75),
    Guided(scale=1000, normalised=1),
    DPS(),
    DPS(eta=0, paste=1, zeta=100, until=0.5),
    PiGDM(),
    PiGDM(exact=1),
    PiGDM(eta=0, paste=1, since=0.5, exact=1),
    DDNM(),
    DDNM(eta=0.5, resamplings=3, jump=2),
    Twisted(),
    Twisted(eta=0, particles=1),
    Twisted(eta=0.5, particles=3),
]
ONE_EACH = [kind() for kind in Restorer.noun.registered().values() if kind is not Inpaint]  # see test_inpaint.py
SHAPE = (3, 8, 8)


def masked(rows) -> Masked:
    """Pictures numbered `rows`, each with a hidden patch of its own."""
    pictures = [torch.rand(SHAPE, generator=torch.Generator().manual_seed(row)) * 2 - 1 for row in rows]
    original = torch.stack(pictures)
    hidden = torch.zeros(len(original), 8, 8, dtype=torch.bool)
    for mask, row in zip(hidden, rows):
        mask[row % 4 : row % 4 + 4, 2:7] = True
    degraded = torch.where(hidden[:, None], torch.zeros_like(original), original)
    return Masked(original, degraded, hidden)


@pytest.fixture(scope="module")
def target(toy):
    return toy()


def test_every_restorer_is_tested():
    assert {type(restorer) for restorer in EVERY} == set(Restorer.noun.registered().values()) - {Inpaint}


@pytest.mark.parametrize("restorer", EVERY, ids=repr)
@pytest.mark.parametrize("start", [1.0, 0.5])
def test_the_kept_part_comes_back_exact_and_the_cost_is_as_declared(target, stream, restorer, start):
    given = masked(range(5))
    with target.counted() as spent:
        restored = restorer.restore(target, given, stream(range(5)), steps=4, start=start)
    kept = ~given.hidden[:, None].expand_as(restored)
    assert restored.shape == given.original.shape and restored.dtype == torch.float32
    assert torch.equal(restored[kept], given.original[kept])
    assert restored.abs().max() <= 1 and not restored.requires_grad
    assert not torch.equal(restored[~kept], given.original[~kept])
    assert (spent.forward, spent.backward) == tuple(5 * passes for passes in restorer.evaluations(4))


@pytest.mark.parametrize(
    "restorer",
    [pytest.param(one, marks=() if one in ONE_EACH else pytest.mark.slow, id=repr(one)) for one in EVERY],
)
def test_a_restoration_depends_on_its_own_picture_alone(target, stream, restorer):
    """To the bit: not on batch size, order or neighbours; and the same call gives the same pictures."""
    rows = list(range(11))
    whole = restorer.restore(target, masked(rows), stream(rows), steps=3)
    assert torch.equal(restorer.restore(target, masked(rows), stream(rows), steps=3), whole)
    order = [7, 0, 10]
    assert torch.equal(restorer.restore(target, masked(order), stream(order), steps=3), whole[order])
    assert torch.equal(restorer.restore(target, masked([4]), stream([4]), steps=3), whole[4:5])
    crowd = [20, 4, 21, 22]
    assert torch.equal(restorer.restore(target, masked(crowd), stream(crowd), steps=3)[1], whole[4])
    target.batching.rows = 5
    try:
        assert torch.equal(restorer.restore(target, masked(rows), stream(rows), steps=3), whole)
    finally:
        target.batching.rows = 64


@pytest.mark.parametrize("restorer", EVERY, ids=repr)
def test_another_draw_or_seed_paints_otherwise(target, stream, restorer):
    given = masked(range(3))
    restored = [
        restorer.restore(target, given, stream(range(3), draw=draw, seed=seed), steps=3)
        for draw, seed in ((0, 0), (1, 0), (0, 1))
    ]
    hidden = given.hidden[:, None].expand_as(given.original)
    assert all(
        not torch.equal(one[hidden], other[hidden])
        for one, other in zip(restored, restored[1:] + restored[:1], strict=True)
    )


PATHS = [
    {"prediction_type": "sample"},
    {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True},
    {"rescale_betas_zero_snr": True},
    {"beta_schedule": "squaredcos_cap_v2"},
]
AT_ANY_SCALE = [*EVERY, Guided(scale=1e30), Guided(scale=1e30, normalised=1, paste=0), DPS(zeta=1e30)]


def on_every_path():
    """Each restorer on each path; in the quick tests on one of them, in turn."""
    for number, restorer in enumerate(AT_ANY_SCALE):
        for turn, path in enumerate(PATHS):
            marks = () if (number + turn) % len(PATHS) == 0 else pytest.mark.slow
            yield pytest.param(path, restorer, marks=marks, id=f"{path}-{restorer}")


@pytest.mark.parametrize(("scheduler", "restorer"), list(on_every_path()))
def test_no_path_and_no_scale_makes_it_diverge(toy, stream, scheduler, restorer):
    given = masked(range(3))
    restored = restorer.restore(toy(**scheduler), given, stream(range(3)), steps=12)
    assert torch.isfinite(restored).all() and restored.abs().max() <= 1


@pytest.mark.parametrize("restorer", ONE_EACH, ids=repr)
def test_nothing_hidden_and_everything_hidden(target, stream, restorer):
    given = masked(range(3))
    nothing = Masked(given.original, given.original, torch.zeros_like(given.hidden))
    assert torch.equal(restorer.restore(target, nothing, stream(range(3)), steps=2), given.original)
    blank = torch.zeros_like(given.original)
    everything = Masked(given.original, blank, torch.ones_like(given.hidden))
    others = Masked(given.original.flip(0), blank, torch.ones_like(given.hidden))
    one, other = (restorer.restore(target, batch, stream(range(3)), steps=2) for batch in (everything, others))
    assert torch.equal(one, other), "what is hidden must not leak into the restoration"


@pytest.mark.parametrize(
    ("restorer", "steps", "passes"),
    [
        (Guided(), 20, (20, 20)),
        (Guided(until=0.5), 20, (20, 10)),
        (Guided(since=0.5), 20, (20, 10)),
        (Guided(since=0.25, until=0.3), 20, (20, 1)),
        (Guided(until=0.3), 10, (10, 3)),
        (DPS(until=0.01), 4, (4, 1)),
        (PiGDM(since=0.9), 4, (4, 0)),
        (DDNM(resamplings=10, jump=10), 250, (2410, 0)),
        (Twisted(particles=3), 7, (21, 0)),
    ],
    ids=repr,
)
def test_passes(restorer, steps, passes):
    assert restorer.evaluations(steps) == passes


def test_where_the_walk_is_not_guided_it_is_that_of_scale_zero(target, stream):
    given = masked(range(3))
    one = Guided(since=0.9).restore(target, given, stream(range(3)), steps=4)
    assert torch.equal(one, Guided(scale=0).restore(target, given, stream(range(3)), steps=4))
    early, late, whole = (
        Guided(**part).restore(target, given, stream(range(3)), steps=4)
        for part in ({"until": 0.5}, {"since": 0.5}, {})
    )
    assert not torch.equal(one, early) and not torch.equal(one, late)
    assert not torch.equal(early, whole) and not torch.equal(late, whole)


@pytest.mark.parametrize("restorer", EVERY, ids=repr)
def test_hidden_pixels_do_not_leak(target, stream, restorer):
    given = masked(range(3))
    swapped = torch.where(given.hidden[:, None], given.original.flip(0), given.original)
    one = restorer.restore(target, given, stream(range(3)), steps=3)
    other = restorer.restore(target, Masked(swapped, given.degraded, given.hidden), stream(range(3)), steps=3)
    assert torch.equal(one, other)


@pytest.mark.parametrize("restorer", ONE_EACH, ids=repr)
def test_labels_reach_the_network(toy, stream, restorer):
    target, given = toy({"num_class_embeds": 2}), masked(range(3))
    zeros, ones = (
        restorer.restore(
            target,
            Masked(given.original, given.degraded, given.hidden, Classes(torch.full((3,), label))),
            stream(range(3)),
            steps=3,
        )
        for label in (0, 1)
    )
    assert not torch.equal(zeros, ones)


@pytest.mark.parametrize(
    ("text", "restorer"),
    [
        ("naive", Naive()),
        ("join", Join()),
        ("join:resamplings=5,jump=10,eta=0.5", Join(eta=0.5, resamplings=5, jump=10)),
        ("guided", Guided()),
        ("guided:scale=3,eta=0", Guided(eta=0.0, scale=3.0)),
        ("guided:", Guided()),
        ("guided:scale=3,until=0.5", Guided(scale=3.0, until=0.5)),
        ("guided:normalised=1,paste=0,since=0.1", Guided(normalised=1, paste=0, since=0.1)),
        ("dps:zeta=10,paste=1", DPS(zeta=10.0, paste=1)),
        ("pigdm:eta=0.2,exact=1", PiGDM(eta=0.2, exact=1)),
        ("ddnm:eta=0.85,resamplings=4,jump=5", DDNM(eta=0.85, resamplings=4, jump=5)),
        ("twisted:particles=8", Twisted(particles=8)),
        ("twisted(particles=8, eta=0.5)", Twisted(eta=0.5, particles=8)),
    ],
)
def test_parse(text, restorer):
    assert Restorer.parse(text) == Restorer.parse(restorer.spelled()) == restorer


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "unknown restorer ''"),
        ("Guided", "unknown restorer 'Guided' (did you mean guided?): choose from ddnm, dps, guided"),
        ("guided(scale=3", "the closing parenthesis is missing"),
        ("guided(scale=3)x", "'x' stands after the closing parenthesis"),
        ("guided(scale=3, scale=4)", "guided: scale is given twice"),
        ("naive:scale=3", "naive has no parameter 'scale': it has eta"),
        ("guided:scale", "guided: scale has no value: write scale=VALUE"),
        ("guided:scale=much", "guided: scale takes a number, not 'much'"),
        ("guided:scale=nan", "scale"),
        ("guided:scale=inf", "scale"),
        ("guided:scale=-1", "scale"),
        ("guided:scale=1e31", "guided: scale must be a number from 0 to 1e+30, not 1e+31"),
        ("guided:until=0", "guided: 0 <= since < until <= 1 must hold, not since=0, until=0"),
        ("guided:since=0.5,until=0.5", "since < until"),
        ("guided:until=1.1", "since < until"),
        ("guided:since=-0.1", "since < until"),
        ("guided:since=nan", "guided: since takes a number, not 'nan'"),
        ("guided:normalised=2", "guided: normalised is 0 or 1, not 2"),
        ("guided:paste=0.5", "guided: paste takes a whole number, not '0.5'"),
        ("dps:paste=2", "dps: paste is 0 or 1"),
        ("dps:zeta=-1", "dps: zeta must be a number from 0"),
        ("dps:scale=1", "dps has no parameter 'scale'"),
        ("pigdm:exact=3", "pigdm: exact is 0 or 1"),
        ("ddnm:jump=0", "ddnm: resamplings and jump must be 1 or more"),
        ("twisted:particles=0", "twisted: particles must be 1 or more"),
        ("guided:eta=1.5", "eta"),
        ("join:eta=-0.1", "eta"),
        ("naive:eta=nan", "eta"),
        ("join:resamplings=2.5", "join: resamplings takes a whole number, not '2.5'"),
        ("join:resamplings=10001", "at most 10,000"),
        ("join:resamplings=0", "must be 1 or more"),
        ("join:jump=0", "must be 1 or more"),
    ],
)
def test_parse_refuses_in_one_line(text, message):
    with pytest.raises(UserError) as caught:
        Restorer.parse(text)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_painted_holds_to_the_tiles_of_a_mosaic(target, stream):
    given = masked(range(3))
    mosaic = replace(given, degraded=given.paste(given.original, tile_means(given.original, 4)), tiles=4)
    known, kept = mosaic.known(torch.zeros_like(given.original)), ~given.hidden[:, None].expand_as(given.original)
    assert torch.allclose(tile_means(known, 4), tile_means(given.original, 4), atol=1e-6), "those hidden in part, too"
    assert torch.equal(known[kept], given.original[kept])
    whole = replace(mosaic, hidden=torch.ones_like(given.hidden), degraded=tile_means(given.original, 4))
    restored = DDNM().restore(target, whole, stream(range(3)), steps=4, start=0.5)
    assert not torch.allclose(restored, whole.degraded, atol=0.01)
    inside = restored.abs().amax((1, 2, 3)) < 1  # elsewhere pixels were cut off at the bounds
    assert torch.allclose(tile_means(restored, 4)[inside], whole.degraded[inside], atol=1e-5)
