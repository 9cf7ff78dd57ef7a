"""Noise is a function of its key and of nothing else."""

import numpy as np
import pytest
import torch
from scipy import stats

from trainedon.noise import NoiseStream, generator

DIGESTS = [f"{number:064x}" for number in range(5)]


def stream(digests, draws=None, shape=(3, 4, 4), seed=0) -> NoiseStream:
    return NoiseStream(digests, draws or [0] * len(digests), shape, seed=seed, device="cpu")


def test_a_row_depends_on_its_own_key_alone():
    together = stream(DIGESTS)
    first, second = together.next(), together.next()
    assert first.shape == (5, 3, 4, 4) and first.dtype == torch.float32
    for i, digest in enumerate(DIGESTS):
        alone = stream([digest])
        assert torch.equal(alone.next()[0], first[i]) and torch.equal(alone.next()[0], second[i])
    order = [3, 0, 4]
    assert torch.equal(stream([DIGESTS[i] for i in order]).next(), first[order])


def test_global_random_state_plays_no_part():
    torch.manual_seed(1)
    np.random.seed(1)
    first, state = stream(DIGESTS).next(), torch.get_rng_state()
    torch.manual_seed(2)
    np.random.seed(2)
    assert torch.equal(stream(DIGESTS).next(), first)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state), "drawing noise must leave the global generator alone"


def test_every_part_of_the_key_matters():
    base = stream(DIGESTS[:1])
    tensors = [
        base.next(),
        base.next(),
        stream(DIGESTS[1:2]).next(),
        stream(DIGESTS[:1], draws=[1]).next(),
        stream(DIGESTS[:1], seed=1).next(),
    ]
    flat = torch.stack(tensors).reshape(len(tensors), -1)
    assert len({tuple(row.tolist()) for row in flat}) == len(tensors)


def test_the_parts_of_a_key_do_not_run_together():
    keys = [("ab", "c"), ("a", "bc"), ("abc",), ("a", "b", "c"), (1, 11), (11, 1)]
    assert len({int(generator(*key).integers(0, 2**62)) for key in keys}) == len(keys)


def test_the_noise_is_standard_normal_and_rows_are_independent():
    rows = stream([f"{number:064x}" for number in range(400)], shape=(3, 16, 16)).next().reshape(400, -1).numpy()
    values = rows.ravel().astype(np.float64)
    assert abs(values.mean()) < 5 / np.sqrt(values.size)
    assert abs(values.var() - 1) < 5 * np.sqrt(2 / values.size)
    assert stats.kstest(values[::10], "norm").pvalue > 1e-3
    correlations = np.corrcoef(rows[:100])[np.triu_indices(100, 1)]
    assert abs(correlations).max() < 6 / np.sqrt(rows.shape[1])


def test_rows_and_draws_must_go_together():
    with pytest.raises(ValueError, match="argument 2"):
        NoiseStream(DIGESTS, [0], (1,), seed=0, device="cpu")


def test_golden_values():
    """Frozen: scores that were published must come out again with every later version and on every machine."""
    noise = NoiseStream(["ab" * 32, "cd" * 32], [0, 1], (2, 3), seed=7, device="cpu")
    first, second = noise.next(), noise.next()
    expected = [
        [
            [1.0534147024154663, 0.7565310597419739, 1.9399086236953735],
            [-2.0239439010620117, -0.8392104506492615, 1.026007890701294],
        ],
        [
            [-0.14167223870754242, 0.9803149700164795, -0.019681671634316444],
            [0.1497538834810257, -0.42368707060813904, -1.1723194122314453],
        ],
    ]
    assert first.tolist() == expected
    assert second[1, 0].tolist() == [0.815937340259552, -0.020631948485970497, 2.8438754081726074]
    assert generator("a", 1).integers(0, 2**32, 3).tolist() == [3668028091, 2648116257, 2586951801]
    assert generator(0, "members").permutation(8).tolist() == [1, 6, 7, 5, 3, 2, 4, 0]


def test_a_tensor_that_is_skipped_leaves_the_numbers_of_the_others():
    whole, part = stream(DIGESTS), stream(DIGESTS)
    first, _, third, fourth = (whole.next() for _ in range(4))
    assert torch.equal(part.next(), first) and part.skip() is None
    assert torch.equal(part.next(), third) and torch.equal(part.next(), fourth)


def test_noise_that_is_drawn_ahead_is_the_same():
    """As on an accelerator, forced on the CPU: several streams at once, some tensors skipped."""
    ahead = [NoiseStream(DIGESTS, [draw] * 5, (3, 4, 4), seed=0, device="cpu", ahead=True) for draw in range(3)]
    plain = [stream(DIGESTS, [draw] * 5) for draw in range(3)]
    for k in range(6):
        for one, other in zip(ahead, plain, strict=True):
            if k in (1, 2, 4):
                one.skip(), other.skip()
            else:
                assert torch.equal(one.next(), other.next())


def test_a_failure_while_drawing_ahead_reaches_the_one_who_asks():
    broken = NoiseStream(DIGESTS, [0] * 5, (-1,), seed=0, device="cpu", ahead=True)
    with pytest.raises(RuntimeError, match="negative"):
        broken.next()


def test_noise_that_another_stream_drew_is_not_drawn_again(monkeypatch):
    kept, draw, drawn = {}, NoiseStream._draw, []
    monkeypatch.setattr(NoiseStream, "_draw", lambda self, step: drawn.append(step) or draw(self, step))
    streams = [NoiseStream(DIGESTS, [0] * 5, (3, 4, 4), seed=0, device="cpu", kept=kept) for _ in range(3)]
    streams[0].next(), streams[0].skip(), streams[0].next()
    for other in streams[1:]:
        other.next(), other.next(), other.next()
    assert drawn == [0, 2, 1]
    monkeypatch.setattr("trainedon.noise.KEPT", 0)
    NoiseStream(DIGESTS, [0] * 5, (3, 4, 4), seed=0, device="cpu", kept=(empty := {})).next()
    assert not empty
