"""A network that somebody brings along by `Target.of`: the same network opened in any way gives the same scores."""

import functools
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from torch import nn

from trainedon.attacks import Wrapper, attacks, parse_attacks
from trainedon.attacks.shadow.gsa import GSA
from trainedon.condition import Classes
from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.planning.peak_memory import memory_of
from trainedon.targets import ControlModel, Identity, NoisePath, Target
from trainedon.targets.core.own_noise import edm_levels
from trainedon.targets.core.own_rows import fit_rows, row_need
from trainedon.targets.core.row_memory import SHARE, Memory
from trainedon.targets.networks.footprint import fit_gradients
from trainedon.targets.networks.unet import PixelUNet

SHAPE = (3, 8, 8)
BETAS = torch.linspace(1e-4, 0.02, 1000)
ALPHA_BARS = (1 - BETAS).cumprod(0)
ALPHA, SIGMA = ALPHA_BARS.sqrt(), (1 - ALPHA_BARS).sqrt()
LEVELS = SIGMA / ALPHA  # the noise of x + sigma eps that is that of each step
FEW = ["loss", "pia", "drc-fast"]
ATTACKS = ["loss", "pia", "sima", "secmi", "drc-fast", "drc-latent", "rediffuse(n=1)", "pfami(steps=2)", "rise"]
of = functools.partial(Target.of, shape=SHAPE)
# Scores near zero are differences of larger numbers, whose rounding they keep: rise had 0.0002425 for 0.0002421.
NEAR = {"rtol": 3e-4, "atol": 2e-6}


def column(numbers):
    return numbers.view(-1, 1, 1, 1)


