"""The network in half precision, and compiled."""

import pytest
import torch

from trainedon.attacks import parse_attacks
from trainedon.attacks.core.execute import run
from trainedon.attacks.single.gan_leaks import samples_folder
from trainedon.errors import UserError
from trainedon.targets import Reference, Symmetric, load_target
from trainedon.targets.networks.attending import attentions


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
