"""The network in half precision, and compiled."""

import pytest
import tiny
import torch

import trainedon as to
from trainedon.attacks import parse_attacks
from trainedon.attacks.core.execute import run
from trainedon.attacks.single.gan_leaks import samples_folder
from trainedon.checks import precision_of
from trainedon.errors import UserError
from trainedon.targets import Reference, Symmetric, load_target
from trainedon.targets.core.device import usual_precision
from trainedon.targets.load import _kinds
from trainedon.targets.networks.attending import attentions
from trainedon.targets.reading.opened import Ledger


def test_half_precision_is_near_and_answers_in_full(saved, noisy):
    folder = saved({"sample_size": 8})
    full, half = load_target(folder), load_target(folder, precision="bfloat16")
    assert (full.precision, half.precision) == ("float32", "bfloat16")
    for ask in (
        lambda target: target.denoise(noisy, 300).noise,
        lambda target: target.features(noisy, 100),
        lambda target: target.attention(noisy, 100),
    ):
        there, here = ask(full), ask(half)
        assert here.dtype == torch.float32 and not torch.equal(here, there)
        assert (here - there).norm() < 0.05 * there.norm()


def test_guidance_and_gradients_work_in_half_precision(saved, noisy):
    target = load_target(saved(), precision="bfloat16")
    (attack,) = parse_attacks("drc-hide(steps=2, encoder=pixel)")
    from trainedon.pictures import Batch

    scores = run(attack, target, Batch.of(noisy.clamp(-1, 1))).scores
    assert scores.shape == (11,) and all(map(torch.isfinite, torch.from_numpy(scores)))
    t = torch.full((11,), 100)
    assert target.gradient_norms(noisy, t, noisy).isfinite().all()


def test_precision_reaches_views_helpers_and_kept_samples(saved, noisy):
    target = load_target(saved(), precision="bfloat16")
    assert Symmetric.of(target, "mirror").precision == "bfloat16"
    beside = Reference.open(saved(name="other", seed=1)).target(target)
    assert (beside.precision, beside.batching.compiled) == ("bfloat16", False)
    assert samples_folder(target, 5, 0) != samples_folder(load_target(saved()), 5, 0)


def test_an_unknown_precision_is_refused(saved):
    with pytest.raises(UserError, match="float32, bfloat16, float16"):
        load_target(saved(), precision="int8")


@pytest.mark.parametrize(
    ("device", "kinds", "bfloat16", "precision"),
    [
        ("cuda", {"F16": 90, "F32": 10}, None, "float16"),
        ("cuda", {"F16": 10, "F32": 90}, None, "float32"),
        ("cuda", {"BF16": 5}, True, "bfloat16"),
        ("cuda", {"BF16": 5}, False, "float32"),
        ("cuda", {"F8_E4M3": 5, "F16": 1}, True, "bfloat16"),
        ("cuda", {}, True, "float32"),
        ("cpu", {"F16": 90}, True, "float32"),
        ("mps", {"BF16": 90}, True, "float32"),
    ],
)
def test_where_nobody_says_the_files_and_the_device_decide(device, kinds, bfloat16, precision):
    assert usual_precision(torch.device(device), kinds, bfloat16) == precision


def test_the_numbers_in_the_files_of_a_network_are_counted_by_their_type(tmp_path):
    folder = tiny.save("stable diffusion", tmp_path / "model")
    tiny.stable_diffusion().to(torch.float16).save_pretrained(tmp_path / "half")
    with Ledger(folder, tmp_path / "half") as files:
        assert _kinds(files, folder / "unet") == {"F32": tiny.conditional().num_parameters()}
        assert _kinds(files, tmp_path / "half" / "unet") == {"F16": tiny.conditional().num_parameters()}
    assert load_target(tmp_path / "half").precision == "float32", "on a processor"


def test_a_run_goes_on_in_the_precision_in_which_it_was_begun(saved, toy_pictures, tmp_path):
    asked = {"unseen": toy_pictures["unseen"], "attacks": "loss", "out": tmp_path / "run"}
    machine = to.Machine(device="cpu", precision="bfloat16")
    to.audit(saved(), toy_pictures["members"], **asked, machine=machine)
    assert precision_of(str(tmp_path / "run")) == "bfloat16"
    to.audit(saved(), toy_pictures["members"], **asked, machine=to.Machine(device="cpu"))  # auto
    with pytest.raises(UserError, match="precision"):
        to.audit(saved(), toy_pictures["members"], **asked, machine=to.Machine(device="cpu", precision="float32"))


def test_attention_goes_through_the_fused_kernel(saved, noisy, monkeypatch):
    target, asked = load_target(saved()), []
    fused = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional, "scaled_dot_product_attention", lambda *a, **k: asked.append(1) or fused(*a, **k)
    )
    target.denoise(noisy, 300)
    assert len(asked) == len(attentions(target.network)) > 0


@pytest.fixture
def compiled(saved, monkeypatch):
    """A target whose network only pretends to be compiled, and the sizes of the batches that it was given."""
    sizes = []

    def compile(network, **options):
        assert options == {"dynamic": False}
        return lambda x, *given, **named: sizes.append(len(x)) or network(x, *given, **named)

    monkeypatch.setattr(torch, "compile", compile)
    return load_target(saved(), compile=True, rows=48), sizes


def test_a_compiled_network_meets_few_sizes_of_batches(compiled, saved, noisy):
    target, sizes = compiled
    plain = load_target(saved())
    for n in (1, 8, 9, 17, 24, 33, 48, 60):
        x = noisy.repeat(6, 1, 1, 1)[:n]
        assert torch.equal(target.denoise(x, 300).noise, plain.denoise(x, 300).noise)
    assert set(sizes) <= {8, 16, 32, 48} and sizes[-2:] == [48, 16]


def test_what_hooks_see_and_gradients_of_weights_go_around_the_compiled_network(compiled, noisy):
    target, sizes = compiled
    target.features(noisy, 100)
    target.attention(noisy, 100)
    target.gradient_norms(noisy, torch.full((11,), 100), noisy)
    assert not sizes and target._compiled is not target.network


def test_rows_are_chosen_by_the_device_where_nobody_says(saved):
    assert load_target(saved()).batching.rows == 32 and load_target(saved(), rows=5).batching.rows == 5


def test_a_batch_size_that_is_no_multiple_of_eight_fills_up_the_last_part_alone(saved, noisy):
    target, sizes = load_target(saved(), rows=20), []
    predict = target.predict
    target.predict = lambda x, *given: sizes.append(len(x)) or predict(x, *given)
    target.denoise(noisy.repeat(4, 1, 1, 1), 300)
    assert sizes == [16, 16, 16]
