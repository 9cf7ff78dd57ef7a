"""How many rows go through a network follows from what one takes and what is free: cards and machines with little
memory are made up, models are real."""

from dataclasses import replace
from types import SimpleNamespace

import diffusers
import pytest
import tiny
import torch
from slowly import slowly

from trainedon import free_memory
from trainedon.attacks import parse_attacks
from trainedon.attacks.single.curvature import divergence
from trainedon.condition import UNCONDITIONAL
from trainedon.errors import UserError
from trainedon.free_memory import free_of_system
from trainedon.pictures import Batch
from trainedon.planning.peak_memory import memory_of
from trainedon.targets import Batching, load_target
from trainedon.targets.core import device
from trainedon.targets.core.row_memory import Footprint, Memory, RowsNeed, peak_of
from trainedon.targets.networks import families
from trainedon.targets.networks import footprint as target_footprint
from trainedon.targets.networks.footprint import (
    BACK,
    check_weight_gradients,
    decoder_need,
    fit,
    fit_decoder_gradients,
    footprint,
    reckon_apart,
)
from trainedon.targets.reading import bounds

MIB = 2**20


def test_the_peak_of_a_calculation_is_what_it_holds_at_once():
    network = torch.nn.Sequential(torch.nn.Linear(1024, 4096), torch.nn.ReLU(), torch.nn.Linear(4096, 8))
    x = torch.zeros(256, 1024)
    # the hidden layer, and what the activation makes of it
    assert peak_of(lambda: network(x)) == pytest.approx(2 * 256 * 4096 * 4, rel=0.01)


def test_until_its_gradient_is_known_a_row_holds_every_layer():
    layers = [layer for _ in range(8) for layer in (torch.nn.Linear(512, 512), torch.nn.Tanh())]
    network = torch.nn.Sequential(*layers).requires_grad_(False)
    x = torch.zeros(256, 512)

    def back():
        given = x.clone().requires_grad_(True)
        return torch.autograd.grad(network(given).sum(), given)

    one = x.numel() * 4
    assert peak_of(lambda: network(x)) == 2 * one
    assert 9 * one <= peak_of(back, gradients=True) <= 12 * one, "what each of 8 layers answered, and a few besides"


def test_what_cannot_be_walked_through_without_numbers_is_not_known():
    assert peak_of(lambda: torch.zeros(1).item() or 1 / 0) is None


def test_rows_follow_from_a_share_of_what_is_free():
    need = RowsNeed(row=10, fixed=20)
    assert need.most(Memory(100, 0.7)) == 5 and need.most(Memory(100, 1.0)) == 8
    assert need.most(Memory(10, 1.0)) == 0
    assert need.bytes(3) == 50


def test_of_a_container_what_is_below_its_limit_is_free(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9000 kB\nMemAvailable: 4000 kB\n")
    assert free_of_system(meminfo, tmp_path) == 4000 * 1024
    second = tmp_path / "second"
    second.mkdir()
    for name, text in (
        ("max", "3000000"),
        ("current", "2500000"),
        ("stat", "anon 1\ninactive_file 300000\nactive_file 100000\n"),
    ):
        (second / f"memory.{name}").write_text(text)
    assert free_of_system(meminfo, second) == 900_000
    (second / "memory.max").write_text("max\n")
    assert free_of_system(meminfo, second) == 4000 * 1024
    first = tmp_path / "first" / "memory"
    first.mkdir(parents=True)
    for name, text in (("limit_in_bytes", "1000"), ("usage_in_bytes", "800"), ("stat", "total_inactive_file 50\n")):
        (first / f"memory.{name}").write_text(text)
    assert free_of_system(meminfo, first.parent) == 250
    assert free_of_system(tmp_path / "none", tmp_path / "nothing") is None


def test_a_limit_of_addresses_is_one_of_memory(tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    statm = tmp_path / "statm"
    statm.write_text("100 9 9\n")
    monkeypatch.setattr(free_memory, "STATM", statm)
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (100 * resource.getpagesize() + 5000, -1))
    assert free_of_system(tmp_path / "none", tmp_path / "nothing") == 5000
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (resource.RLIM_INFINITY, -1))
    assert free_of_system(tmp_path / "none", tmp_path / "nothing") is None


def test_a_model_that_does_not_fit_is_refused_before_any_part_of_it_is_loaded(tmp_path, monkeypatch):
    folder = tiny.save("stable diffusion", tmp_path / "model")
    weights = sum(footprint(load_target(folder)).weights.values())
    monkeypatch.setattr(bounds, "free_of_system", lambda: weights - 1000)
    monkeypatch.setattr(families, "_part", lambda *_: pytest.fail("a part is loaded"))
    with pytest.raises(UserError, match=r"model: its weights take 0\.0 GiB of memory, and 0\.0 are free: close other"):
        load_target(folder)


