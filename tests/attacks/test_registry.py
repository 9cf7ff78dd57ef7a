"""Attacks as the command line writes them."""

import re
import shutil

import pytest

from trainedon.attacks import DRC, Attack, Loss, attacks, parse_attacks
from trainedon.attacks.drc.drc_2 import DRC2
from trainedon.attacks.single.pia import PIA
from trainedon.attacks.wrappers.flip import Flip
from trainedon.attacks.wrappers.fremia import FreMIA
from trainedon.attacks.wrappers.repeat import Repeat
from trainedon.attacks.wrappers.timesteps import Timesteps
from trainedon.compare import EfficientNetLite0, Own, SFace
from trainedon.degrade import Attention, Center, Face, Inverted
from trainedon.errors import UserError
from trainedon.restore import Guided
from trainedon.targets import Shadows


def test_names_parameters_and_seed():
    assert parse_attacks("drc@1, loss(t=100, draws=2)", seed=4) == [DRC(seed=4), Loss(t=100, draws=2, seed=4)]
    assert parse_attacks("loss(seed=1)", seed=4) == [Loss(seed=1)]


def test_words_need_no_quotes_and_may_have_parentheses():
    (attack,) = parse_attacks(
        "drc-hide(roi=inverted(center:0.1), restorer='guided:scale=3,eta=0.5', encoder=own:200, steps=5)"
    )
    assert attack.roi == Inverted(Center(0.1))
    assert attack.restorer == Guided(eta=0.5, scale=3.0)
    assert attack.encoder == Own(t=200) and attack.steps == 5


def test_objects_and_texts_make_the_same_attack():
    assert DRC(roi=Attention(0.1), encoder=Own(scope="crop")) == DRC(roi="attention:0.1", encoder="own", scope="crop")
    assert DRC(encoder=Own(), scope="crop") == DRC(encoder=Own(scope="crop"))
    assert isinstance(DRC(encoder="sface").encoder, SFace)
    (attack,) = parse_attacks("drc@1(roi=inverted(face(0.25)), restorer=guided(scale=3), symmetries=none)")
    assert attack == DRC(roi=Inverted(Face(0.25)), restorer=Guided(scale=3.0), symmetries=())
    (attack,) = parse_attacks("fremia(attack=pia(t=100))")
    assert attack == FreMIA(PIA(t=100))


PLAIN = {
    "class-discrepancy",
    "curvature",
    "drc-fast",
    "drc-hide",
    "drc-latent",
    "drc-paper",
    "fremia",
    "gan-leaks",
    "loss",
    "noise-aggregation",
    "pfami",
    "pia",
    "pian",
    "rediffuse",
    "rise",
    "secmi",
    "sima",
}
DRC_VERSIONS = {"drc@1", "drc@2", "drc-paint@1", "drc-paint@2"}  # of which `all` has the recommended one
UNSEEN = {"clid", "complexity", "quantile", "rank-average"}
SHADOWS = {"gsa", "lira", "rmia"}
LABELS = {"logistic", "secmi-nn"}
AROUND_ANOTHER = {"calibrated", "flip", "on-control", "turned", "recaptioned", "repeat", "symmetric", "timesteps"}
AROUND_ANOTHER |= {"same-noise", "pullback"}


def names(text, *options, **given):
    return {attack.name for attack in parse_attacks(text, *options, **given)}


def test_all_is_what_needs_no_helper_and_what_has_the_helper_that_it_needs(shadow_folders):
    plain = PLAIN | {*Attack.noun.recommended.values()}
    assert set(attacks()) == PLAIN | DRC_VERSIONS | UNSEEN | SHADOWS | LABELS | AROUND_ANOTHER
    assert names("all") == plain | UNSEEN
    assert names("all", ("gradients", "classes")) == plain
    assert names("all", ("gradients",)) == plain - {"class-discrepancy"}
    assert names("all", shadows=Shadows.open(shadow_folders["rgb"])) == plain | UNSEEN | SHADOWS
    assert names("all, secmi-nn") == plain | UNSEEN | {"secmi-nn"}


def test_a_default_encoder_whose_package_is_missing_is_refused_only_when_it_is_used(monkeypatch, target):
    def missing(_similarity):
        raise UserError("efficientnet is not installed")

    monkeypatch.setattr(EfficientNetLite0, "check_installed", missing)
    assert "drc-paper" in names("all")
    (paper,) = parse_attacks("drc-paper")
    with pytest.raises(UserError, match="not installed"):
        paper.check(target)
    with pytest.raises(UserError, match="not installed"):
        parse_attacks("drc(encoder=efficientnet-lite0)")


