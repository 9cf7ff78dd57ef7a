"""Attacks as the command line writes them."""

import pytest

from trainedon.attacks import DRC, Loss, parse_attacks
from trainedon.compare import Own, SFace
from trainedon.degrade import Attention, Center, Inverted
from trainedon.errors import UserError
from trainedon.restore import Guided


def test_names_parameters_and_seed():
    assert parse_attacks("drc, loss(t=100, draws=2)", seed=4) == [DRC(seed=4), Loss(t=100, draws=2, seed=4)]
    assert parse_attacks("loss(seed=1)", seed=4) == [Loss(seed=1)]
    assert {attack.name for attack in parse_attacks("all")} == {"drc", "loss"}


def test_words_need_no_quotes_and_may_have_parentheses():
    (attack,) = parse_attacks(
        "drc(roi=inverted(center:0.1), restorer='guided:scale=3,eta=0.5', encoder=own:200, steps=5)"
    )
    assert attack.roi == Inverted(Center(0.1))
    assert attack.restorer == Guided(eta=0.5, scale=3.0)
    assert attack.encoder == Own(t=200) and attack.steps == 5


def test_objects_and_texts_make_the_same_attack():
    assert DRC(roi=Attention(0.1), encoder=Own(scope="crop")) == DRC(roi="attention:0.1", encoder="own", scope="crop")
    assert isinstance(DRC(encoder="sface").encoder, SFace)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no attack is named"),
        ("secret", "unknown attack 'secret': choose from"),
        ("loss(t=100", "closing parenthesis"),
        ("loss(time=3)", "has no parameter 'time': it has t, draws"),
        ("loss(t=soon)", "t takes a whole number"),
        ("loss(t=1000)", "t must lie in 0..999"),
        ("loss, loss", "named twice"),
        ("drc(roi=moon)", "region 'moon' is not known"),
        ("drc(restorer=magic)", "unknown restorer 'magic'"),
        ("drc(restorer=guided:power=3)", "has no parameter 'power'"),
        ("drc(pooling=vote)", "pooling 'vote'"),
        ("drc(steps=0)", "steps and restorations must be 1 or more"),
        ("drc(encoder=taste)", "encoder 'taste'"),
    ],
)
def test_what_is_wrong_is_said(text, message):
    with pytest.raises(UserError, match=message.replace("(", r"\(")):
        parse_attacks(text)