def make_unet(**changes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return tiny.unconditional(**changes).eval()


@pytest.fixture(scope="module")
def unet():
    return make_unet()


def identity():
    return Identity("as diffusers has it", "0" * 64, "pixel UNet2DModel", 0)


@pytest.fixture(scope="module")
def usual(unet):
    """The network as `load_target` opens it."""
    return PixelUNet(identity(), SHAPE, NoisePath.from_scheduler({}), "epsilon", network=unet)


def step_of(levels):
    return (LEVELS.double() - levels.double()[:, None]).abs().argmin(1)


class Others:
    """One network that tells the noise in `ALPHA x + SIGMA eps`, as networks of other kinds would have learnt it."""

    def __init__(self, unet):
        self.unet = unet

    def noise(self, x, t):
        return self.unet(x, t).sample

    def clean(self, x, t):
        return (x - column(SIGMA[t]) * self.noise(x, t)) / column(ALPHA[t])

    def edm(self, x, sigma):
        level = column(sigma)
        return x - level * self.noise(x / (1 + level**2).sqrt(), step_of(sigma))

    def velocity(self, x, t):
        return column(ALPHA[t]) * self.noise(x, t) - column(SIGMA[t]) * self.clean(x, t)

    def flow(self, x, s):
        """Of (1 - s) x + s eps."""
        level = column(s)
        scaled = x / ((1 - level) ** 2 + level**2).sqrt()
        noise = self.noise(scaled, step_of(s / (1 - s)))
        return noise - (x - level * noise) / (1 - level)

    def of_white_and_black(self, x, t):
        """The noise of `ALPHA u + SIGMA / 2 eps`, of pictures u in [0, 1]."""
        return self.noise(2 * x - column(ALPHA[t]), t)

    def clean_of_bytes(self, x, t):
        """The picture in [0, 255] of `ALPHA u + 127.5 SIGMA eps`."""
        return (self.clean(x / 127.5 - column(ALPHA[t]), t) + 1) * 127.5


# name -> the network, and how `Target.of` is told of it
DDPM_LIKE = {
    "index": lambda o: (o.noise, {"betas": BETAS, "prediction": "epsilon"}),
    "named betas": lambda o: (o.noise, {"betas": "linear", "prediction": "epsilon"}),
    "share of T": lambda o: (
        lambda x, t: o.noise(x, (t * 1000).round().long()),
        {"betas": BETAS, "times": "share", "prediction": "epsilon"},
    ),
    "numbers of its own": lambda o: (
        lambda x, t: o.noise(x, t - 1),
        {"betas": BETAS, "times": torch.arange(1, 1001), "prediction": "epsilon"},
    ),
    "clean picture": lambda o: (o.clean, {"betas": BETAS, "prediction": "sample"}),
    "v": lambda o: (o.velocity, {"betas": BETAS, "prediction": "v_prediction"}),
    "score": lambda o: (
        lambda x, t: -o.noise(x, t) / column(SIGMA[t]),
        {"betas": BETAS, "prediction": "score"},
    ),
    "noise levels": lambda o: (o.edm, {"sigmas": LEVELS, "prediction": "sample"}),
    "pixels in [0, 1]": lambda o: (
        o.of_white_and_black,
        {"path": NoisePath(ALPHA, SIGMA / 2), "times": "index", "pixels": (0, 1), "prediction": "epsilon"},
    ),
    "pixels in [0, 255]": lambda o: (
        o.clean_of_bytes,
        {"path": NoisePath(ALPHA, SIGMA * 127.5), "times": "index", "pixels": (0, 255), "prediction": "sample"},
    ),
}

EVERY_ATTACK = ("index", "noise levels", "pixels in [0, 1]")


@pytest.fixture(scope="module")
def scored(usual, batch_of):
    """scored(spec): scores of three pictures by the network as diffusers has it."""
    return functools.cache(lambda spec: parse_attacks(spec)[0].score(usual, batch_of(3, size=8)))


@pytest.mark.parametrize("told", DDPM_LIKE)
def test_the_same_network_told_of_in_any_way_gives_the_same_scores(told, unet, scored, batch_of):
    network, how = DDPM_LIKE[told](Others(unet))
    target = of(network, weights=unet, **how)
    for spec in ATTACKS if told in EVERY_ATTACK else FEW:
        (attack,) = parse_attacks(spec)
        np.testing.assert_allclose(attack.score(target, batch_of(3, size=8)), scored(spec), **NEAR, err_msg=spec)


@pytest.mark.parametrize(
    ("how", "turned"),
    [({"prediction": "flow"}, 1), ({"prediction": "reverse_flow", "times": "1-sigma"}, -1)],
    ids=["noise - picture", "picture - noise, time to the picture"],
)
def test_flow_matching_is_what_it_is_for_networks_of_diffusers(how, turned, unet, batch_of):
    path = NoisePath.from_flow({}, tokens=64)
    usual = PixelUNet(identity(), SHAPE, path, "flow", network=unet)
    steps = path.sigmas  # the network of diffusers is asked with t, this one with its level

    def network(x, times):
        levels = times if turned == 1 else 1 - times
        return turned * unet(x, (levels * 1000).round().long() - 1).sample

    target = of(network, sigmas="flow", weights=unet, **how)
    assert torch.equal(target.path.sigmas, steps)
    for spec in [*FEW, "secmi"]:
        (attack,) = parse_attacks(spec)
        both = [attack.score(one, batch_of(2, size=8)) for one in (usual, target)]
        np.testing.assert_allclose(*both, **NEAR, err_msg=spec)


def test_levels_of_edm_are_near_enough_to_those_of_ddpm(unet, scored, batch_of):
    target = of(Others(unet).edm, sigmas="edm", prediction="sample", weights=unet)
    assert target.timesteps == 1000
    assert edm_levels()[[0, -1]].tolist() == pytest.approx([0.002, 80])
    (attack,) = parse_attacks("loss")
    np.testing.assert_allclose(attack.score(target, batch_of(3, size=8)), scored("loss"), rtol=1e-3)
    # 2.5 % apart at the lowest levels, closer above: eq. 5 of arXiv 2206.00364 with rho = 7
    assert (edm_levels()[1:] / edm_levels()[:-1]).max() < 1.026


def test_a_path_of_another_length_than_one_is_brought_to_one(unet, scored, batch_of):
    """`2 x_t` is the same picture and the same noise."""
    target = of(
        lambda x, t: unet(x / 2, t).sample,
        path=NoisePath(2 * ALPHA, 2 * SIGMA),
        times="index",
        prediction="epsilon",
        weights=unet,
    )
    for spec in ("loss", "pia", "drc-fast"):
        (attack,) = parse_attacks(spec)
        np.testing.assert_allclose(attack.score(target, batch_of(3, size=8)), scored(spec), **NEAR, err_msg=spec)


def test_classes_are_asked_for_by_their_numbers(batch_of):
    unet = make_unet(num_class_embeds=3)
    usual = PixelUNet(identity(), SHAPE, NoisePath.from_scheduler({}), "epsilon", classes=3, network=unet)
    seen = set()

    def network(x, t, labels):
        seen.add((labels.dtype, tuple(labels.shape) == (len(x),)))
        return unet(x, t, class_labels=labels).sample

    target = of(network, betas=BETAS, prediction="epsilon", classes=3, weights=unet)
    plain = batch_of(3, size=8)
    batch = Batch(plain.pixels, plain.sha256, torch.tensor([2, 0, 1]))
    for spec in ("loss", "drc-fast"):
        (attack,) = parse_attacks(spec)
        np.testing.assert_allclose(attack.score(target, batch), attack.score(usual, batch), **NEAR)
    assert seen == {(torch.int64, True)} and target.conditioning == "class"
    x = batch.pixels
    assert not torch.equal(*(target.denoise(x, 9, Classes(torch.full((3,), c))).noise for c in (0, 1)))


def test_a_learned_variance_is_left_out(batch_of):
    unet = make_unet(out_channels=6)
    usual = PixelUNet(identity(), SHAPE, NoisePath.from_scheduler({}), "epsilon", network=unet)
    network = lambda x, t: unet(x, t).sample  # noqa: E731 (as a researcher writes it)
    with pytest.raises(UserError, match=r"answered \[4, 6, 8, 8\], .*\[4, 3, 8, 8\]: .*give learned_sigma=True"):
        of(network, betas=BETAS, prediction="epsilon")
    target = of(network, betas=BETAS, prediction="epsilon", learned_sigma=True, weights=unet)
    (attack,) = parse_attacks("pia")
    both = [attack.score(one, batch_of(2, size=8)) for one in (usual, target)]
    np.testing.assert_allclose(*both, **NEAR)


class Small(nn.Module):
    """Layers of each kind that a trial looks at."""

    def __init__(self, dropout=0.0, normed=False):
        super().__init__()
        self.time = nn.Embedding(1000, 3)
        self.features = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6) if normed else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.leave = nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, x, t):
        h = self.dropout(torch.tanh(self.norm(self.features(x + self.time(t)[:, :, None, None]))))
        return self.leave(h)