def test_a_plain_name_means_the_recommended_version_and_is_written_with_it():
    for text, rest in (("drc{}", ""), ("drc{}(steps=2)", "(steps=2)"), ("flip(drc{})", None)):
        (plain,) = parse_attacks(text.format(""))
        (said,) = parse_attacks(text.format(Attack.noun.recommended["drc"].removeprefix("drc")))
        assert plain == said and "drc@" in plain.spelled()
        assert parse_attacks(plain.spelled()) == [plain]
        assert rest is None or plain.spelled() == Attack.noun.recommended["drc"] + rest
    with pytest.raises(UserError, match=r"unknown attack 'drc@3' \(did you mean drc"):
        parse_attacks("drc@3")
    with pytest.raises(UserError, match="named twice"):
        parse_attacks(f"drc, {Attack.noun.recommended['drc']}")


def test_the_first_version_is_what_drc_was_and_lies_in_files_under_its_plain_name():
    """Runs of before versions hold this text and this name; shards are found by both."""
    (first,) = parse_attacks("drc@1")
    noised = ", ".join(f"Diffuse(t={t})" for t in (50, 100, 150, 200, 250, 300))
    assert repr(first) == (
        f"DRC(roi=Full(), degradation=({noised}), restorer=Join(eta=1.0, resamplings=1, jump=1), steps=1, "
        "restorations=8, encoder=Pixel(scope='region'), scope=None, pooling='mean-log', "
        "symmetries=('mirror', 'upside-down', 'half-turn'), seed=0, share=1.0, settle=0.0, pivot=0.0)"
    )
    assert (first.name, first.filed) == ("drc@1", "drc")
    assert all(one.filed == one.name for one in parse_attacks("drc@2, drc-fast, loss, flip(drc@1)"))


def test_attacks_stand_inside_others():
    assert parse_attacks("fremia(pia(t=50)), repeat(loss(t=50), n=2)", seed=3) == [
        FreMIA(PIA(t=50)),
        Repeat(Loss(t=50, seed=3), n=2),
    ]
    (attack,) = parse_attacks("flip(timesteps(loss(draws=2), t=100+200))", seed=3)
    assert attack == Flip(Timesteps(Loss(draws=2, seed=3), t=(100, 200)))
    assert attack.spelled() == "flip(timesteps(loss(draws=2), t=100+200))"
    for text in (
        *("symmetric(pia)", "symmetric(pia, symmetries=mirror)", "timesteps(pia)", "repeat(loss)"),
        *("drc@1(symmetries=none)", "drc@1(symmetries=mirror+half-turn)"),
    ):
        assert [attack.spelled() for attack in parse_attacks(text)] == [text]


def test_needs_are_checked_when_attacks_are_named():
    with pytest.raises(UserError, match="gsa needs shadow models: give --shadows DIR"):
        parse_attacks("gsa")
    with pytest.raises(UserError, match="calibrated needs a reference model"):
        parse_attacks("calibrated(loss)")
    with pytest.raises(UserError, match="needs shadow models"):
        parse_attacks("flip(lira)")
    with pytest.raises(UserError, match="secmi-nn needs pictures whose membership is known"):
        parse_attacks("secmi-nn", ("gradients", "unseen"))
    with pytest.raises(UserError, match="quantile needs unseen pictures: give --unseen DIR"):
        parse_attacks("quantile", ("gradients",))


def test_a_reference_is_known_by_its_digest_not_by_its_place(target_folders, tmp_path):
    shutil.copytree(target_folders["epsilon"], tmp_path / "elsewhere")
    here, there = (
        parse_attacks(f"calibrated(loss, reference={folder})")
        for folder in (target_folders["epsilon"], tmp_path / "elsewhere")
    )
    assert here == there and repr(here) == repr(there) and "elsewhere" not in repr(there)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no attack is named"),
        ("secret", "unknown attack 'secret': choose from"),
        ("loss(t=100", "closing parenthesis"),
        ("loss(t=100)x", "'x' stands after the closing parenthesis"),
        ("loss(t=100, t=200)", "loss: t is given twice"),
        ("loss(t)", "loss: t has no value: write t=VALUE"),
        ("loss(t=100) pia", "'pia' stands after the closing parenthesis: take it away, or put a comma between"),
        ("pia(p=nan)", "pia: p takes a number, not 'nan'"),
        ("loss(time=3)", "has no parameter 'time': it has t, draws"),
        ("loss(t=soon)", "t takes a whole number"),
        ("loss(t=1000)", "t must lie in 0..999"),
        ("loss, loss", "loss is named twice: leave one out"),
        ("all, loss", "loss is named twice, once by a name that stands for several: leave one out"),
        ("loss(pia)", "has no parameter 'pia': it has t, draws"),
        ("repeat", "name it, such as repeat(pia)"),
        ("repeat(loss, pia)", "works on one attack, not on 2"),
        ("repeat(pia)", "pia has no parameter seed"),
        ("timesteps(loss, t=soon)", "whole numbers joined by"),
        ("timesteps(loss, t=10+2000)", "t must lie in 0..999"),
        ("fremia(drc)", "nothing to filter"),
        ("calibrated(loss, reference=nowhere)", "nowhere does not exist"),
        ("gsa(shadows=nowhere)", "no finished shadow models"),
        ("drc-hide(roi=moon)", "unknown region 'moon'"),
        ("drc-hide(restorer=magic)", "unknown restorer 'magic'"),
        ("drc-hide(restorer=guided:power=3)", "has no parameter 'power'"),
        ("drc-hide(pooling=vote)", "pooling 'vote'"),
        ("drc-hide(steps=0)", "steps and restorations must be 1 or more"),
        ("drc-hide(encoder=taste)", "unknown encoder 'taste'"),
    ],
)
def test_what_is_wrong_is_said(text, message):
    with pytest.raises(UserError, match=re.escape(message)):
        parse_attacks(text)


