"""What is built and installed elsewhere: the wheel's files, the container's sources, the conda recipe."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "trainedon"
TOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = TOOLS["project"]
ON_CONDA = {"torch": "pytorch", "huggingface-hub": "huggingface_hub"}
BUILT = ("__pycache__", ".pyc", ".DS_Store")


def shipped() -> set[str]:
    """Every file of the package, by its path from src."""
    files = (path for path in PACKAGE.rglob("*") if path.is_file() and not any(part in str(path) for part in BUILT))
    return {path.relative_to(PACKAGE.parent).as_posix() for path in files}


def test_every_file_that_is_no_module_is_declared_as_data():
    patterns = [f"trainedon/{pattern}" for pattern in TOOLS["tool"]["setuptools"]["package-data"]["trainedon"]]
    data = {name for name in shipped() if not name.endswith(".py")}
    assert len(data) > 10
    assert not {name for name in data if not any(fnmatch(name, pattern) for pattern in patterns)}


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package_and_the_licences(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "LICENSES", source / "LICENSES")
    shutil.copytree(PACKAGE.parent, source / "src", ignore=shutil.ignore_patterns(*BUILT, "*.pyc", "*.egg-info"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert shipped() <= names
    assert {name.rpartition("/")[2] for name in names if "/licenses/" in name} == {"LICENSE", "CC-BY-SA-4.0.txt"}


def lines_of(file: str) -> list[str]:
    """Its instructions, each in one line."""
    text = (ROOT / file).read_text("utf-8").replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_container_copies_what_is_there_and_is_let_in():
    copied = [line.split()[1:-1] for line in lines_of("Dockerfile") if line.startswith("COPY") and "--from" not in line]
    sources = {name for names in copied for name in names}
    assert sources and all((ROOT / name).exists() for name in sources)
    assert sources == {line[1:] for line in lines_of(".dockerignore") if line.startswith("!")}
    needed = {TOOLS["project"]["readme"], "LICENSE", "LICENSES", "pyproject.toml", "src"}
    assert needed <= sources, "what pip needs to build the package"


def test_the_container_has_extras_that_there_are_no_root_and_no_network():
    lines = lines_of("Dockerfile")
    (extras,) = [line.partition("EXTRAS=")[2] for line in lines if line.startswith("ARG EXTRAS")]
    assert set(extras.split(",")) <= PROJECT["optional-dependencies"].keys()
    (user,) = [line.split()[1] for line in lines if line.startswith("USER")]
    assert user.isdigit() and user != "0" and any(f"--uid {user}" in line for line in lines)
    assert any("HF_HUB_OFFLINE=1" in line for line in lines if line.startswith("ENV"))
    assert any(line.startswith("VOLUME") for line in lines)
    (python,) = [line.partition("=")[2] for line in lines if line.startswith("ARG PYTHON")]
    assert f"Programming Language :: Python :: {python}" in PROJECT["classifiers"]


def test_the_recipe_asks_for_what_the_project_asks_for():
    recipe = yaml.safe_load((ROOT / "recipe" / "recipe.yaml").read_text("utf-8"))
    assert recipe["package"] == {"name": PROJECT["name"], "version": PROJECT["version"]}
    assert recipe["about"]["license"] == PROJECT["license"]
    wanted = dict(re.fullmatch(r"([\w-]+)(.*)", text).groups() for text in PROJECT["dependencies"])
    asked = dict(text.split(" ", 1) for text in recipe["requirements"]["run"])
    assert asked.pop("python") == PROJECT["requires-python"]
    assert asked == {ON_CONDA.get(name, name): versions for name, versions in wanted.items()}
    (script,) = PROJECT["scripts"].items()
    assert recipe["build"]["python"]["entry_points"] == [" = ".join(script)]
    assert all((ROOT / name).exists() for name in recipe["about"]["license_file"])


def test_a_source_distribution_gets_the_files_that_these_tests_read():
    taken = (ROOT / "MANIFEST.in").read_text("utf-8").split()
    for name in ("Dockerfile", ".dockerignore", "recipe", "mkdocs.yml", "constraints-docs.txt", "examples"):
        assert name in taken