@pytest.fixture
def small():
    torch.manual_seed(0)
    return Small()


DDPM = {"betas": BETAS, "prediction": "epsilon"}


@pytest.mark.parametrize(
    ("change", "how", "says"),
    [
        (lambda answer: answer[:, :1], {}, r"answered \[4, 1, 8, 8\], expected is a float32 tensor \[4, 3, 8, 8\]"),
        (
            lambda answer: answer[:, :, ::2],
            {},
            r"x_t float32 \[4, 3, 8, 8\] and t int64 \[4\] from 0 to 999 and answered",
        ),
        (lambda answer: answer.double(), {}, r"answered float64, expected is a float32 .*: end with .float\(\)"),
        (lambda answer: answer.half(), {}, "answered float16"),
        (lambda answer: answer / 0 * 0, {}, "answers NaN or infinity to noise at step 0, 250, 750, 999"),
        (lambda answer: (answer, None), {}, "answered a value of type tuple, .*: return its first part"),
        (
            lambda answer: SimpleNamespace(sample=answer),
            {},
            "answered a value of type SimpleNamespace, .*: return its .sample",
        ),
        (lambda answer: answer.detach().numpy(), {}, "answered a value of type ndarray"),
        (lambda answer: None, {}, "answered a value of type NoneType"),
        (lambda answer: answer + torch.randn(1), {}, "answers the same differently the second time"),
        (lambda answer: answer * 0, {}, "answers the same whatever noise, t and labels it is given"),
        (lambda answer: answer * 0 + 1, {"pixels": (0, 1)}, "answers the same whatever noise"),
        (lambda answer: answer - answer.mean(0), {}, "answers one row by the rows beside it"),
        (
            lambda answer: answer,
            {"times": "share"},
            r"test_own_network.py, line \d+, in forward: RuntimeError: .*indices",
        ),
        (lambda answer: answer, {"learned_sigma": True}, r"expected is a float32 tensor \[4, 6, 8, 8\]: leave out"),
        (lambda answer: answer, {"classes": 2}, "TypeError: .*; it was given .* and labels int64"),
        (lambda answer: answer[9], {}, r"in <lambda>: IndexError"),
    ],
)
def test_one_trial_finds_mistakes_before_any_picture(change, how, says, small):
    def network(x, t):
        return change(small(x, t))

    with pytest.raises(UserError, match=f"^network .*{says}"):
        of(network, **DDPM | how)


def test_weights_of_another_type_than_the_pictures_are_told(small):
    with pytest.raises(UserError, match=r"Small fails .*and its weights are float16: give network.float\(\)$"):
        of(small.half(), **DDPM)