def test_a_seed_reaches_the_attacks_that_others_have_inside_by_default():
    for spec in ("rank-average", "logistic", "quantile"):
        (fused,) = parse_attacks(spec, seed=7)
        inside = fused.runs() if spec == "quantile" else fused.attacks
        assert {attack.seed for attack in inside if hasattr(attack, "seed")} == {7}
    everything = {attack.name: attack for attack in parse_attacks("all", seed=7)}
    assert DRC2(seed=7) in everything["rank-average"].attacks


@pytest.mark.parametrize(
    ("spec", "shown_as", "relative_to"),
    [
        ("drc@1", "noised", "self"),
        ("drc@2", "noised", "self"),
        ("drc-latent", "noised", "self"),
        ("drc-hide", "hidden", None),
        ("drc-hide(symmetries=mirror)", "hidden", "self"),
        ("drc(symmetries=none, degradation=hide+diffuse:100)", "noised", None),
        ("loss", None, None),
        ("symmetric(loss)", None, "self"),
        ("flip(symmetric(loss))", None, "self"),
    ],
)
def test_an_attack_declares_what_is_shown_of_it_and_what_its_score_is_relative_to(spec, shown_as, relative_to):
    (attack,) = parse_attacks(spec)
    assert (attack.shown_as, attack.relative_to) == (shown_as, relative_to)


@pytest.mark.parametrize(
    ("spec", "identity"),
    [
        ("loss(t=100)", "Loss(t=100, draws=1, seed=0)"),
        ("timesteps(pia, t=50+100)", "Timesteps(attack=PIA(t=200, p=4.0), t=(50, 100))"),
        ("clid(t=440+450)", "CLiD(t=(440, 450), a=0.9, seed=0)"),
        ("symmetric(pia, symmetries=all)", "symmetries=('mirror', 'upside-down', 'half-turn'))"),
        ("drc@1(roi=face:0.3)", "DRC(roi=Face(ratio=0.3), degradation=(Diffuse(t=50), Diffuse(t=100), "),
        ("drc@1(roi='attention:0.2:C:/dino')", "roi=Attention(ratio=0.2, source='C:/dino', t=100), "),
        ("drc@1(roi=quadrants)", "roi=Several(rois=(Quadrant(k=0), Quadrant(k=1), Quadrant(k=2), Quadrant(k=3))), "),
        ("drc@1(roi=inverted(ranked:1))", "roi=Inverted(roi=Several(rois=(Ranked(rank=0, n=4, t=100),))), "),
        ("drc@1(roi=tiles:1)", "roi=Several(rois=(Tile(k=0, n=1),)), "),
        ("drc@1(degradation=hide+blur:2)", "degradation=(Hide(), Blur(sigma=2.0)), "),
        (
            "drc@1(restorer='guided:scale=3,until=0.5')",
            "restorer=Guided(eta=1.0, paste=1, since=0.0, until=0.5, ",
        ),
        (
            "drc@1(encoder=own:200:mid_block, scope=crop)",
            "encoder=Own(layer='mid_block', t=200, scope='crop'), ",
        ),
        ("drc@1(encoder=own+pixel)", "encoder=Ensemble(members=(Own(layer=None, t=100, scope='region'), Pixel("),
        ("drc@1(encoder=clip:owner/name)", "encoder=Clip(source='owner/name', scope='picture'), "),
    ],
)
def test_the_identity_of_a_setting_is_the_one_that_runs_of_version_0_1_0_have(spec, identity):
    (attack,) = parse_attacks(spec)
    assert identity in repr(attack)


@pytest.mark.parametrize(
    ("attack", "parameter", "choices"),
    [
        ("rise", "move", ["fade", "noise", "smooth"]),
        ("loss", "t", None),
        ("recaptioned", "text", None),
        ("symmetric", "symmetries", ["all", "half-turn", "mirror", "upside-down"]),
    ],
)
def test_what_may_stand_for_a_parameter_is_listed_where_it_is_one_of_a_few(attack, parameter, choices):
    from trainedon.cli.catalogue import card

    (found,) = [one for one in card(attack).parameters if one.name == parameter]
    assert found.choices == choices
