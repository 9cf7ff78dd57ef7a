"""What a run would take: arithmetic on made-up speeds, and measurements whose shape alone is checked."""

import itertools
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import tiny

from trainedon.attacks import Cost, parse_attacks
from trainedon.errors import UserError
from trainedon.pictures import Item, write_inventory
from trainedon.planning.forecast import count, estimate, plan
from trainedon.planning.measuring import (
    REPETITIONS,
    SAMPLED,
    AutoencoderSpeed,
    Demand,
    PictureSample,
    RowBytes,
    Speed,
    demand,
    measure,
    row_bytes,
    sample_pictures,
)
from trainedon.planning.peak_memory import memory_of
from trainedon.targets.core.batching import Batching
from trainedon.targets.core.row_memory import Memory

SIZES = RowBytes(scores=100.0, shards=150.0, inventory=200.0)


def asked(forward=1, backward=0, setup=0, rows=64, name="loss"):
    return Demand(name, f"{name}()", Cost(forward, backward, setup), rows)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1000000", 10**6),
        ("1_000_000", 10**6),
        ("1e6", 10**6),
        ("1E6", 10**6),
        ("1M", 10**6),
        ("1m", 10**6),
        ("1.5M", 1_500_000),
        ("100k", 10**5),
        ("1B", 10**9),
        ("1G", 10**9),
        ("2T", 2 * 10**12),
        ("64", 64),
        ("0.001k", 1),
        (" 7 ", 7),
    ],
)
def test_counts_are_read_as_people_write_them(text, number):
    assert count(text, "N") == number


@pytest.mark.parametrize(
    "text", ["", "0", "-3", "0.5", "1.0005k", "many", "M", "nan", "inf", "1e16", "1e999999999", "1,000", "1kk", "2x"]
)
def test_what_is_no_count_is_refused_with_an_example(text):
    with pytest.raises(UserError, match=r"--bytes-per-picture takes a whole number from 1 .* such as 1000000"):
        count(text, "--bytes-per-picture")


def test_passes_hours_and_bytes_follow_from_the_measurement():
    demands = [asked(10, 4, setup=7200, name="slow"), asked(1, rows=32)]
    speeds = [Speed(32, 0.5), Speed(64, 0.25, 1.0)]
    found = estimate(demands, speeds, SIZES, 128_000, 10, 1000)
    slow, loss = found.attacks
    assert (slow.passes, slow.setup) == (128_000 * 14 + 10 * 7200, 7200)
    assert slow.device_hours == pytest.approx((128_000 * (10 * 0.25 + 4 * 1.0) + 10 * 7200 * 0.25) / 3600)
    assert (loss.passes, loss.device_hours) == (128_000, pytest.approx(128_000 * 0.5 / 3600))
    assert found.together.passes == slow.passes + loss.passes
    assert (found.together.forward, found.together.backward, found.together.setup) == (11, 4, 7200)
    assert found.together.device_hours == pytest.approx(slow.device_hours + loss.device_hours)
    assert found.wall_hours == pytest.approx(found.together.device_hours / 10), "2000 shards share out evenly"
    assert found.bytes_written.scores == 12_800_000 and found.bytes_written.inventory == 25_600_000
    assert (found.bytes_written.shards, found.bytes_written.shard_files) == (19_200_000, 4000)
    assert found.bytes_read == 2 * 128_000_000, "every picture is read twice"
    assert found.inventory_hours is None


@pytest.mark.parametrize(("pictures", "devices", "busiest"), [(64, 8, 64), (65, 2, 64), (129, 2, 128), (10, 1, 10)])
def test_a_shard_is_not_shared_among_devices(pictures, devices, busiest):
    found = estimate([asked()], [Speed(64, 3600.0)], SIZES, pictures, devices)
    assert found.wall_hours == pytest.approx(busiest)
    assert found.together.device_hours == pytest.approx(pictures)


def test_what_is_not_known_is_none():
    found = estimate([asked()], [Speed(64, 1.0)], SIZES, 100)
    assert found.bytes_read is None and found.sample is None and found.inventory_hours is None


def test_taking_stock_is_one_process_however_many_devices():
    sample = PictureSample(64, 1e5, inventory=0.01, reading=0.005)
    assert estimate([asked()], [Speed(64, 1.0)], SIZES, 360_000, 50, sample=sample).inventory_hours == pytest.approx(
        1.0
    )


@pytest.mark.parametrize(("pictures", "devices"), [(0, 1), (1, 0), (-5, 2)])
def test_less_than_one_picture_or_device_is_refused(pictures, devices, target):
    with pytest.raises(UserError, match="give 1 or more of each"):
        estimate([asked()], [Speed(64, 1.0)], SIZES, pictures, devices)
    with pytest.raises(UserError, match="give 1 or more of each"):
        plan(target, parse_attacks("loss"), pictures, devices)


