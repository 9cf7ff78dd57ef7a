"""Which attacks a run is made of."""

import pytest

from trainedon.api.choosing import Means, against_view, chosen, lead_of, possible
from trainedon.attacks import DRC, Attack, Loss, parse_attacks
from trainedon.errors import UserError
from trainedon.targets import load_target

AUDIT = Means("audit", ("suspect", "unseen"), seed=3)


def test_texts_and_attacks_go_together_in_a_list():
    assert chosen(["drc", Loss(t=50), "sima, pia"], AUDIT) == [
        *parse_attacks("drc", seed=3),
        Loss(t=50),
        *parse_attacks("sima, pia", seed=3),
    ]
    assert chosen(("drc", "loss"), AUDIT) == chosen("drc, loss", AUDIT)
    assert chosen(["loss(t=100)", "cdi"], AUDIT) == chosen("loss(t=100), cdi", AUDIT), "a group repeats nothing"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ([], "no attack is given"),
        (["drc", 3], "3 is no attack: give texts such as 'drc', or attacks"),
        (["loss", "loss"], "is given twice"),
        (["drc", "rmia"], "rmia needs shadow models"),
        (["magic"], "unknown attack 'magic'"),
        ("drc-set(seed=3)", "drc-set stands for several attacks: name it by itself"),
        ("symmetric(cdi)", "cdi stands for several attacks: name it by itself"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(asked, says):
    with pytest.raises(UserError, match=says):
        chosen(asked, AUDIT)


def test_on_a_model_in_latents_drc_is_the_one_for_latents_and_that_is_said(target_folders, caplog):
    pixels, latents = load_target(target_folders["epsilon"]), load_target(target_folders["latent, KL"])
    asked = "drc, loss, drc(restorations=1, encoder=own, scope=crop), flip(drc), rank-average(drc, pia), drc-latent"
    named = chosen(asked, AUDIT)
    assert possible(named, asked, pixels) == named and not caplog.text
    own = "drc(restorations=1, encoder=own, scope=crop)"  # which stays as it was said
    expected = chosen(f"drc-latent, loss, {own}, flip(drc-latent), rank-average(drc-latent, pia)", AUDIT)
    assert possible(named, asked, latents) == expected
    assert "which works in latents, drc@2 is drc-latent" in caplog.text
    assert [[one.spelled() for one in against_view(None, target, "mirror")[0]] for target in (pixels, latents)] == [
        ["drc@2(symmetries=mirror)"],
        ["drc-latent(symmetries=mirror, share=1.0)"],
    ]
    first = chosen("drc@1, drc-fast", AUDIT)
    assert possible(first, "drc@1, drc-fast", latents) == first


def test_cdi_leads_where_it_is_named_first():
    for asked in ("cdi", " cdi, drc", ["cdi", DRC()], ["cdi"]):
        assert lead_of(asked, unseen=True) == "cdi"
        with pytest.raises(UserError, match="cdi compares with unseen pictures"):
            lead_of(asked, unseen=False)
    for asked in ("drc, cdi", "cdi-mine", "cdi-mine(t=3), cdi", [DRC(), "cdi"], DRC(), []):
        assert lead_of(asked, unseen=True) == "first"


def test_drc_set_leads_where_there_are_unseen_pictures():
    assert lead_of("drc-set", unseen=True) == "cdi" == lead_of(["drc-set, pia", DRC()], unseen=True)
    assert lead_of("drc, drc-set", unseen=True) == "first"
    for view in (None, "mirror"):
        with pytest.raises(UserError, match="drc-set weighs two views against unseen pictures"):
            lead_of("drc-set", unseen=False, view=view)
    mirror, half_turn = chosen("drc-set", AUDIT)
    assert (mirror.symmetries, half_turn.symmetries) == (("mirror",), ("half-turn",))
    assert mirror.restoring == half_turn.restoring and mirror.seed == 3, "which they have in common in a run"


def test_a_need_that_there_is_not_is_refused_where_it_is_declared():
    with pytest.raises(TypeError, match=r"Odd.needs: \{'gradient'\} is none of gradients, unseen"):

        class Odd(Attack):
            needs = ("gradient",)


def test_every_need_has_a_remedy():
    with pytest.raises(UserError, match="curvature needs gradients of the network"):
        parse_attacks("curvature", have=())
