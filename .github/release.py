"""Make a checkout ready to be released: refuse a tag that is not the version, and give addresses to what has none.

python .github/release.py v1.2.3 https://github.com/OWNER/trainedon

Links in README.md are relative, which is right in a checkout and on GitHub, and leads nowhere on PyPI; and where the
project lies is known to the place that releases it. So both are filled in here, and are not committed.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

LINK = re.compile(r"(!?)(\[(?:[^\[\]]|\n)*\])\((?!https?:|#|mailto:)([^)\s]+)\)")


def refusal(tag: str, root: Path) -> str | None:
    """Why a tag must not be released; None if it may."""
    version = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    if tag != f"v{version}":
        return f"the tag is {tag}, and pyproject.toml says {version}: they must be the same"
    if f"\n## {version}\n" not in (root / "CHANGELOG.md").read_text("utf-8"):
        return f"CHANGELOG.md has no section {version}"
    if f"\nversion: {version}\n" not in (root / "CITATION.cff").read_text("utf-8"):
        return f"CITATION.cff is of another version than {version}"
    return None


def absolute(text: str, project: str, tag: str) -> str:
    """Markdown whose links and pictures lead to the files of a tag, from wherever it is read."""
    return LINK.sub(
        lambda link: f"{link[1]}{link[2]}({project}/{'raw' if link[1] else 'blob'}/{tag}/{link[3]})",
        text,
    )


def urls(project: str, tag: str) -> str:
    """The table of pyproject.toml that says where the project lies."""
    places = {
        "Source": project,
        "Documentation": f"{project}/tree/{tag}/docs",
        "Changelog": f"{project}/blob/{tag}/CHANGELOG.md",
        "Issues": f"{project}/issues",
    }
    return "\n[project.urls]\n" + "".join(f'{name} = "{place}"\n' for name, place in places.items())


def main(tag: str, project: str, root: Path) -> str | None:
    """Change README.md and pyproject.toml for a release; or say why there is none, and change nothing."""
    if reason := refusal(tag, root):
        return reason
    readme, configuration = root / "README.md", root / "pyproject.toml"
    readme.write_text(absolute(readme.read_text("utf-8"), project, tag), "utf-8")
    configuration.write_text(configuration.read_text("utf-8") + urls(project, tag), "utf-8")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Path(__file__).parents[1]))
