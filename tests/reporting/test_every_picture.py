"""The table of every picture: its rows, its anchors, what is beside the page, and its bounds."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pytest

from trainedon.reporting import picture_rows, render

NASTY = '"><script>alert(1)</script><img src=x onerror=alert(1)>\' data-x="1.png'


def lines(html):
    """The text of the rows of the table, in order."""
    inside = re.search(r'<table class="every".*?<tbody>(.*?)</tbody>', html, re.DOTALL)[1]
    rows = re.findall(r"<tr.*?</tr>", inside, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]*>", " ", row).split()) for row in rows]


def written(build):
    return render(build.write()).read_text("utf-8")


def test_every_picture_has_a_row_whether_it_is_shown_or_not(audit, page):
    audit.score("silent.png", "suspect", None, reason="the score is not a number")
    rows = lines(written(audit))
    assert len(rows) == 6 + 40 + 2
    assert rows[0].startswith("suspect-0.png 0.9900 Stands out suspect pictures 0.024 0.049 original")
    assert [row.split()[0] for row in rows[:6]] == [f"suspect-{i}.png" for i in range(6)]
    assert rows[6].startswith("unseen-39.png 0.7680 unseen pictures — —")
    assert next(row for row in rows if "Not scored: the score is not a number" in row).startswith("silent.png")
    assert next(row for row in rows if "Not scored: the file is cut short" in row).startswith("broken.jpg")


def test_an_address_leads_to_each_picture(audit, page):
    html = page(audit)
    anchors = [f"p-{hashlib.sha256(f'suspect-{i}.png'.encode()).hexdigest()[:16]}" for i in range(6)]
    ids = [attrs["id"] for _, attrs in html.elements if attrs.get("id")]
    assert len(ids) == len(set(ids))
    assert set(anchors) <= {attrs["id"] for attrs in html.all("article")}
    assert sum(name.startswith("p-") for name in ids) == 6 + 40 + 1  # cards or rows, each picture once


def test_pictures_without_a_digest_have_an_address_by_name(new_run, page):
    build = new_run()
    for name in ("a.png", "a.png", "b.png"):
        build.score(name, "suspect", 0.1, digest=False, attack="drc" if len(build.rows) != 1 else "loss")
    ids = [attrs["id"] for attrs in page(build).all("article")]
    assert f"p-{hashlib.sha256(b'b.png').hexdigest()[:16]}" in ids and len(ids) == len(set(ids))


def test_kept_pictures_are_linked_where_they_lie(audit, page):
    html = page(audit)
    links = {attrs["href"] for attrs in html.all("a") if attrs["href"].startswith("restored/")}
    assert len(links) == 18 * 6
    assert all((audit.path / link).is_file() for link in links)


def test_a_table_has_a_bound_and_says_what_is_beyond(evaluation, monkeypatch):
    monkeypatch.setattr(picture_rows, "MOST_ROWS", 50)
    html = written(evaluation)
    assert len(lines(html)) == 50
    assert "70 more pictures are there alone: this table ends after 50." in html


def test_a_long_table_is_left_out_of_print(new_run):
    build = new_run()
    for i in range(picture_rows.MOST_PRINTED + 1):
        build.score(f"{i}.png", "suspect", float(i))
    html = written(build)
    assert '<details class="long">' in html and "too long for paper" in html


def test_captions_stand_in_the_table_and_run_nothing(audit, page):
    audit.run["model"]["conditioning"] = "caption"
    for row in (*audit.rows, *audit.inventory):
        row["picture"] = row["picture"].replace("suspect-0.png", NASTY)
    audit.document["pictures"][0]["picture"] = NASTY
    for item in audit.inventory:
        item["caption"] = f"a caption of {item['picture']} </th><script>alert(2)</script>"
    html = page(audit)
    assert "a caption of suspect-1.png </th><script>alert(2)</script>" in html.text
    assert NASTY in html.text and html.all("script") == [{}]
    assert not [attrs for attrs in html.all("img") if not attrs["src"].startswith("data:image/png;base64,")]
    assert not [name for _, attrs in html.elements for name in attrs if name.startswith("on") or name == "data-x"]


@pytest.mark.slow
def test_ten_thousand_pictures_are_a_page_that_opens(new_run, page):
    build = new_run()
    for set_name, mean in (("suspect", 0.5), ("unseen", 0.0)):
        for i, score in enumerate(np.random.default_rng(0).normal(mean, 1, 6000)):
            build.score(f"{set_name}/{i:05}.png", set_name, float(score))
    html = page(build)
    assert len(lines((build.path / "report.html").read_text("utf-8"))) == 10_000
    assert "2 000 more pictures are there alone" in html.text
    assert (build.path / "report.html").stat().st_size < 4_000_000
    assert len(html.all("article")) == 24 + 12 + 12
