"""The code host's workflows: `make style` checks their form, and these tests what they run."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml", reason="jupytext brings it")

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text())
    for path in (ROOT / ".github" / "workflows").glob("*.yml")
}
SCRIPTS = {
    f"{name}: {step.get('name', step['run'])}": step["run"]
    for name, workflow in WORKFLOWS.items()
    for job in workflow["jobs"].values()
    for step in job["steps"]
    if "run" in step
}


def test_there_are_the_three_workflows():
    assert sorted(WORKFLOWS) == ["colab", "site", "tests"]
    systems = WORKFLOWS["tests"]["jobs"]["tests"]["strategy"]["matrix"]["os"]
    assert [system.partition("-")[0] for system in systems] == ["ubuntu", "macos", "windows"]
    (uploaded,) = (
        step["with"]["path"]
        for step in WORKFLOWS["site"]["jobs"]["build"]["steps"]
        if "upload-pages-artifact" in step.get("uses", "")
    )
    help_text = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    assert f"in {uploaded} " in help_text  # where `make site` says that it writes


def test_a_workflow_that_is_none_is_refused(tmp_path):
    pytest.importorskip("check_jsonschema", reason="make test installs it")
    (tmp_path / "tests.yml").write_text(
        (ROOT / ".github/workflows/tests.yml").read_text().replace("runs-on:", "runs-at:")
    )
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    command += ["vendor.github-workflows", str(tmp_path / "tests.yml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "runs-at" in done.stdout


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_one_of_the_shell_and_names_what_is_there(name):
    script = SCRIPTS[name]
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake (\S+)", script):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for file in re.findall(r"^\.\S+", script, re.MULTILINE):
        assert os.access(ROOT / file, os.X_OK), file


@pytest.mark.parametrize("result", ["passed", "failed"])
def test_the_badge_says_when_the_notebooks_ran(tmp_path, result):
    """The workflow's script, in a checkout of a repository with one commit."""
    here, there = tmp_path / "here", tmp_path / "there.git"
    home = {"HOME": str(tmp_path), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    env = os.environ | home | {"RESULT": result, "COLOUR": "#1a7f37"}

    def git(*words, at=here):
        done = subprocess.run(["git", "-C", at, *words], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    git("init", "--quiet", "--bare", there, at=tmp_path)
    git("clone", "--quiet", there, here, at=tmp_path)
    (here / "README.md").write_text("# A course\n")
    git("add", "README.md")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "First")
    script = SCRIPTS["colab: Publish the badge"]
    done = subprocess.run(["bash", "-e", "-c", script], cwd=here, env=env, capture_output=True)
    assert done.returncode == 0, done.stderr
    badge = xml.etree.ElementTree.fromstring(git("show", "badges:colab.svg", at=there))
    assert re.fullmatch(
        rf"notebooks in Colab: {result} on \d{{4}}-\d\d-\d\d", badge.get("aria-label")
    )
    assert git("ls-tree", "--name-only", "badges", at=there).split() == ["colab.svg"]
