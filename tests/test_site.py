"""The site: its navigation names every page, its reference every public name, and a strict build of it passes."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from chromium import visit

import trainedon as to
from trainedon import evidence
from trainedon.cli.app import COMMANDS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
REFERENCE = "\n".join(page.read_text("utf-8") for page in sorted((DOCS / "api").glob("*.md")))


class Configuration(yaml.SafeLoader):
    """mkdocs.yml, without making what its tags name."""


Configuration.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)
SITE = yaml.load((ROOT / "mkdocs.yml").read_text("utf-8"), Configuration)


def pages(nav: object) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [page for part in (nav.values() if isinstance(nav, dict) else nav) for page in pages(part)]


def test_the_navigation_names_every_page_once_and_none_that_is_missing():
    named = pages(SITE["nav"])
    notebooks = {f"examples/{path.stem}.md" for path in (ROOT / "examples").glob("*.ipynb")}
    above = {"contributing.md", "changelog.md", "security.md", "code_of_conduct.md"}
    there = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert len(named) == len(set(named)) and set(named) == there | notebooks | above
    assert all((ROOT / f"{Path(page).stem.upper()}.md").exists() for page in above)


def test_the_reference_names_every_public_name():
    documented = set(re.findall(r"^::: trainedon\.([\w.]+)$", REFERENCE, flags=re.M))
    rooms = {"compare", "degradation", "evidence", "restore", "roi"}
    attacks = {name for name in to.__all__ if name.startswith("DRC") or name == "Loss"}  # by `registered`
    elsewhere = {"Scores", "read_scores", "Progress", "__version__"}
    assert set(to.__all__) - rooms - attacks - elsewhere <= documented
    assert {f"evidence.{name}" for name in evidence.__all__} <= documented


def test_the_page_of_commands_is_that_of_the_program():
    made = runpy.run_path(str(ROOT / ".github" / "commands_page.py"))["page"]() + "\n"
    page = (DOCS / "commands.md").read_text("utf-8")
    assert page == made, "write it again: python .github/commands_page.py > docs/commands.md"
    assert [*COMMANDS] == re.findall(r"^## (\S+)$", page, flags=re.M)


# Words of statistics that an audit's page and its LaTeX table print.
PRINTED = ["AUC", "TPR", "FPR", "NFE", "p-value", "q-value", "Holm", "CDI", "Spearman", "DeLong", "Best accuracy"]
PRINTED += [
    "Claim level",
    "Flag",
    "Control",
    "Threshold",
    "Rank",
    "Exchangeable",
    "Near-duplicates",
    "Permutation test",
]
PRINTED += ["Sign-flip test", "Unseen picture", "Suspect", "Reference", "Odds", "Intra-class correlation"]


@pytest.mark.parametrize("term", PRINTED)
def test_a_word_that_pages_and_tables_print_is_in_the_glossary(term):
    source = ROOT / "src" / "trainedon"
    places = [
        *(source / "reporting").rglob("*.*"),
        *(source / "exports").glob("*.py"),
        *source.glob("evidence/**/*.py"),
    ]
    printed = "".join(path.read_text("utf-8") for path in places if path.suffix in (".py", ".j2")).lower()
    assert term.lower() in printed, "else it need not stand here"
    told = " ".join((DOCS / "glossary.md").read_text("utf-8").split()).lower()
    assert re.search(
        rf"\*\*[^*]*{re.escape(term.lower())}[^*]*\*\*|\({re.escape(term.lower())}\)|, {term.lower()}\)", told
    )


def test_a_page_fetches_nothing_from_elsewhere():
    assert SITE["theme"]["font"] is False and SITE["strict"] is True
    files = [*SITE["extra_css"], *SITE["extra"]["polyfills"]]
    assert all((DOCS / name).is_file() for name in files), "and no address"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The site, from a copy of what it is made of."""
    mkdocs = shutil.which("mkdocs", path=f"{ROOT / '.venv-docs' / 'bin'}{os.pathsep}{os.environ['PATH']}")
    if mkdocs is None:
        pytest.skip("mkdocs is not there: `make docs` installs it")
    folder = tmp_path_factory.mktemp("site")
    command = [mkdocs, "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.slow
def test_the_site_is_whole_and_loads_no_file_of_another_server(built):
    found = list(built.rglob("*.html"))
    assert len(found) > 30
    loads = r"<(?:script|img|iframe)[^>]* src=\"?(?:https?:)?//|<link[^>]* href=\"?(?:https?:)?//(?![^>]*canonical)"
    for page in found:
        assert not re.search(loads, page.read_text("utf-8")), page
    attacks = (built / "api" / "attacks.html").read_text("utf-8")
    assert "trainedon.attacks.single.pia.PIA" in attacks and "registered:" not in attacks
    assert (built / "examples" / "own_network.py").is_file(), "a file that pages link to"


@pytest.mark.slow
def test_search_works_in_a_site_that_is_opened_as_files(built, browser):
    with visit(browser, (built / "index.html").as_uri()) as tab:
        tab.fill(".md-search__input", "exchangeable")
        tab.wait_for_selector(".md-search-result__item a")
        assert "exchangeable" in tab.inner_text(".md-search-result__list").lower()
    assert tab.asked and all(url.startswith(("file:", "data:", "blob:", "about:")) for url in tab.asked)