class Steps:
    """A clock by which every look at it is one second later than the last, and passes take none of it."""

    def __init__(self):
        self.ticks = itertools.count()

    def __call__(self):
        return float(next(self.ticks))


def test_speed_is_seconds_a_row(target):
    assert measure(target, 8, False, Steps()) == Speed(8, 1 / 8)
    with target.counted() as spent:
        assert measure(target, 8, True, Steps()) == Speed(8, 1 / 8, 0.0)
    assert spent.forward == 8 * 2 * (1 + REPETITIONS), "one to warm up, and then in turns"


def test_a_slow_network_is_timed_once(target):
    clock = Steps()
    with target.counted() as spent:
        assert measure(target, 8, False, lambda: 100 * clock()) == Speed(8, 100 / 8)
    assert spent.forward == 8 * 2


@pytest.mark.parametrize(
    ("text", "rows", "at_once"),
    [("loss", 16, 16), ("loss", 512, 64), ("drc@1", 64, 64), ("drc@1", 20, 16), ("drc@1", 4, 4), ("drc@1", 4096, 512)],
)
def test_attacks_fill_the_batch_as_far_as_a_shard_reaches(text, rows, at_once, target):
    (attack,) = parse_attacks(text)
    wide = replace(target, batching=Batching(rows))
    found = demand(wide, attack)
    assert (found.rows, found.cost, found.name) == (at_once, attack.cost(target), text)


def test_rows_weigh_what_those_of_real_files_do(target, tmp_path):
    sizes = row_bytes([demand(target, attack) for attack in parse_attacks("loss, drc")])
    assert 2 * 32 < sizes.scores < 2 * 200, "at least a digest in half its digits"
    assert sizes.shards > sizes.scores, "small files weigh more"
    rng = np.random.default_rng(0)
    names = ("mean_r", "mean_g", "mean_b", "std_r", "std_g", "std_b", "sharpness", "jpeg_trace", "detail")
    items = [
        Item(f"{i:018d}", rng.bytes(32).hex(), "suspect", None, **dict(zip(names, rng.random(9).tolist())))
        for i in range(2000)
    ]
    write_inventory(items, tmp_path / "pictures.parquet")
    assert sizes.inventory == pytest.approx((tmp_path / "pictures.parquet").stat().st_size / 2000, rel=0.3)


def test_a_sample_is_read_as_a_run_reads_it(target, toy_pictures):
    files = list(toy_pictures["members"].iterdir())
    found = sample_pictures(target, toy_pictures["members"], Steps())
    assert found.pictures == len(files) == 24 < SAMPLED
    assert found.bytes == pytest.approx(sum(file.stat().st_size for file in files) / 24)
    assert found.inventory == found.reading == pytest.approx(1 / 24)


def test_a_sample_of_no_pictures_is_refused(target, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="holds no picture that can be used"):
        sample_pictures(target, tmp_path)


def test_a_plan_of_a_real_target_is_complete_and_json(target, toy_pictures):
    attacks = parse_attacks("loss, drc-hide(steps=2, restorations=1)")
    with target.counted() as spent:
        found = plan(target, attacks, 1000, 2, source=toy_pictures["members"])
    document = json.loads(json.dumps(asdict(found)))
    assert [line["attack"] for line in document["attacks"]] == ["loss", "drc-hide(steps=2, restorations=1)"]
    assert document["together"]["passes"] == 1000 * sum(
        attack.cost(target).forward + attack.cost(target).backward for attack in attacks
    )
    assert document["device"].startswith("cpu (") and document["device"].endswith("float32")
    assert document["sample"]["pictures"] == 24
    assert document["speeds"][0]["forward"] > 0 and document["speeds"][0]["backward"] is not None
    assert document["bytes_read"] == 2 * 1000 * round(found.sample.bytes)
    assert any("answers that several ask for" in caution for caution in found.rests_on)
    assert spent.forward > 0


def test_a_plan_says_what_memory_is_held_at_the_peak(target):
    found = plan(target, parse_attacks("loss"), 10).memory
    assert found.weights == {"network": sum(one.nbytes for one in target.network.parameters())}
    assert found.rows == target.batching.most and found.pictures is None and found.autoencoder is None
    assert found.peak == found.weights["network"] + found.network
    assert found.measured > 100 * 2**20, "PyTorch alone takes as much"
    assert found.warning is None and found.free > found.network


