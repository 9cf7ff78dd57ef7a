"""Hooks of mkdocs: what the site shows beside docs/, so that the same files are read here and there.

Pages of the repository's top folder and notebooks become pages of the site; other files that a page links to are laid
beside them, so that no link leaves the site but those to other people's.
"""

from __future__ import annotations

import ast
import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md", "SECURITY.md": "security.md"}
PAGES |= {"CODE_OF_CONDUCT.md": "code_of_conduct.md"}
INSTEAD = {"README.md": "index.md"}  # the site begins with a page of its own
LINK = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?(\))")
REGISTERED = re.compile(r"<!-- registered: (\S+) -->")
CODE = re.compile(r"(^```.*?^```)", flags=re.M | re.S)


def notebooks() -> dict[str, str]:
    """Where each notebook lies in the repository, and its page on the site."""
    found = sorted((ROOT / "examples").glob("*.ipynb"))
    return {f"examples/{path.name}": f"examples/{path.stem}.md" for path in found}


def notebook_page(path: Path) -> str:
    """The cells of a notebook as one Markdown text."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    texts = [("".join(cell["source"]), cell["cell_type"] == "code") for cell in cells]
    parts = [f"```python\n{text}\n```" if code else text for text, code in texts]
    told = f"*This page is a notebook: [{path.name}]({path.name}). What it prints, you see when you run it.*"
    return "\n\n".join([parts[0], told, *parts[1:]]) + "\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text("utf-8")))
    for name, page in notebooks().items():
        files.append(File.generated(config, page, content=notebook_page(ROOT / name)))
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    for file in list(files.documentation_pages()):
        for _, target, _, _ in LINK.findall(file.content_string):
            beside(target, file.src_uri, files, config)
    return files


def beside(target: str, page: str, files: Files, config: MkDocsConfig) -> None:
    """Lay a file of the repository that `page` links to into the site."""
    place = site_place(target, page)
    inside = (ROOT / place).is_file() and not place.startswith("docs/") and place not in files.src_uris
    if inside and not place.endswith(".md"):
        files.append(File.generated(config, place, abs_src_path=str(ROOT / place)))


def in_repository(page: str) -> str:
    """Where the page of the site lies in the repository."""
    origins = {uri: name for name, uri in {**PAGES, **notebooks()}.items()}
    return origins.get(page, f"docs/{page}")


def site_place(target: str, page: str) -> str:
    """The place on the site of what `page` calls `target`, as links are between files of the repository."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(in_repository(page)), target))
    return {**PAGES, **INSTEAD, **notebooks()}.get(path) or path.removeprefix("docs/")


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Links as they must be between pages of the site."""
    here = page.file.src_uri
    markdown = REGISTERED.sub(lambda found: registered(found[1]), markdown)

    def moved(link: re.Match[str]) -> str:
        place = posixpath.relpath(site_place(link[2], here), posixpath.dirname(here) or ".")
        return f"{link[1]}{place}{link[3] or ''}{link[4]}"

    return "".join(part if part.startswith("```") else LINK.sub(moved, part) for part in CODE.split(markdown))


def registered(place: str) -> str:
    """The API reference of each class with `@register` in a module or room of the package, in the order of files."""
    package = ROOT / "src" / "trainedon"
    names = []
    for path in sorted((package / place).glob("*.py")) or [package / place]:
        module = ".".join(path.relative_to(package.parent).with_suffix("").parts)
        classes = [node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.ClassDef)]
        found = [node.name for node in classes if "register" in {getattr(how, "id", "") for how in node.decorator_list}]
        names += [f"::: {module}.{name}\n    options:\n      members: false" for name in found]
    if not names:
        raise ValueError(f"nothing is registered in {place}")
    return "\n\n".join(names)
