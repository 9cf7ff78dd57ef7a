"""One attack under many settings: what the command line means, and what is left out."""

import json
from importlib.util import find_spec

import pytest

from trainedon.attacks import parse_attacks
from trainedon.attacks.core.execute import run
from trainedon.attacks.drc.drc import DRC
from trainedon.attacks.drc.drc_hide import DRCHide
from trainedon.attacks.shadow.lira import LiRA
from trainedon.attacks.single.sima import SimA
from trainedon.compare import Own, Pixel
from trainedon.degrade import Attention, Center, Diffuse, Full, Hide, Inverted, Random, Several
from trainedon.errors import UserError
from trainedon.restore import Guided, Join, Naive
from trainedon.sweeps.grid import QUESTIONS, plan
from trainedon.sweeps.varied import values

HAVE = ("gradients", "unseen", "labels")
QUICK = "drc-hide(steps=2, restorations=1)"


def sweep(spec="drc-hide", vary=(), questions=(), **given):
    return plan(spec, vary, questions, HAVE, **given)


def settings(*vary, spec="drc-hide", **given):
    (group,) = sweep(spec, vary, **given).groups
    return group.settings


def settings_of(vary):
    (group,) = sweep("drc-hide", vary).groups
    return group.settings


def test_any_number_of_any_attack_can_be_varied():
    made = sweep("sima(p=2)", ["t=50,150"], seed=3)
    assert made.attacks == [SimA(t=50, p=2.0), SimA(t=150, p=2.0)]
    (group,) = made.groups
    assert [one.values for one in group.settings] == [{"t": 50}, {"t": 150}]
    assert (group.varied, group.axis, group.asked) == (("t",), "t", True)


def test_several_give_all_combinations_and_everything_else_stays():
    made = settings("steps=5,10", "restorations=1,3", spec="drc-hide(roi=face, steps=7)", seed=4)
    expected = [DRCHide(roi="face", steps=s, restorations=r, seed=4) for s in (5, 10) for r in (1, 3)]
    assert [one.attack for one in made] == expected
    assert made[1].values == {"steps": 5, "restorations": 3}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.1, 0.25", ["0.1", "0.25"]),
        ("join:resamplings=5,jump=2;naive", ["join:resamplings=5,jump=2", "naive"]),
        ("'join:resamplings=5,jump=2',naive", ["join:resamplings=5,jump=2", "naive"]),
        ("inverted(a,b),face", ["inverted(a,b)", "face"]),
        ("'a;b',c", ["a;b", "c"]),
        ("inverted(a;b)", ["inverted(a", "b)"]),
        ("", [""]),
    ],
)
def test_values_are_parted_at_commas_or_at_semicolons(text, expected):
    assert values(text) == expected


def test_values_with_commas_reach_the_attack():
    made = settings("restorer=join:resamplings=5,jump=2;naive")
    assert [one.attack.restorer for one in made] == [Join(resamplings=5, jump=2), Naive()]
    assert [one.values["restorer"] for one in made] == ["join:resamplings=5,jump=2", "naive"]


def test_a_folder_whose_name_holds_a_quote_is_read(tmp_path):
    folder = tmp_path / "it's, masks"
    folder.mkdir()
    made = settings(f"region=masks:{folder};full")
    assert str(made[0].attack.roi.path) == str(folder) and made[1].attack.roi == Full()


def test_the_mask_ratio_is_that_of_the_region_whatever_is_around_it():
    for roi, expected in (
        ("random", Random(0.1)),
        ("attention:0.5", Attention(0.1)),
        ("inverted(center)", Inverted(Center(0.1))),
        ("center:0.3+random", Several((Center(0.1), Random(0.1)))),
    ):
        (one, _) = settings("mask-ratio=0.1,0.2", spec=f"drc-hide(roi={roi})")
        assert one.attack.roi == expected and one.values == {"mask-ratio": 0.1}


def test_inverted_says_which_way_round():
    for roi in ("center", "inverted(center)"):
        made = settings("inverted=false,true", spec=f"drc-hide(roi={roi})")
        assert [one.attack.roi for one in made] == [Center(), Inverted(Center())]
        assert [one.values["inverted"] for one in made] == [False, True]
    (one,) = settings("inverted=True", spec="drc-hide(roi=center+random)")
    assert one.attack.roi == Several((Inverted(Center()), Inverted(Random())))


