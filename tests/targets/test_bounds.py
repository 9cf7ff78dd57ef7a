"""Networks that are larger than their weights are refused while they are built, at once and without memory."""

import time

import diffusers
import pytest
import tiny
import torch

from trainedon.errors import UserError
from trainedon.targets.bounds import Held, no_larger


def held_by(network):
    return Held.of(value.shape for value in network.state_dict().values())


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_network_of_the_size_of_its_weights_is_built(family):
    for part in tiny.FAMILIES[family]().components.values():
        if isinstance(part, diffusers.ModelMixin):
            with torch.device("meta"), no_larger(held_by(part), "here"):
                type(part).from_config(part.config)


@pytest.mark.parametrize(
    "larger", [{"layers_per_block": 64}, {"cross_attention_dim": 60_000}, {"num_class_embeds": 10**7}]
)
def test_a_larger_one_is_not(larger):
    held, began = held_by(tiny.conditional()), time.perf_counter()
    refused = pytest.raises(UserError, match="here describes a network that is larger than its weights")
    with refused, torch.device("meta"), no_larger(held, "here"):
        tiny.conditional(**larger)
    assert time.perf_counter() - began < 5


def test_nothing_is_counted_afterwards():
    with no_larger(Held(0, 0), "here"):
        pass
    tiny.conditional()
