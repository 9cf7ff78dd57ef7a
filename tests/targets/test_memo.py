"""Network answers that are asked for twice and computed once."""

import numpy as np
import pytest
import torch

from trainedon.attacks import Loss, parse_attacks
from trainedon.attacks.core.execute import run, run_once
from trainedon.condition import UNCONDITIONAL, Captions, Classes
from trainedon.targets import Journal, Pace
from trainedon.targets.core.memo import Memo


@pytest.fixture
def rows_computed(target, monkeypatch):
    """How many rows went through the network: a list of the sizes of the calls."""
    sizes = []
    chunks = type(target).batched
    monkeypatch.setattr(
        type(target),
        "batched",
        lambda self, net, x, *rest: (sizes.append(len(x)), chunks(self, net, x, *rest))[1],
    )
    return sizes


def test_answers_are_those_of_the_network_and_come_once(target, batch_of, rows_computed):
    batch = batch_of(6)
    with torch.no_grad():
        plain = target.denoise(batch.pixels, 100).noise
        rows_computed.clear()
        with target.sharing():
            first = target.denoise(batch.pixels[:4], 100).noise
            both = target.denoise(batch.pixels, 100).noise
            target.denoise(batch.pixels, 101)
            target.denoise(batch.pixels[:1] + 1e-6, 100)
    assert rows_computed == [4, 2, 6, 1]
    assert torch.equal(both, plain) and torch.equal(first, plain[:4])


def test_shared_answers_count_as_asked_and_their_seconds_are_told(target, batch_of):
    batch = batch_of(5)
    with target.counted() as spent, torch.no_grad(), target.sharing():
        target.denoise(batch.pixels, 100)
        assert spent.forward == 0  # known at the end of the block
        target.denoise(batch.pixels, 100)
    assert spent.forward == 10 and spent.spared > 0
    assert target.memo is None


def test_a_gradient_is_never_taken_from_memory(target, batch_of, rows_computed):
    pixels = batch_of(2).pixels.requires_grad_()
    with target.sharing(), torch.enable_grad():
        for _ in range(2):
            (gradient,) = torch.autograd.grad(target.denoise(pixels, 100).clean.square().sum(), pixels)
    assert rows_computed == [2, 2] and gradient.abs().sum() > 0


def test_equal_inputs_of_two_models_or_classes_are_not_confused(target, batch_of):
    memo, batch = Memo(), batch_of(2)
    t = torch.tensor([3, 3])
    one, _ = memo.answers("a" * 64, batch.pixels, t, UNCONDITIONAL, lambda x, t, condition: x + 1)
    two, _ = memo.answers("b" * 64, batch.pixels, t, UNCONDITIONAL, lambda x, t, condition: x + 2)
    three, _ = memo.answers(
        "a" * 64,
        batch.pixels,
        t,
        Classes(torch.tensor([0, 1])),
        lambda x, t, condition: x + condition.labels.view(-1, 1, 1, 1),
    )
    assert torch.equal(one, batch.pixels + 1) and torch.equal(two, batch.pixels + 2)
    assert torch.equal(three, batch.pixels + torch.tensor([0.0, 1.0]).view(-1, 1, 1, 1))


def test_memory_is_bounded_and_the_oldest_answers_go_first(batch_of):
    batch = batch_of(4)
    memo = Memo(limit=2 * batch.pixels[0].nbytes)
    asked = []

    def compute(x, t, condition):
        asked.append(len(x))
        return x.clone()

    for rows in (slice(0, 2), slice(2, 3), slice(2, 3), slice(0, 1)):
        x = batch.pixels[rows]
        memo.answers("m", x, torch.zeros(len(x), dtype=torch.long), UNCONDITIONAL, compute)
    assert asked == [2, 1, 1]  # the third call was known, the fourth forgotten