def test_region_and_ratio_and_restorer_go_together():
    made = settings("mask-ratio=0.1,0.2", "region=center,random", "scale=1,4")
    assert len(made) == 8
    assert made[3].values == {"mask-ratio": 0.1, "region": "random", "scale": 4.0}
    assert made[3].attack == DRCHide(roi=Random(0.1), restorer=Guided(scale=4.0))
    assert [one.attack.restorer.resamplings for one in settings("resamplings=1,2", spec="drc-hide(restorer=join)")] == [
        1,
        2,
    ]


def test_the_scope_that_the_attack_was_given_goes_with_every_encoder():
    made = settings("encoder=own,own:200", spec="drc-hide(scope=crop)")
    assert [one.attack.encoder for one in made] == [Own(scope="crop"), Own(t=200, scope="crop")]
    assert [one.attack.encoder for one in settings("scope=region,picture")] == [Own(), Own(scope="picture")]


def test_a_path_leads_to_the_parameter_of_a_part():
    made = settings("roi.ratio=0.1,0.2", "restorer.scale=3")
    assert made[1].attack == DRCHide(roi=Center(0.2), restorer=Guided(scale=3.0))
    assert made[1].values == {"roi.ratio": 0.2, "restorer.scale": 3.0}
    (one,) = settings("encoder.t=200", "region.roi.ratio=0.1", spec="drc-hide(roi=inverted(center))")
    assert one.attack == DRCHide(roi=Inverted(Center(0.1)), encoder=Own(t=200))
    (one,) = settings("attack.attack.t=50", spec="flip(repeat(loss))", seed=3)
    assert one.attack.spelled() == "flip(repeat(loss(t=50)))" and one.attack.attack.attack.seed == 3


def test_what_a_chart_has_across():
    assert sweep(vary=["encoder=own,pixel"]).groups[0].axis is None
    assert sweep(vary=["seed=0,1,2"]).groups[0].axis is None
    assert sweep(vary=["inverted=true,false"]).groups[0].axis is None
    assert sweep(vary=["steps=5,10", "mask-ratio=0.1,0.2,0.3"]).groups[0].axis == "mask-ratio"
    assert sweep(vary=["steps=5", "encoder=own,pixel"]).groups[0].axis is None


def test_parts_are_values_as_they_are():
    vary = {
        "roi": [Center(0.1), "full", Several((Center(), Random()))],
        "degradation": [(Hide(), Diffuse(50)), Hide(), "fade:50"],
        "restorations": [1],
    }
    made = sweep("drc@1", vary).groups[0].settings
    assert len(made) == 9 and made[0].attack == DRC(roi=Center(0.1), degradation=(Hide(), Diffuse(50)), restorations=1)
    assert made[0].values == {"roi": "center:0.1", "degradation": "hide+diffuse:50", "restorations": 1}
    assert [one.values["degradation"] for one in made[:3]] == ["hide+diffuse:50", "hide", "fade:50"]
    (one, other) = settings_of({"symmetries": [("mirror",), ()]})
    assert one.attack.symmetries == ("mirror",) and other.attack == DRCHide(symmetries="none")
    (one,) = settings_of({"restorer.scale": [2], "restorer": [Guided(scale=5.0)], "encoder.t": "200"})
    assert one.attack == DRCHide(restorer=Guided(scale=2.0), encoder=Own(t=200))


def test_an_attack_that_is_no_text_is_varied_as_it_is():
    base = DRCHide(roi=Center(0.1), steps=2, scope="crop")
    made = plan(base, {"encoder": ["own", Pixel()]}, ["mask-ratio"])
    assert [one.attack for one in made.groups[0].settings] == [
        DRCHide(roi=Center(0.1), steps=2, encoder=Own(scope="crop")),
        DRCHide(roi=Center(0.1), steps=2, encoder=Pixel(scope="crop")),
    ]
    assert made.base == base
    with pytest.raises(UserError, match="lira needs shadow models"):
        plan(LiRA(), {"seed": [0, 1]}, ())


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ({"roi": [Guided()]}, "drc-hide: roi does not take guided"),
        ({"steps": [Center()]}, "drc-hide: steps does not take center"),
        ({"restorer": [(Guided(), Naive())]}, "drc-hide: restorer does not take guided\\+naive"),
        ({"restorer.scale": [Center()]}, "restorer.scale does not take center"),
        ({"steps": [1.5]}, "steps takes a whole number, not '1.5'"),
        ({"steps": []}, "steps has a value that is empty"),
        ({"roi": [Center(), "center"]}, "names a setting twice: roi=center:0.25 and roi=center are the same"),
    ],
)
def test_objects_that_do_not_fit_are_refused(vary, message):
    with pytest.raises(UserError, match=message):
        settings_of(vary)