@pytest.mark.parametrize("told", [lambda t: t[:1], lambda t: t.float().mean().long()[None], lambda t: t.max()[None]])
def test_a_network_with_one_time_for_all_rows_is_refused(told, small):
    with pytest.raises(UserError, match=r"by the rows beside it \(.*one t for all rows\?\)"):
        of(lambda x, t: small(x, told(t).expand(len(t))), weights=small, **DDPM)


def test_a_module_is_asked_as_in_use_and_not_as_in_training():
    torch.manual_seed(0)
    for network in (Small(dropout=0.5), Small(normed=True)):
        assert network.training
        of(network, **DDPM)
        assert not network.training
        network.train()
        with pytest.raises(UserError, match=r"(second time|beside it).*call .eval\(\) on it"):
            of(lambda x, t, network=network: network(x, t), **DDPM)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({}, "said in one way: give betas, sigmas or path"),
        ({"betas": BETAS, "sigmas": "edm"}, "said in one way"),
        ({"betas": "cosine"}, "betas 'cosine' are not known: one of linear, scaled_linear, squaredcos_cap_v2, sigmoid"),
        ({"betas": 1 - BETAS}, "these look like alphas, give betas"),
        ({"betas": BETAS, "name": 3}, "name 3: give a text"),
        ({"betas": BETAS, "layer": 3}, "layer 3: give the name"),
        ({"betas": BETAS, "device": "nonsense"}, "device 'nonsense' cannot be used here"),
        ({"betas": BETAS, "device": "meta"}, "device 'meta' cannot be used here"),
        ({"betas": [0.1, 2.0]}, "above 0, and at most 1"),
        ({"betas": [0.1, float("nan")]}, "betas hold numbers that are not finite"),
        ({"betas": [[0.1]]}, r"shape \(1, 1\): give one number for each"),
        ({"betas": ["a", "b"]}, "betas are no numbers"),
        ({"sigmas": "vp"}, "sigmas 'vp' is not known: one of edm, flow"),
        ({"sigmas": [3.0, 1.0]}, "numbers above 0 that grow"),
        ({"path": "linear"}, "path is of type str: give trainedon.targets.NoisePath"),
        ({"betas": BETAS, "times": "seconds"}, "times 'seconds' is not known: one of index, share, sigma, 1-sigma"),
        ({"betas": BETAS, "times": [1, 2]}, "times has 2 numbers for 1,000 steps"),
        ({"betas": BETAS, "prediction": "eps"}, "prediction 'eps' is not known: one of epsilon, sample"),
        ({"betas": BETAS, "prediction": "flow"}, 'flow is of paths with alpha . sigma = 1: give sigmas="flow"'),
        ({"sigmas": "edm", "prediction": "v_prediction"}, "v_prediction is of paths with"),
        ({"betas": BETAS, "pixels": (1, 0)}, "the first number is that of black"),
        ({"betas": BETAS, "pixels": "bytes"}, "no range: give"),
        ({"betas": BETAS, "shape": (4, 8, 8)}, "1 or 3 channels"),
        ({"betas": BETAS, "classes": 0}, "classes 0: give how many"),
        ({"betas": BETAS, "rows": 0}, "rows 0"),
        ({"betas": BETAS, "layer": "middle"}, "no layer 'middle': it has time, features, norm, dropout, leave"),
        ({"betas": BETAS, "layer": "time"}, "layer 'time' is no map of features"),
        ({"betas": BETAS, "weights": [3]}, "weights: int cannot be hashed"),
        ({"betas": BETAS, "weights": "not-there.pt"}, "not-there.pt cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_refused(how, says, small):
    with pytest.raises(UserError, match=says):
        Target.of(small, **{"shape": SHAPE, "prediction": "epsilon"} | how)
    with pytest.raises(UserError, match="the network is of type str: give what is called"):
        of("model", **DDPM)


def test_the_digest_is_that_of_the_weights_and_of_how_they_are_asked(small, tmp_path):
    digest = of(small, **DDPM).identity.digest
    assert of(small, **DDPM).identity.digest == digest
    assert of(lambda x, t: small(x, t), weights=small, **DDPM).identity.digest == digest
    assert of(small.forward, **DDPM).identity.digest == digest  # a method of the module
    others = [DDPM | {"pixels": (0, 1)}, DDPM | {"times": torch.arange(1000).flip(0)}, DDPM | {"betas": BETAS / 2}]
    others += [DDPM | {"prediction": "sample"}]
    found = {of(small, **how).identity.digest for how in others}
    with torch.no_grad():
        small.leave.bias += 1e-3
    found.add(of(small, **DDPM).identity.digest)
    file = tmp_path / "weights.bin"
    file.write_bytes(b"1")
    found.add(of(small, weights=file, **DDPM).identity.digest)
    file.write_bytes(b"2")
    found.add(of(small, weights=file, **DDPM).identity.digest)
    assert len(found | {digest}) == 8


def test_of_a_plain_function_no_digest_is_known(small):
    both = [of(lambda x, t: small(x, t), **DDPM).identity for _ in range(2)]
    assert both[0].digest != both[1].digest
    assert not both[0].own_code.hashed and of(small, **DDPM).identity.own_code.hashed
    assert of(small, **DDPM).identity.own_code.asked == "own betas; t as index; answers epsilon; pictures in [-1, 1]"


def test_weights_that_no_digest_would_tell_of_do_not_count_as_hashed(small):
    class Hiding(nn.Module):
        def forward(self, x, t):
            return small(x, t)

    def scaled(x, t, how):
        return small(x, t)

    unknown = [Hiding(), functools.partial(small, **{}), functools.partial(scaled, how=3)]
    assert [of(one, **DDPM).identity.own_code.hashed for one in unknown] == [False, True, False]
    one, two, three = (
        of(functools.partial(scaled, how=how), weights=small, **DDPM).identity for how in (1, 2, torch.ones(1))
    )
    assert len({one.digest, two.digest, three.digest}) == 3 and all(each.own_code.hashed for each in (one, two, three))
    assert not of(functools.partial(scaled, how=[1]), weights=small, **DDPM).identity.own_code.hashed


def test_weights_are_given_in_any_form_that_holds_some(small):
    def network(x, t):
        return small(x, t)

    state = small.state_dict()
    parameters = small.parameters()
    for weights in (state, parameters, [torch.eye(2).to_sparse()]):
        assert of(network, weights=weights, **DDPM).identity.own_code.hashed
    for nothing in (nn.Identity(), parameters, [], {}):
        with pytest.raises(UserError, match="weights hold no tensor: give the modules"):
            of(network, weights=nothing, **DDPM)
    with pytest.raises(UserError, match="the numbers of a tensor cannot be read"):
        of(network, weights=torch.ones(2, device="meta"), **DDPM)


def test_weights_that_change_before_a_run_are_reckoned_again(small):
    target = of(small, **DDPM)
    before = target.identity
    target.kept["prepared"] = 1
    assert target.renew() == before and target.kept
    small.train()
    with torch.no_grad():
        small.leave.bias += 1
    assert target.renew().digest == of(small, **DDPM).identity.digest != before.digest
    assert not small.training and not target.kept
    unknown = of(lambda x, t: small(x, t), **DDPM)
    assert unknown.identity.digest != unknown.renew().digest


class Detached(Small):
    @torch.no_grad()
    def forward(self, x, t):
        return super().forward(x, t)


def through_numpy(x, t):
    return torch.from_numpy(x.numpy() / 2)


@pytest.mark.parametrize("network", [Detached(), through_numpy], ids=["no_grad", "NumPy"])
def test_a_network_without_gradients_is_no_help_to_attacks_that_follow_them(network, batch_of):
    target = of(network, **DDPM)
    for spec in ("curvature", "drc-hide(encoder=pixel, steps=2)"):
        with pytest.raises(UserError, match=r"differentiates the network, and the answers of \w+ have no gradients"):
            parse_attacks(spec)[0].check(target)
    for spec in ("loss", "drc-fast", "drc-hide(encoder=pixel, steps=2, restorer=join)"):
        (attack,) = parse_attacks(spec)
        attack.check(target)
        assert np.isfinite(attack.score(target, batch_of(2, size=8))).all()


def test_what_is_lacking_is_said_before_anything_is_scored(small):
    target = of(small, **DDPM)
    for spec in ("drc-hide", "drc(encoder=own)", "drc(encoder=ssim+own)", "symmetric(drc-hide)"):
        with pytest.raises(UserError, match="Small shows no features of its network: choose another encoder"):
            parse_attacks(spec)[0].check(target)
    with pytest.raises(UserError, match="no self-attention"):
        parse_attacks("drc-hide(roi=attention:0.3, encoder=pixel)")[0].check(target)
    with pytest.raises(UserError, match="Small gives no gradients of its weights: leave out gsa"):
        GSA().check(target)
    assert target.evaluations.forward == 0


CHEAP = {"gan-leaks": "gan-leaks(samples=3, steps=2)", "drc": "drc(degradation=diffuse:100, restorations=1)"}


def test_every_attack_works_or_says_beforehand_what_it_lacks(small, batch_of, tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINEDON_CACHE", str(tmp_path))
    lacking, target = set(), of(small, **DDPM)
    given = ["unseen", "labels", "gradients", "shadows", "reference", "control", "captions", "classes"]
    for name, kind in attacks().items():
        text = f"{name}(loss)" if issubclass(kind, Wrapper) else CHEAP.get(name, name)
        (attack,) = parse_attacks(text, given)
        try:
            attack.check(target)
        except UserError:
            lacking.add(name)
            continue
        if not attack.learns:  # from what others here observe
            assert np.isfinite(attack.score(target, batch_of(2, size=8))).all(), name
    assert not [*tmp_path.rglob("*")], "samples of gan-leaks are not kept, as the digest does not cover the code"
    assert lacking == {
        *("drc-hide", "drc-paper", "clid", "class-discrepancy"),  # features, attention, captions, classes
        "drc-paint@2",  # pictures of more than a tile
        *("gsa", "lira", "rmia", "calibrated", "on-control", "recaptioned"),  # models beside it, captions
        "pullback",  # latents
    }


def test_features_are_those_of_the_layer_that_is_named(small, batch_of):
    target = of(small, layer="features", **DDPM)
    x = batch_of(11, size=8).pixels
    (attack,) = parse_attacks("drc-hide(steps=2, restorations=1)")
    with target.counted() as spent:
        found = target.features(x, 100)
    alpha = target.path.alphas[100]
    with torch.no_grad():
        due = small.features(alpha * x + small.time(torch.tensor(100))[None, :, None, None])
    torch.testing.assert_close(found, due)
    assert spent.forward == 11 and np.isfinite(attack.score(target, batch_of(2, size=8))).all()


def test_errors_while_it_is_scored_are_told_as_hers(small, batch_of):
    """Such as a device that goes, or a limit that the trial did not meet."""

    def network(x, t):
        if len(x) > 4:
            raise ValueError("at most four")
        return small(x, t)

    target = of(network, **DDPM)
    with pytest.raises(
        UserError, match=r"network fails \(test_own_network.py, line \d+, in network: ValueError: at most"
    ):
        parse_attacks("loss")[0].score(target, batch_of(5, size=8))


def test_rows_follow_from_what_one_takes_which_is_measured(small):
    """Of code that looks at numbers, too, which shapes alone could not follow."""

    def network(x, t):
        return small(x, t) * (2.0 if float(x.abs().max()) > 0 else 1.0)

    target = of(network, weights=small, **DDPM)
    need, back = row_need(target), row_need(target, gradients=True)
    assert 6 * 8 * 8 * 4 < need.row < back.row < 100 * 6 * 8 * 8 * 4, "a map of features, and what goes with it"
    assert target.batching.rows == 32 and target.evaluations.forward == 0
    fit_rows(target, Memory(int(5.5 * need.row / SHARE)))
    assert target.batching.rows == 5 and target.batching.unit == 4
    fit_gradients(target, Memory(int(2.5 * back.row / SHARE)))
    assert target.batching.rows == 2 and target.batching.there_and_back
    with pytest.raises(UserError, match=r"network: a single row takes .* GiB beside the weights"):
        fit_rows(target, Memory(need.row))
    found = memory_of(target, memory=Memory(10**9))
    assert found.weights == {"network": sum(one.nbytes for one in small.parameters())}
    assert found.peak == found.weights["network"] + 2 * need.row and found.warning is None
    assert memory_of(of(network, **DDPM), memory=Memory(10**9)).weights == {}, "of a function they are not known"


def test_memory_that_runs_out_is_met_with_fewer_rows(small, batch_of):
    def network(x, t):
        if len(x) > 16:
            raise torch.OutOfMemoryError("no more")
        return small(x, t)

    target = of(network, rows=64, **DDPM)
    (attack,) = parse_attacks("loss")
    np.testing.assert_allclose(
        attack.score(target, batch_of(40, size=8)), attack.score(of(small, **DDPM), batch_of(40, size=8)), rtol=1e-5
    )
    assert target.batching.rows == 16


def test_a_control_model_may_lie_beside_it(small, other, batch_of):
    control = ControlModel.open(other)
    target = Target.of(small, **DDPM | {"shape": (3, 16, 16)})
    control.check(target)
    assert control.target(target).picture == (3, 16, 16)
