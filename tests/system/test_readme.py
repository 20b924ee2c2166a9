"""The README and the pages that it refers to: short, with commands and code that exist."""

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest

from sorl_edu import cli
from sorl_edu.experiments.baselines import overview

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "DESIGN", "CHANGELOG")]
PAGES += sorted((ROOT / "data").rglob("README.md"))
BLOCKS = [
    block
    for page in PAGES
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)
]
COMMANDS = sorted(
    {
        line.partition("#")[0].strip()
        for page in PAGES
        for line in page.read_text().replace("\\\n", " ").splitlines()
        if line.startswith("    sorl-edu ") and "..." not in line
    }
)


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_can_be_parsed(command):
    cli.parse(shlex.split(command)[1:])


def test_the_table_of_methods_is_what_is_shipped():
    assert overview(ROOT / "data" / "baselines") in README


def test_make_targets_are_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in PAGES:
        assert set(re.findall(r"(?:`|^    )make ([a-z-]+)", page.read_text(), re.M)) <= targets, (
            page
        )


@pytest.mark.parametrize("block", BLOCKS)
def test_code_imports_what_is_there(block):
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, name.name) for name in node.names)


def test_the_closed_form_field_has_a_loss():
    (block,) = (block for block in BLOCKS if "flow_matching_loss" in block)
    values = {}
    exec(block, values)
    assert values["loss"].shape == () and values["loss"] > 0


def test_modules_of_the_package_have_a_row_in_the_design():
    rows = re.findall(r"^\| `([a-z_./]+)` \|", (ROOT / "DESIGN.md").read_text(), re.M)
    package = ROOT / "sorl_edu"
    assert all((package / name).exists() for name in rows)
    packages = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert packages <= set(rows)
