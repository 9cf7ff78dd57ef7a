"""Networks that are larger than their weights are refused while they are built, at once and without memory."""

import time

import diffusers
import pytest
import tiny
import torch

from trainedon import free_memory
from trainedon.errors import UserError
from trainedon.targets import load_target
from trainedon.targets.reading.bounds import Held, no_larger


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
    held, began = held_by(tiny.conditional()), time.process_time()
    refused = pytest.raises(UserError, match="here describes a network that is larger than its weights")
    with refused, torch.device("meta"), no_larger(held, "here"):
        tiny.conditional(**larger)
    assert time.process_time() - began < 5


def test_nothing_is_counted_afterwards():
    with no_larger(Held(0, 0), "here"):
        pass
    tiny.conditional()


def test_weights_that_memory_has_no_room_for_are_refused_before_they_are_read(target_folders, monkeypatch, tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 100 kB\nMemAvailable: 40 kB\n")
    load_target(target_folders["epsilon"])
    monkeypatch.setattr(free_memory, "MEMINFO", meminfo)
    with pytest.raises(UserError, match=r"unet/config.json: its weights take 0\.\d GiB of memory, and 0\.0 are free"):
        load_target(target_folders["epsilon"])
    monkeypatch.setattr(free_memory, "MEMINFO", tmp_path / "of another system")
    load_target(target_folders["epsilon"])


def test_fewer_rows_go_through_a_network_of_large_pictures(tmp_path):
    for size, rows in ((8, {32}), (1024, {*range(1, 9)})):  # of the latter as many as fit into what is free
        tiny.unconditional(sample_size=size, block_out_channels=(64, 64)).save_pretrained(tmp_path / str(size))
        assert load_target(tmp_path / str(size), device="cpu").batching.rows in rows