@pytest.mark.parametrize("family", ["flux", *slowly(*sorted({*tiny.FAMILIES} - {"flux"}))])
def test_a_row_of_every_family_can_be_reckoned(family, tmp_path):
    target = load_target(tiny.save(family, tmp_path / "model"))
    found = footprint(target)
    assert found.network.row > 0 and found.coder.row > 3 * 16 * 16 * 4, "at least the picture"
    parameters = sum(one.numel() for one in target.network.parameters())
    assert found.weights["network"] >= 4 * parameters
    assert found.network.fixed <= found.weights["network"]
    assert found.back is None
    assert found.network.row < footprint(target, gradients=True).back.row < BACK * found.network.row


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return load_target(tiny.save("stable diffusion", tmp_path_factory.mktemp("model")))


@pytest.fixture
def target(loaded):
    """With the rows that it has where there is room for all."""
    loaded.batching = Batching(32, coder=Batching(8))
    loaded._encoded.clear()
    return loaded


@pytest.mark.parametrize(("there", "rows", "unit"), [(1000, 32, 8), (20, 20, 8), (9, 9, 8), (5, 5, 4), (1, 1, 1)])
def test_as_many_rows_as_there_is_room_for(there, rows, unit, target, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(target_footprint, "footprint", lambda _target: Footprint({}, RowsNeed(1000, 50), None))
    fit(target, Memory(50 + 1000 * there, 1.0))
    assert (target.batching.rows, target.batching.unit) == (rows, unit)


def test_a_processor_without_room_for_one_row_is_told_before_anything_is_asked(target):
    with pytest.raises(UserError, match=r"a single (row|picture) takes .* beside the weights, and 0\.0 GiB are free"):
        fit(target, Memory(1000))
    fit(target, Memory(1000, fatal=False))  # on a card one row is tried
    assert (target.batching.rows, target.batching.coder.rows) == (1, 1)


def test_rows_are_fewer_where_gradients_are_taken(target, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    need = footprint(target, gradients=True).back
    curvature, loss = parse_attacks("curvature, loss")
    pictures = Batch.of(torch.rand(5, 3, 16, 16) * 2 - 1)
    many = curvature.score(target, pictures)
    room = Memory(need.bytes(5), 1.0)
    monkeypatch.setattr(Memory, "of", lambda _device: room)
    target.batching = Batching(32, coder=Batching(8))
    loss.score(target, pictures)
    assert target.batching.rows == 32
    assert curvature.score(target, pictures) == pytest.approx(many, rel=1e-4)
    assert (target.batching.rows, target.batching.unit) == (5, 4)
    target.batching = Batching(32, coder=Batching(8))
    monkeypatch.setattr(Memory, "of", lambda _device: Memory(need.bytes(1) - 1, 1.0))
    for _ in range(2):  # and is not forgotten
        with pytest.raises(UserError, match=r"the way back of a single row takes .* leave out attacks that need"):
            curvature.score(target, pictures)


def test_pictures_are_fewer_where_the_way_back_leads_through_the_decoder(target, monkeypatch):
    (pullback,) = parse_attacks("pullback(loss, probes=1)")
    pictures = Batch.of(torch.rand(3, 3, 16, 16) * 2 - 1)
    many, need = pullback.score(target, pictures), decoder_need(target)
    for rows, most in ((8, 8), (2, 2)):
        target.batching = Batching(32, coder=Batching(8))
        fit_decoder_gradients(target, Memory(need.bytes(rows), 1.0))
        assert target.batching.coder.most == most
    assert pullback.score(target, pictures) == pytest.approx(many, rel=1e-4)
    monkeypatch.setattr(Memory, "of", lambda _device: Memory(need.bytes(1) - 1, 1.0))
    with pytest.raises(UserError, match=r"through its decoder takes .* leave out pullback"):
        pullback.score(target, pictures)


def test_gradients_of_weights_hold_one_of_each_besides(target):
    weights, back = footprint(target).weights["network"], footprint(target, gradients=True).back
    check_weight_gradients(target, 10, Memory(10**9))
    for room in (weights + 10 * back.row // 2, weights // 2):
        with pytest.raises(UserError, match=r"the gradients of its weights over 16 rows take .* leave out attacks"):
            check_weight_gradients(target, 10, Memory(room, 1.0))
    check_weight_gradients(target, 10, Memory(weights // 2, 1.0, fatal=False))  # elsewhere it is tried
    assert not any(parameter.requires_grad for parameter in target.network.parameters())


def test_the_way_back_holds_no_more_rows_than_go_through_at_once(target, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    x = torch.rand(16, *target.shape)
    held = []
    for rows in (8, 16):
        target.batching = Batching(rows, coder=Batching(8))
        held.append(peak_of(lambda: divergence(target, x, 300, UNCONDITIONAL, [x.sign()]), gradients=True))
    assert held[0] < 0.6 * held[1]


@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_of_an_offloaded_model_only_what_works_is_on_the_device(offload, loaded):
    stays = footprint(loaded, gradients=True)
    target = replace(loaded, offload=offload, batching=Batching(32, coder=Batching(8)))
    reckon_apart(target)
    moved, weights = footprint(target, gradients=True), stays.weights
    network = weights["network"] if offload == "model" else moved.network.fixed - stays.network.fixed
    assert 0 < network <= weights["network"] and (offload == "model" or network < weights["network"] / 4)
    assert (moved.network.row, moved.network.fixed) == (stays.network.row, stays.network.fixed + network)
    assert moved.back.fixed == stays.back.fixed + weights["network"], "kept until the way back has passed"
    assert moved.coder.fixed - stays.coder.fixed <= weights["autoencoder"]
    assert moved.words <= weights["text_encoder"]
    fit(target, Memory(moved.network.bytes(20), 1.0, fatal=False))
    assert target.batching.rows == 20
    said, rows = memory_of(target, memory=Memory(10**9)), target.batching.most
    assert said.elsewhere == sum(weights.values()) and said.warning is None
    assert said.peak == max(moved.network.bytes(rows), moved.coder.bytes(target.batching.coder.most), moved.words)
    tight = memory_of(target, memory=Memory(said.peak - 1)).warning
    assert "are needed, and" in tight and "beside the weights" not in tight


def test_parts_that_do_not_work_leave_the_device(loaded, monkeypatch):
    target = replace(loaded, offload="model", batching=Batching(32, coder=Batching(8)))
    working, moved = [], []
    with monkeypatch.context() as watched:
        watched.setattr(target, "make_room", lambda parts: working.append([*parts]))
        target.denoise(torch.zeros(1, *target.shape), 100)
        target.decode(torch.zeros(1, *target.shape))
    assert working == [["text_encoder"], ["network"], ["autoencoder"]]
    for name, part in target.parts.items():
        parameter = SimpleNamespace(device=torch.device("cuda"))
        monkeypatch.setattr(part, "parameters", lambda parameter=parameter: iter([parameter]))
        monkeypatch.setattr(part, "to", lambda where, name=name: moved.append((name, where)))
    target.make_room(["network"])
    assert moved == [("autoencoder", "cpu"), ("text_encoder", "cpu")]


@pytest.mark.parametrize("family", ["sdxl", *slowly("stable diffusion 3", "flux", "pixart")])
def test_every_part_is_put_where_the_model_works(family, tmp_path):
    target = replace(load_target(tiny.save(family, tmp_path / "model")), device=torch.device("meta"))
    assert {parameter.device.type for part in target.parts.values() for parameter in part.parameters()} == {"meta"}
    assert len(target.parts) == 2 + sum(name.startswith("text_encoder") for name in target.pipeline.components)


def test_nothing_is_known_nothing_is_changed(target):
    fit(target, None)
    assert (target.batching.rows, target.batching.unit, target.batching.coder.rows) == (32, 8, 8)


def test_with_room_for_few_rows_scores_are_those_of_many_but_for_last_digits(target):
    (attack,) = parse_attacks("loss")
    pictures = Batch.of(torch.rand(5, 3, 16, 16) * 2 - 1)
    many = attack.score(target, pictures)
    target.batching.at_most(1)
    few = attack.score(target, pictures)
    assert few == pytest.approx(many, rel=1e-4)
    alone = [attack.score(target, pictures[i : i + 1])[0] for i in range(5)]
    assert few.tolist() == alone, "whatever lies beside"


def test_a_large_network_is_asked_row_by_row_on_a_processor(tmp_path, monkeypatch):
    folder, weights = tiny.save("stable diffusion", tmp_path / "model"), tiny.conditional().num_parameters()
    monkeypatch.setattr(device, "LARGE", weights + 1)
    assert load_target(folder).batching.rows == 32
    monkeypatch.setattr(device, "LARGE", weights)
    for given, rows, unit in ((None, 1, 1), (4, 4, 4), (6, 6, 4), (48, 48, 8)):
        batching = load_target(folder, rows=given).batching
        assert (batching.rows, batching.unit) == (rows, unit)


def test_pictures_of_usual_sizes_go_through_an_autoencoder_one_by_one(tmp_path):
    for size, rows in ((16, 8), (1024, 1)):
        pipeline = tiny.stable_diffusion()
        pipeline.save_pretrained(tmp_path / str(size))
        assert load_target(tmp_path / str(size), size=size).batching.coder.rows == rows


def test_every_picture_is_encoded_once_in_whatever_company(target, monkeypatch):
    seen, encode = [], diffusers.AutoencoderKL.encode
    monkeypatch.setattr(diffusers.AutoencoderKL, "encode", lambda self, x: seen.append(len(x)) or encode(self, x))
    pictures = torch.rand(20, 3, 16, 16) * 2 - 1
    whole = target.encode(pictures)
    asked = sum(seen)
    parts = torch.cat([target.encode(pictures[start : start + 3]) for start in range(0, 20, 3)])
    assert torch.equal(whole, parts) and sum(seen) == asked
    again = target.encode(torch.cat([pictures[:2], pictures[:1]]))
    assert torch.equal(again[0], again[2])
    again.zero_()
    assert torch.equal(target.encode(pictures[:1]), whole[:1]), "a copy was given"
