"""Memory that runs out: smaller batches, and nothing twice."""

import numpy as np
import pytest
import torch

from trainedon.attacks import parse_attacks
from trainedon.attacks.core.execute import run
from trainedon.errors import UserError
from trainedon.targets import Target, load_target
from trainedon.targets.core.asking import ran_out

CPU = "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"
ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError(CPU),
    MemoryError(),
    RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
]


@pytest.fixture
def target(target_folders):
    return load_target(target_folders["epsilon"], rows=64)


def narrow(target, most, error=ERRORS[0]):
    """Let the network take `most` rows, and note how many it was given each time."""
    given, predict = [], target.predict

    def limited(x_t, t, condition):
        given.append(len(x_t))
        if len(x_t) > most:
            raise error
        return predict(x_t, t, condition)

    target.predict = limited
    return given


@pytest.fixture(scope="module")
def attack():
    (attack,) = parse_attacks("drc@1(restorations=1, degradation=diffuse:100, symmetries=mirror)")
    return attack


@pytest.fixture(scope="module")
def expected(attack, target_folders, batch_of):
    """Scores where there was memory enough."""
    return run(attack, load_target(target_folders["epsilon"], rows=8), batch_of(33)).scores


@pytest.mark.parametrize(
    "error", [ERRORS[0], *(pytest.param(error, marks=pytest.mark.slow) for error in ERRORS[1:])], ids=repr
)
def test_batches_are_halved_until_they_fit_and_scores_stay(error, attack, expected, target, batch_of):
    narrow(target, 16, error)
    with target.counted() as spent:
        scores = run(attack, target, batch_of(33)).scores
    assert np.array_equal(scores, expected)
    assert target.batching.rows == 16, "64 and 32 were too many, and stay so"
    assert spent.forward == 33 * attack.cost(target).forward, "only what was finished is counted"


def test_finished_chunks_are_not_done_again(target, batch_of):
    (attack,) = parse_attacks("loss")
    given, predict = narrow(target, 64), target.predict

    def later(x_t, t, condition):  # memory becomes scarce after the first chunk
        if sum(given) == 64 and len(x_t) > 32:
            given.append(0)
            raise ERRORS[0]
        return predict(x_t, t, condition)

    target.predict = later
    run(attack, target, batch_of(128))
    assert given == [64, 0, 32, 32]


def test_one_picture_that_does_not_fit_is_the_users_affair(target, batch_of):
    given = narrow(target, 0)
    with pytest.raises(UserError, match="single picture: close other programs"):
        run(parse_attacks("loss")[0], target, batch_of(20))
    assert target.batching.rows == given[-1] == 1


@pytest.mark.slow
def test_a_device_that_takes_one_row_and_no_eight_suffices(target, batch_of, target_folders):
    (attack,) = parse_attacks("loss")
    expected = run(attack, load_target(target_folders["epsilon"], rows=8), batch_of(5)).scores
    given = narrow(target, 1)
    scores = run(attack, target, batch_of(5)).scores
    assert given[-5:] == [1] * 5 and target.batching.unit == 1
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_other_errors_are_not_taken_for_it(target, batch_of):
    assert not ran_out(RuntimeError("shapes differ")) and all(map(ran_out, ERRORS))
    narrow(target, 0, RuntimeError("shapes differ"))
    with pytest.raises(UserError, match=r"cannot be asked \(shapes differ\)"):
        run(parse_attacks("loss")[0], target, batch_of(2))
    assert target.batching.rows == 64


def test_models_beside_it_take_the_smaller_batches_too(target, target_folders, batch_of):
    (attack,) = parse_attacks("calibrated(loss)", reference=_reference(target_folders))
    narrow(target, 16)
    run(attack, target, batch_of(30))
    assert {one.batching.rows for one in target.kept.values() if isinstance(one, Target)} == {16}


def _reference(folders):
    from trainedon.targets import Reference

    return Reference.open(folders["sample, cosine betas"])
