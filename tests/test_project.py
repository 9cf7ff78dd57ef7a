"""What a project says of itself agrees with itself: versions, licences, addresses, systems."""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
TOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT, PYTEST = TOOLS["project"], TOOLS["tool"]["pytest"]["ini_options"]
# modules of Python that Windows lacks
POSIX = {"crypt", "fcntl", "grp", "nis", "ossaudiodev", "posix", "pty", "pwd", "resource", "spwd", "syslog", "termios"}
ADDRESS = "https://example.org/somebody/trainedon"


@pytest.fixture(scope="module")
def release():
    spec = importlib.util.spec_from_file_location("release", ROOT / ".github" / "release.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path):
    for name in ("pyproject.toml", "CHANGELOG.md", "CITATION.cff", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    changes = tmp_path / "CHANGELOG.md"  # as it is when this version is released
    changes.write_text(changes.read_text("utf-8").replace("## Unreleased\n", f"## {PROJECT['version']}\n"), "utf-8")
    return tmp_path


def test_the_licence_names_each_text_that_is_shipped():
    assert set(PROJECT["license"].split(" AND ")) == {"Apache-2.0", "CC-BY-SA-4.0"}
    shipped = [path.read_text("utf-8") for pattern in PROJECT["license-files"] for path in sorted(ROOT.glob(pattern))]
    assert [text.split()[0] for text in shipped] == ["Apache", "Attribution-ShareAlike"]
    assert "license: cc-by-sa-4.0" in (ROOT / "src/trainedon/embedded/model/README.md").read_text("utf-8")


def test_the_citation_is_of_this_version_and_names_the_paper():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert cited["cff-version"] == "1.2.0" and {"message", "title", "authors"} <= cited.keys()
    assert cited["version"] == PROJECT["version"] and set(cited["license"]) == set(PROJECT["license"].split(" AND "))
    (paper,) = cited["references"]
    assert paper["url"].endswith("2403.08487") and paper["authors"][0]["family-names"] == "Fu"


def test_a_version_is_released_by_its_own_tag_alone(release, checkout):
    version = PROJECT["version"]
    before = (checkout / "README.md").read_bytes()
    assert "must be the same" in release.main("v9.9.9", ADDRESS, checkout)
    assert (checkout / "README.md").read_bytes() == before
    assert release.main(f"v{version}", ADDRESS, checkout) is None
    (checkout / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n")
    assert "CHANGELOG.md has no section" in release.main(f"v{version}", ADDRESS, checkout)


def test_released_every_link_of_the_readme_leads_to_a_file_of_that_tag(release, checkout):
    release.main(f"v{PROJECT['version']}", ADDRESS, checkout)
    begins = tuple(f"{ADDRESS}/{kind}/v{PROJECT['version']}/" for kind in ("blob", "raw"))
    targets = re.findall(r"\]\(([^)\s]+)\)", (checkout / "README.md").read_text("utf-8"))
    ours = [target for target in targets if target.startswith(ADDRESS)]
    assert len(ours) > 10 and all(target.startswith(("https://", "#")) for target in targets)
    for target in ours:
        assert target.startswith(begins)
        path = target.split(f"/v{PROJECT['version']}/")[1].partition("#")[0]
        assert (ROOT / path).exists(), path
    changed = tomllib.loads((checkout / "pyproject.toml").read_text("utf-8"))
    assert changed["project"]["urls"]["Source"] == ADDRESS and changed["tool"]["mypy"]["strict"]


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md")), ids=lambda p: p.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", page.read_text("utf-8")):
        name, _, heading = target.partition("#")
        other = page.parent / name if name else page
        assert other.exists(), target
        if heading and other.suffix == ".md":
            assert heading in anchors(other.read_text("utf-8")), target


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    outside = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    titles = re.findall(r"^#+ +(.+?) *$", outside, flags=re.M)
    plain = [re.sub(r"[`*]|\]\([^)]*\)|\[", "", title).lower() for title in titles]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in plain}


def test_the_layout_in_the_docs_is_that_of_the_package():
    page = (ROOT / "docs" / "design.md").read_text("utf-8")
    tree = page.split("```\nsrc/trainedon/\n")[1].split("tests/ ")[0]
    told = {line.split()[0] for line in tree.splitlines() if line.startswith("  ") and line[2] != " "}
    told |= set(re.findall(r"; (\w+\.py):", tree))
    there = {path.name + ("/" if path.is_dir() else "") for path in (ROOT / "src" / "trainedon").iterdir()}
    assert told == there - {"__init__.py", "__main__.py", "__pycache__/", "py.typed"}


def test_the_way_of_a_picture_in_the_docs_is_that_of_the_code():
    page = (ROOT / "docs" / "design.md").read_text("utf-8").split("## One picture, one score")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([\w/.]+\.py)` \| `(\w+)` \|", page, flags=re.M)
    assert len(rows) > 15
    for file, name in rows:
        code = (ROOT / "src" / "trainedon" / file).read_text("utf-8")
        assert re.search(rf"^\s*(def|class) {name}\b", code, flags=re.M), f"{file}: {name}"


def test_the_workflows_test_what_the_package_promises():
    jobs = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text("utf-8"))["jobs"]
    pythons = jobs["test"]["strategy"]["matrix"]["python"]
    promised = [name.split(" :: ")[-1] for name in PROJECT["classifiers"] if "Python :: 3." in name]
    assert pythons == promised and f">={pythons[0]}" == PROJECT["requires-python"]


WORKFLOWS = {path.name: yaml.safe_load(path.read_text("utf-8")) for path in (ROOT / ".github/workflows").glob("*.yml")}
COMMANDS = {
    f"{name}: {step['run']}": step["run"]
    for name, workflow in WORKFLOWS.items()
    for job in workflow["jobs"].values()
    for step in job.get("steps", ())
    if "run" in step
} | {".ci/run": (ROOT / ".ci/run").read_text("utf-8")}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_what_commands_of_other_machines_name_is_there(command):
    """Targets of make, files, marks of tests and extras."""
    targets = set(re.findall(r"^([\w-]+(?: [\w-]+)*):(?! export)", (ROOT / "Makefile").read_text("utf-8"), flags=re.M))
    targets = {name for names in targets for name in names.split()}
    marks = {mark.partition(":")[0] for mark in PYTEST["markers"]}
    assert set(re.findall(r"\bmake (?:-C \w+ )?([\w-]+)", command)) <= targets
    assert all((ROOT / name).exists() for name in re.findall(r"(?:python|-c|bash) ([\w./-]+\.\w+)", command))
    assert set(re.findall(r'-m "not (\w+)"', command)) <= marks
    for extras in re.findall(r"\.\[([\w,]+)\]", command):
        assert set(extras.split(",")) <= PROJECT["optional-dependencies"].keys()


def test_jobs_wait_for_jobs_and_call_workflows_that_there_are():
    for workflow in WORKFLOWS.values():
        jobs = workflow["jobs"]
        for job in jobs.values():
            assert {job["needs"]} <= jobs.keys() if "needs" in job else "runs-on" in job or "uses" in job
            if "uses" in job:
                assert "workflow_call" in WORKFLOWS[Path(job["uses"]).name][True], "YAML reads `on` as true"
            for step in job.get("steps", ()):
                assert ("run" in step) != ("uses" in step)
                assert "@" in step.get("uses", "@"), "an action without its version"


def test_the_files_for_other_machines_can_be_read():
    files = [path for pattern in (".github/**/*.yml", ".pre-commit-config.yaml") for path in ROOT.glob(pattern)]
    assert len(files) > 5 and all(isinstance(yaml.safe_load(path.read_text("utf-8")), dict) for path in files)


def test_no_module_needs_posix_to_be_imported():
    for file in sorted((ROOT / "src").rglob("*.py")):
        at_the_top = ast.parse(file.read_text("utf-8")).body
        names = {alias.name for node in at_the_top if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module or "" for node in at_the_top if isinstance(node, ast.ImportFrom)}
        assert not POSIX & {name.partition(".")[0] for name in names}, file
