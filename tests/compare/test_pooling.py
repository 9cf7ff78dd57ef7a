import numpy as np
import pytest
import torch

from trainedon.compare import POOLINGS, pool
from trainedon.errors import UserError


@pytest.mark.parametrize("r", [1, 2, 3, 4])
def test_pooling_agrees_with_numpy(r):
    values = torch.rand(6, r, dtype=torch.float64)
    for how in ("mean", "median", "max"):
        np.testing.assert_allclose(pool(values, how).numpy(), getattr(np, how)(values.numpy(), axis=1), rtol=1e-15)
    distances = 1 - values.numpy()
    np.testing.assert_allclose(pool(values, "mean-log").numpy(), -np.log(distances).mean(axis=1), rtol=1e-12)


def test_the_logarithm_stays_finite_and_knows_the_highest_similarity():
    equal, far = torch.zeros(1, 2), torch.full((1, 2), -0.5)
    assert pool(equal, "mean-log", highest=0.0).isfinite().all()
    assert pool(equal, "mean-log", highest=0.0) > pool(far, "mean-log", highest=0.0)


@pytest.mark.parametrize("how", POOLINGS)
def test_what_is_not_a_number_stays_so(how):
    values = torch.tensor([[1.0, float("nan")], [1.0, 1.0]])
    assert pool(values, how).isnan().tolist() == [True, False]


def test_unknown_pooling_lists_the_choices():
    with pytest.raises(UserError, match="choose one of mean-log, mean, median, max"):
        pool(torch.zeros(1, 1), "vote")
