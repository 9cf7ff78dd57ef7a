"""Eight tiny pictures and a recipe that trains in seconds."""

import pytest
import torch

from trainedon.training import Recipe


@pytest.fixture(scope="session")
def pictures() -> torch.Tensor:
    return torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """Two batches a pass, the second one short: six steps in all."""
    return Recipe(size=8, widths=(8, 8), attention=False, passes=3, batch_size=5, warmup=2, learning_rate=1e-3)
