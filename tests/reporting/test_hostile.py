"""The page as a document: nothing loaded, nothing run, nothing misread, never too large."""

import base64
import hashlib
import re

import numpy as np
import pytest

from trainedon.reporting import render

NASTY = '<script>alert("x")</script>&"\'<img src=x onerror=alert(1)>.png'
HIDDEN = "in\u202egnp.jpeg\x1b[31m\x00\u200b.png"


def assert_one_script(html):
    """The page's own, which the policy allows by its digest; it can write no markup."""
    assert html.all("script") == [{}]
    (script,) = html.scripts
    policy = next(attrs["content"] for attrs in html.all("meta") if "http-equiv" in attrs)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert re.findall(r"script-src ([^;]*)", policy) == [f"'sha256-{digest}'"]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(|fetch|import\(", script)


def test_names_are_printed_never_run(audit, page):
    for row in (*audit.rows, *audit.inventory):
        row["picture"] = row["picture"].replace("suspect-0.png", NASTY).replace("suspect-1.png", HIDDEN)
    audit.document["pictures"][0]["picture"] = NASTY
    audit.document["claim"]["sentence"] = audit.document["flags"][0]["code"] = NASTY
    audit.run["model"]["name"] = audit.run["attribution"] = audit.run["choices"][NASTY] = NASTY
    for row in audit.rows:
        row["attack_repr"] = row["attack"] = NASTY
    html = page(audit)
    assert_one_script(html)
    assert NASTY in html.text
    assert not {"x"} & {attrs.get("src") for attrs in html.all("img")}
    assert not [name for _, attrs in html.elements for name in attrs if name.startswith("on")]
    assert not set("\u202e\x1b\x00\u200b") & set(html.text)
    assert "in\ufffdgnp.jpeg" in html.text


def test_labels_and_papers_are_printed_never_run(crowd, page):
    first = crowd.rows[0]["attack_repr"]
    crowd.run["labels"][first] = NASTY
    crowd.run["reported"][0] |= {"note": NASTY, "paper": NASTY, "data": NASTY}
    crowd.document["agreement"]["pictures"][0]["picture"] = NASTY
    html = page(crowd)
    assert_one_script(html)
    assert not {"x"} & {attrs.get("src") for attrs in html.all("img")}
    assert not [name for _, attrs in html.elements for name in attrs if name.startswith("on")]


def test_long_names_are_shortened(audit, page):
    name = "n" * 5000 + ".png"
    audit.score(name, "suspect", 2.0)
    html = page(audit)
    assert "n" * 100 not in html.text and "…" in html.text


@pytest.mark.parametrize("kind", ["demo", "evaluation", "crowd"])
def test_policy_and_no_outside(kind, request, page):
    html = page(request.getfixturevalue(kind))
    policy = next(attrs["content"] for attrs in html.all("meta") if "http-equiv" in attrs)
    assert "default-src 'none'" in policy and "img-src data:" in policy
    assert "unsafe" not in policy
    assert_one_script(html)
    for tag in ("link", "iframe", "object", "embed", "form", "base"):
        assert html.all(tag) == []
    for tag, attrs in html.elements:
        assert "style" not in attrs and "srcset" not in attrs
        target = attrs.get("src") or attrs.get("href") or "#"
        if tag == "img":
            assert target.startswith("data:image/png;base64,")
        elif tag == "a":
            place = r"restored/[0-9a-f]{16}/[a-z]+(-\d+)?\.png|\w+\.parquet|[\w-]+\.csv"
            assert re.fullmatch(rf"#[\w-]+|{place}|https://arxiv\.org/abs/[\d.]+", target)
        else:
            assert target.startswith("#")
    anchors = {attrs["href"][1:] for attrs in html.all("a") if attrs["href"].startswith("#")}
    assert anchors <= {attrs.get("id") for _, attrs in html.elements}


def test_the_style_sheet_matches_its_digest(audit):
    page = render(audit.write()).read_text("utf-8")
    css = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page
    assert "url(" not in css and "@import" not in css


def test_thousands_of_pictures_stay_readable_and_small(new_run, page):
    build = new_run("evaluate")
    rng = np.random.default_rng(0)
    build.inventory.append({"picture": None, "set": "none", "sha256": None, "reason": None})
    for set_name, mean in (("member", 1.0), ("unseen", 0.0)):
        for i, score in enumerate(rng.normal(mean, 1, 2500)):
            build.score(f"{set_name}/{i:05}.png", set_name, float(score))
            if i < 48:
                build.restore(f"{set_name}/{i:05}.png", set_name, i, restorations=4, size=24)
        for i in range(600):
            build.exclude(f"{set_name}/broken-{i}.png", set_name, "the file is cut short")
    build.inventory = build.inventory[1:]
    html = page(build)
    assert (build.path / "report.html").stat().st_size < 2_000_000
    assert len(html.all("article")) == 2 * (24 + 12)
    assert "The 24 highest scores of 2 500." in html.text
    assert "12 of the other 2 476, picked by digest" in html.text
    assert "1 000 more are listed in" in html.text
    assert "6 200 pictures in one table" in html.text
    assert max(len(attrs.get("d", "")) for attrs in html.all("path")) < 30_000


def test_photographs_stay_within_the_budget(new_run, page):
    build = new_run()
    for i in range(12):
        build.score(f"{i}.png", "suspect", float(i))
        build.restore(f"{i}.png", "suspect", i, size=300)
    html = page(build)
    assert {attrs["width"] for attrs in html.all("img")} <= {"128", "256", "217", "218", "219", "220"}
    assert not [attrs for attrs in html.all("img") if attrs["class"] == "squares"]
