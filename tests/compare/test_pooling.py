import numpy as np
import pytest
import torch

from trainedon.compare import POOLINGS, check_pooling, pool
from trainedon.errors import UserError


@pytest.fixture
def values() -> torch.Tensor:
    """Similarities of 6 pictures, 2 regions, 4 restorations."""
    return torch.rand(6, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("r", [1, 2, 3, 4])
def test_pooling_agrees_with_numpy(values, r):
    values = values[:, :, :r]
    for how in ("mean", "median", "max"):
        expected = getattr(np, how)(values.numpy(), axis=2).mean(axis=1)
        np.testing.assert_allclose(pool(values, how).numpy(), expected, rtol=1e-15)
    logs = -np.log(1 - values.numpy())
    np.testing.assert_allclose(pool(values, "mean-log").numpy(), logs.mean(axis=(1, 2)), rtol=1e-12)
    np.testing.assert_allclose(pool(values, "best-log").numpy(), logs.max(axis=2).mean(axis=1), rtol=1e-12)


def test_the_energy_score_is_that_of_the_vectors():
    """Unit vectors: the root of 1 - cosine is their Euclidean distance, but for a factor of sqrt 2."""
    rng = np.random.default_rng(0)
    original, restored = rng.normal(size=(1, 5)), rng.normal(size=(3, 5))
    original, restored = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (original, restored))
    apart = np.mean([np.linalg.norm(original[0] - r) for r in restored])
    spread = np.mean([np.linalg.norm(restored[i] - restored[j]) for i in range(3) for j in range(3) if i != j])
    similarities = torch.from_numpy(original @ restored.T)[:, None]  # (1, 1, 3)
    among = torch.from_numpy(restored @ restored.T)[None, None]
    score = pool(similarities, "energy", among=among)
    np.testing.assert_allclose(score.item(), -(apart - spread / 2) / np.sqrt(2), rtol=1e-9)


def test_an_original_among_spread_restorations_scores_higher_than_one_beside_equal_ones():
    similarities = torch.full((2, 1, 2), 0.5, dtype=torch.float64)
    spread, equal = torch.tensor([[1.0, 0.5], [0.5, 1.0]]), torch.ones(2, 2)
    one, other = pool(similarities, "energy", among=torch.stack([spread, equal])[:, None].double())
    assert one > other


def test_the_logarithm_stays_finite_and_knows_the_highest_similarity():
    equal, far = torch.zeros(1, 1, 2), torch.full((1, 1, 2), -0.5)
    for how in ("mean-log", "best-log"):
        assert pool(equal, how, highest=0.0).isfinite().all()
        assert pool(equal, how, highest=0.0) > pool(far, how, highest=0.0)


@pytest.mark.parametrize("how", POOLINGS)
def test_what_is_not_a_number_stays_so(how):
    values = torch.tensor([[[1.0, float("nan")]], [[1.0, 1.0]]])
    assert pool(values, how, among=torch.ones(2, 1, 2, 2)).isnan().tolist() == [True, False]


def test_what_cannot_be_pooled_is_refused():
    with pytest.raises(UserError, match="choose one of mean-log, mean, median, max, best-log, energy"):
        pool(torch.zeros(1, 1, 1), "vote")
    with pytest.raises(UserError, match="restorations=2 or more"):
        check_pooling("energy", 1)