def test_tensors_kept_as_a_whole_are_bounded_too_and_numbers_stay(target):
    memo, made = Memo(limit=2 * 400), []

    def ask(key):
        return memo.cached(
            key, target.evaluations, lambda: (made.append(key), torch.zeros(100) if key != "score" else key)[1]
        )

    for key in ("score", "a", "b", "a", "c", "a", "score", "b"):
        ask(key)
    assert made == ["score", "a", "b", "c", "b"]  # b was the longest unasked when c came
    memo.cached("large", target.evaluations, lambda: torch.zeros(1000))
    ask("score")
    ask("a")
    assert made == ["score", "a", "b", "c", "b", "a"]  # what is larger than the limit is not kept either


def test_attacks_that_ask_the_same_ask_once_and_score_the_same(target, batch_of, rows_computed):
    batch = batch_of(8)
    attacks = parse_attacks("pia, pian, fremia(pia), loss, timesteps(loss, t=100+200)")
    alone = [attack.score(target, batch) for attack in attacks]
    rows_computed.clear()
    with target.sharing():
        together = [attack.score(target, batch) for attack in attacks]
    assert all(map(np.array_equal, alone, together))
    assert sum(rows_computed) == 8 * (2 + 1 + 0 + 1 + 1)  # e(x, 0) of pia and pian, loss at 200 are asked once


def test_the_views_of_drc_set_have_the_pictures_own_restorations_in_common(target, batch_of, rows_computed):
    batch = batch_of(2)
    with target.sharing():
        for attack in parse_attacks("drc-set"):
            attack.score(target, batch)
    assert sum(rows_computed) == 2 * 12, "a half of what each asks the model itself; the views are models of their own"


def test_scores_that_were_judged_are_not_judged_again(target, batch_of, rows_computed):
    batch = batch_of(4)
    attack = Loss(draws=2)
    with target.counted() as spent, target.sharing():
        first = run_once(attack, target, batch)
        rows_computed.clear()
        second = run_once(attack, target, batch)
    assert first is second and rows_computed == [] and spent.forward == 16


def test_a_fusion_does_not_ask_again_what_its_attacks_have_said(target, batch_of, rows_computed):
    batch = batch_of(4)
    drc, fused = parse_attacks("drc-hide(steps=2), rank-average(drc-hide(steps=2), loss)")
    with target.sharing():
        exhibits = run(drc, target, batch).exhibits
        rows_computed.clear()
        with target.counted() as spent:
            run(fused, target, batch)
        assert rows_computed == [4]  # the loss
        assert spent.forward == 4 * fused.cost(target).forward and spent.backward == 4 * drc.cost(target).backward
        assert len(run(drc, target, batch).exhibits) == len(exhibits) == 4


@pytest.mark.parametrize(
    ("condition", "first"),
    [
        (UNCONDITIONAL, "007be22a5d1fadf8eddee2d07bebe8b2ef19af14"),
        (Classes(torch.tensor([4, 1])), "aa664d1c6bd5ed66cea2d3a9159c350d7c111367"),
        (Captions(("a cat", "")), "102c870bb43b42afb7bd2a189c3b74b1e2f99a73"),
    ],
    ids=["nothing", "classes", "captions"],
)
def test_answers_that_a_journal_of_version_0_1_0_holds_are_found(condition, first, tmp_path):
    x, t = torch.arange(24.0).view(2, 3, 2, 2), torch.tensor([3, 999])
    seconds = iter(range(0, 1000, 100))
    pace = Pace(clock=lambda: float(next(seconds)))
    journal = Journal(tmp_path / "shard.answers", pace)
    for key in (first, "ff" * 20):  # the other is of nothing that is asked
        journal.add((bytes.fromhex(key), x[0] + 7, 1.5))
    journal.flush(list)
    memo, asked = Memo(journal=Journal(tmp_path / "shard.answers", pace)), []
    found, spared = memo.answers("f" * 64, x, t, condition, lambda x, *_: (asked.append(x), x)[1])
    assert torch.equal(found, torch.stack([x[0] + 7, x[1]])) and spared == 1.5
    assert len(asked) == 1 and torch.equal(asked[0], x[1:])