@pytest.mark.parametrize(
    ("spec", "vary", "message"),
    [
        (
            "drc-hide",
            ["size=1,2"],
            r"drc-hide has no parameter 'size' to vary: choose from roi, .*, mask-ratio, inverted, eta",
        ),
        ("sima", ["mask-ratio=0.1"], r"sima has no parameter 'mask-ratio' to vary: choose from t, p$"),
        ("drc-hide", ["steps"], "write NAME=V1,V2,..."),
        ("drc-hide", ["steps=5,,6"], "has a value that is empty"),
        ("drc-hide", ["steps="], "has a value that is empty"),
        ("drc-hide", ["steps=5", "steps=6"], "steps is varied twice"),
        ("drc-hide", ["region=full", "roi=center"], "roi is varied twice"),
        ("drc-hide", ["roi=full", "region=center"], "region is varied twice"),
        ("drc-hide", ["steps=5,5"], "names a setting twice: steps=5 and steps=5 are the same"),
        ("drc-hide", ["roi=center,center:0.25"], "names a setting twice: roi=center and roi=center:0.25 are the same"),
        ("drc-hide", ["steps=five"], "steps takes a whole number, not 'five'"),
        ("drc-hide", ["steps=0"], "steps and restorations must be 1 or more"),
        ("drc-hide", ["mask-ratio=half"], "mask-ratio takes a number, not 'half'"),
        ("drc-hide", ["mask-ratio=0.1,nan"], "mask-ratio takes a number, not 'nan'"),
        ("drc-hide(roi=cover)", ["mask-ratio=0.1"], "has no mask ratio: choose attention, face, center or random"),
        ("drc-hide", ["region=full,center", "mask-ratio=0.1"], r"Full\(\) has no mask ratio"),
        ("drc-hide", ["inverted=perhaps"], "inverted is true or false, not 'perhaps'"),
        ("drc-hide(roi=full)", ["inverted=true"], "full leaves nothing to hide"),
        ("drc-hide(restorer=join)", ["scale=1"], "the restorer join has no parameter 'scale': it has eta"),
        ("drc-hide(restorer=join)", ["resamplings=1.5"], "resamplings takes a whole number"),
        ("drc-hide", ["roi.size=1"], "the region center has no parameter 'size': it has ratio"),
        ("drc-hide", ["steps.ratio=1"], "steps of drc-hide has no parameters of its own: vary steps itself"),
        ("drc-hide", ["restored.scale=1"], r"drc-hide has no parameter 'restored' \(did you mean restorer\?\)"),
        ("drc-hide", ["encoder=magic"], "unknown encoder 'magic'"),
        ("drc, loss", ["seed=0"], "a sweep varies one attack, and 'drc, loss' names 2"),
        ("lira", ["seed=0"], "lira needs shadow models"),
        ("drc-hide", ["seed=" + ",".join(map(str, range(201)))], "more than 200 settings"),
        ("drc-hide", [], r"nothing is to be varied: give --vary .* or --question \(mask-ratio, .*, cost, all\)"),
    ],
)
def test_what_cannot_be_varied_is_said(spec, vary, message):
    with pytest.raises(UserError, match=message):
        sweep(spec, vary)


def test_questions_are_refused_where_they_make_no_sense():
    with pytest.raises(UserError, match=r"there is no question 'why': choose from mask-ratio, .*, all"):
        sweep(questions=["why"])
    with pytest.raises(UserError, match="the questions are about drc: vary the parameters of sima"):
        sweep("sima", questions=["all"])


def test_every_question_is_a_group_with_title_and_sentence():
    made = sweep(QUICK, ["steps=3,4"], ["cost", "all"])
    assert [group.title for group in made.groups[1:]] == [question.title for question in QUESTIONS.values()]
    for group in made.groups:
        assert group.title and group.question.endswith("?")
        assert all(set(one.values) == set(group.varied) for one in group.settings)
    axes = {group.title: group.axis for group in made.groups}
    assert axes["Accuracy against cost"] == "passes" and axes["How much to hide"] == "mask-ratio"
    entry = made.entry().told()
    assert json.loads(json.dumps(entry)) == entry
    assert entry["attack"] == "drc-hide(steps=2, restorations=1)"