def test_of_a_model_in_latents_the_autoencoder_is_told_too(tmp_path):
    from trainedon.targets import load_target

    target = load_target(tiny.save("sdxl", tmp_path / "model"))
    found = memory_of(target, memory=Memory(10**9))
    assert set(found.weights) == {"network", "autoencoder", "text_encoder", "text_encoder_2"}
    assert found.pictures == target.batching.coder.most and found.measured is None
    assert found.peak == sum(found.weights.values()) + max(found.network, found.autoencoder)
    assert found.warning is None
    assert "memory does not suffice" in memory_of(target, memory=Memory(1000)).warning
    back = memory_of(target, memory=Memory(10**9), gradients=True)
    assert back.network > found.network and back.peak > found.peak


def test_of_a_network_of_ones_own_nothing_is_said_of_memory():
    from trainedon.targets import Service

    assert memory_of(Service.of(lambda pixels, *_: pixels, (3, 8, 8))) is None


def test_the_size_of_a_picture_that_is_given_goes_before_a_measured_one(target, toy_pictures):
    found = plan(target, parse_attacks("loss"), 10, source=toy_pictures["members"], bytes_per_picture=7)
    assert found.bytes_read == 140


def test_what_a_class_costs_is_said(target_folders):
    from trainedon.targets import load_target

    found = plan(load_target(target_folders["class-conditional"], rows=8), parse_attacks("loss"), 10)
    assert any("takes 12 forward passes a picture more" in caution for caution in found.rests_on)


def test_passes_through_the_autoencoder_are_reckoned_beside_the_networks():
    coder = AutoencoderSpeed(8, encode=0.5, decode=2.0, decode_back=3.0)
    demands = [asked(), Demand("pullback", "pullback()", Cost(1, decoded=1, decoded_back=4), 64)]
    found = estimate(demands, [Speed(64, 1.0)], SIZES, 3600, coder=coder, views=2)
    assert [line.device_hours for line in found.attacks] == [1.0, 1.0 + 2.0 + 4 * 3.0]
    assert [line.passes for line in found.attacks] == [3600, 3600], "of the network alone"
    assert found.encoding_hours == 1.0 and found.wall_hours == pytest.approx(found.together.device_hours + 1.0)


def test_a_plan_times_the_autoencoder_of_a_model_in_latents(target_folders):
    from trainedon.targets import load_target

    target = load_target(target_folders["latent, KL"])
    plain = plan(target, parse_attacks("symmetric(pia)"), 100, clock=Steps())
    at_once = target.batching.coder.most
    assert plain.autoencoder == AutoencoderSpeed(at_once, 1 / at_once), "nothing goes back"
    assert plain.encoding_hours == pytest.approx(100 * 4 / at_once / 3600), "in four views"
    attacks = parse_attacks("flip(pullback(pia, probes=3))")
    assert (attacks[0].cost(target).decoded, attacks[0].cost(target).decoded_back) == (2, 6)
    found = plan(target, attacks, 100)
    assert plain.autoencoder.decode_back is None is not found.autoencoder.decode_back, (
        "no less than 0, on a busy machine"
    )
    assert found.memory.autoencoder > plain.memory.autoencoder
    flipped = plan(target, parse_attacks("flip(pia)"), 100, clock=Steps())
    assert flipped.encoding_hours == pytest.approx(100 * 2 / at_once / 3600), "as it is and mirrored"


def test_a_plan_says_which_claim_can_be_reached(target_folders):
    import trainedon as to

    asked = {"attacks": "loss", "machine": to.Machine(device="cpu", batch_size=8)}
    assert to.plan(target_folders["epsilon"], 240, **asked).reachable is None
    assert to.plan(target_folders["epsilon"], 240, suspects=40, **asked).reachable.level == 3
    both = to.plan(target_folders["epsilon"], 240, suspects=40, **asked | {"attacks": "drc-set"}).reachable
    assert both.level == 2 and "give --control" in both.sentence
    with pytest.raises(UserError, match="drc-set weighs two views against unseen pictures"):
        to.plan(target_folders["epsilon"], 240, suspects=240, **asked | {"attacks": "drc-set"})
    found = to.plan(target_folders["epsilon"], 1000, suspects=25, sources=39, **asked).reachable
    assert found.level == 0 and "needs 100 of these" in found.sentence
    for wrong in ({"suspects": 0}, {"suspects": 241}, {"sources": 5}, {"suspects": 40, "sources": 201}):
        with pytest.raises(UserError, match=r"suspects of 240 pictures|sources: say how many are suspects"):
            to.plan(target_folders["epsilon"], 240, **wrong, **asked)
