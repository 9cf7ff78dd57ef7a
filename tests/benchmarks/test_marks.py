"""What commands write between two marks of a page leaves the rest of it alone."""

import pytest

from benchmarks.marks import write_between
from trainedon.errors import UserError


def test_only_what_is_between_the_marks_is_replaced(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<a>\n1999\n<b>\nafter <b>\n", "utf-8")
    write_between(page, "<a>", "<b>", "\nnäw\n")
    assert page.read_text("utf-8") == "before\n<a>\nnäw\n<b>\nafter <b>\n"


@pytest.mark.parametrize("text", ["", "<a> alone", "alone <b>", "<b> the wrong way round <a>"])
def test_a_page_without_the_two_marks_is_refused_and_stays(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(UserError, match="has no lines <a> and <b> to write between: add them"):
        write_between(page, "<a>", "<b>", "new")
    assert page.read_text() == text