def test_a_setting_of_two_questions_is_one_attack_and_the_attack_as_given_leads():
    made = sweep(QUICK, ["restorations=2,1"], ["restorer", "mask-ratio"])
    reprs = [repr(attack) for attack in made.attacks]
    assert len(reprs) == len(set(reprs)) == 2 + 6 + 5  # the attack as given is in all three
    assert made.attacks[0] == parse_attacks(QUICK)[0] == DRCHide(steps=2, restorations=1)
    other = sweep(QUICK, ["steps=9,8"])
    assert [attack.steps for attack in other.attacks] == [9, 8]


def test_an_encoder_without_its_package_is_left_out_of_a_question_but_not_of_a_wish(monkeypatch):
    def missing(name, *rest):
        return None if name.startswith("efficientnet") else find_spec(name, *rest)

    monkeypatch.setattr("trainedon.compare.efficientnet.find_spec", missing)
    made = sweep(questions=["encoder"])
    encoders = [one.values["encoder"] for one in made.groups[0].settings]
    assert "own" in encoders and "own+pixel" in encoders
    assert not [name for name in encoders if "efficientnet" in name]
    notes = [note for note in made.notes if "efficientnet" in note]
    assert len(notes) == 2
    assert notes[0].startswith("What to compare with: encoder=efficientnet-lite0 is left out (efficientnet-lite0 needs")
    with pytest.raises(UserError, match="efficientnet-lite0 needs two more packages"):
        sweep(vary=["encoder=own,efficientnet-lite0"])


def test_attention_is_left_out_of_a_question_where_the_model_has_none(target, target_without_attention):
    made = sweep(QUICK, ["region=attention,full"], ["region"])
    assert made.possible(target).entry() == made.entry()
    left = made.possible(target_without_attention)
    assert [len(group.settings) for group in left.groups] == [2, 3]
    (note,) = left.notes
    assert note.startswith(
        "Where to hide: region=attention:0.25 is left out (the model has no self-attention to choose"
    )


def test_an_attack_that_the_model_does_not_allow_is_refused_whatever_is_varied(target_without_attention):
    for roi in ("attention", "inverted(attention)", "center+ranked:2"):
        with pytest.raises(UserError, match="no self-attention"):
            sweep(f"drc-hide(roi={roi}, steps=2)", ["steps=3"]).possible(target_without_attention)


def test_a_question_of_which_nothing_is_left_is_no_group(target, monkeypatch):
    monkeypatch.setattr(type(target), "timesteps", property(lambda self: 4))
    left = sweep(QUICK, ["restorations=1,2"], ["cost"]).possible(target)
    assert [group.title for group in left.groups] == ["restorations"] and len(left.notes) == 12
    with pytest.raises(UserError, match="nothing is left to sweep over: Accuracy against cost: steps=40"):
        sweep(QUICK, (), ["cost"]).possible(target)


def test_more_steps_than_the_model_has_are_left_out_of_a_question(target, monkeypatch):
    monkeypatch.setattr(type(target), "timesteps", property(lambda self: 20))
    left = sweep(QUICK, (), ["cost"]).possible(target)
    assert {one.values["steps"] for one in left.groups[0].settings} == {5, 10, 20}


def test_a_region_without_a_ratio_gives_way_to_the_centre_in_questions_about_the_ratio():
    made = sweep("drc-hide(roi=full, steps=2)", (), ["mask-ratio"])
    assert made.groups[0].settings[0].attack == DRCHide(roi=Center(0.05), steps=2)
    assert made.notes == (
        "How much to hide: the region of drc-hide(roi=full, steps=2) has no ratio, so the centre is hidden instead",
    )


def test_settings_that_differ_in_what_compares_alone_are_restored_once(target, batch_of):
    """Counted at the network itself; the costs that a run records are those of each setting alone."""
    batch, asked = batch_of(5), []
    hook = target.network.register_forward_hook(lambda module, inputs, output: asked.append(len(inputs[0])))
    try:

        def rows(*attacks):
            asked.clear()
            with target.sharing():
                scores = [run(attack, target, batch).scores.tolist() for attack in attacks]
            return sum(asked), scores

        own, pixel = sweep(QUICK, ["encoder=own,pixel"]).attacks
        other = sweep(QUICK, ["steps=3,4"]).attacks[0]
        alone = {repr(one): rows(one) for one in (own, pixel, other)}
        passes, scores = rows(own, pixel)
        assert passes == alone[repr(own)][0], "comparing pixels asks the network nothing more"
        assert scores == [*alone[repr(own)][1], *alone[repr(pixel)][1]]
        assert rows(own, other)[0] > alone[repr(own)][0] + len(batch), "other restorations are not the same"
    finally:
        hook.remove()
