"""The wheel, the bounds of versions, the conda environment, the Makefile and CI."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import mutation
import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# The versions of Google Colab: installing there must replace nothing.
COLAB = {
    "jax": "0.7.2",
    "flax": "0.11.2",
    "numpy": "2.1.3",
    "matplotlib": "3.10.0",
    "ipywidgets": "7.7.1",
    "ipython": "7.34.0",
}
COLAB_PYTHON = "3.13.0"
# They need flax 0.12.8 and newer: with 0.11.2, which Colab has, no network can be made.
JAX_FROM_0_11 = ["0.11.0", "0.11.1", "0.11.2", "0.12.0", "0.12.0.1"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling", reason="the wheel is built with hatchling: pip install it")
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", out]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = out.glob("*.whl")
    return path


def test_the_wheel_carries_the_package_its_types_and_its_data(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        data = [path for path in (ROOT / "data").rglob("*") if path.is_file()]
        for path in data:
            name = f"sorl_edu/_data/{path.relative_to(ROOT / 'data')}"
            assert archive.read(name) == path.read_bytes()
        (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
        assert "sorl-edu = sorl_edu.cli:program" in archive.read(entry_points).decode()
    assert {"sorl_edu/py.typed", "sorl_edu/agents/sorl.py"} <= names
    scripts = [*ROOT.glob("sorl_edu/widgets/*/*.mjs"), *ROOT.glob("sorl_edu/widgets/*/*.css")]
    modules = {str(path.relative_to(ROOT)) for path in scripts}
    assert {"sorl_edu/widgets/playground/agents.mjs"} <= modules <= names
    assert {"sorl_edu/widgets/draw_your_own/style.css"} <= modules
    assert any(name.endswith("licenses/LICENSE") for name in names)
    stem = wheel.name.removesuffix("-py3-none-any.whl")
    tops = {name.split("/")[0] for name in names}
    assert tops == {"sorl_edu", f"{stem}.dist-info", f"{stem}.data"}
    config = "data/etc/jupyter/jupyter_server_config.d/sorl_edu.json"  # of course/jupyter.py
    assert [name for name in names if ".data/" in name] == [f"{stem}.data/{config}"]


def test_an_installed_package_finds_its_data(wheel, tmp_path):
    shutil.unpack_archive(wheel, tmp_path / "site", "zip")
    script = (
        "from sorl_edu.cli import doctor\n"
        "from sorl_edu.datasets.ogbench import shipped_data\n"
        "assert doctor.shipped_data()[0].status == 'ok', doctor.shipped_data()\n"
        "print(shipped_data())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == tmp_path / "site" / "sorl_edu" / "_data"


def test_bounds_admit_what_colab_has():
    extras = PYPROJECT["project"]["optional-dependencies"]
    requirements = [*PYPROJECT["project"]["dependencies"], *extras["lab"]]
    bounds = {r.name: r.specifier for r in map(Requirement, requirements)}
    for name, version in COLAB.items():
        assert version in bounds[name], f"{name} {version} is not in {bounds[name]}"
    assert list(bounds["jax"].filter(JAX_FROM_0_11)) == []
    assert Version(COLAB_PYTHON) in Requirement(f"x{requires_python()}").specifier


def test_the_constraints_of_test_colab_are_what_colab_has():
    assert COLAB.items() <= pinned("constraints-colab.txt").items()


def test_the_constraints_of_test_lowest_are_the_lower_bounds():
    extras = PYPROJECT["project"]["optional-dependencies"]
    requirements = map(Requirement, [*PYPROJECT["project"]["dependencies"], *extras["test"]])
    lowest = {
        r.name: bound.version
        for r in requirements
        if r.marker is None or r.marker.evaluate({"python_version": "3.11"})
        for bound in r.specifier
        if bound.operator == ">="
    }
    constraints = pinned("constraints-lowest.txt")
    assert constraints.pop("jaxlib") == lowest["jax"]
    assert {name: Version(pin) for name, pin in constraints.items()} == {
        name: Version(bound) for name, bound in lowest.items() if name in constraints
    }
    # They don't run with the package.
    tools = {"ruff", "oxlint", "check-jsonschema", "hatchling", "nbclient", "playwright"}
    tools.add("axe-playwright-python")
    assert lowest.keys() - constraints.keys() == tools


def pinned(file):
    lines = (ROOT / "tests" / file).read_text().splitlines()
    requirements = map(Requirement, filter(None, map(bare, lines)))
    return {r.name: str(r.specifier).removeprefix("==") for r in requirements}


def bare(line):
    return line.partition("#")[0].strip()


def test_every_extra_that_names_jax_keeps_its_bound():
    bounds = {r.name: r.specifier for r in map(Requirement, PYPROJECT["project"]["dependencies"])}
    cuda = Requirement(*PYPROJECT["project"]["optional-dependencies"]["cuda"])
    assert cuda.name == "jax" and cuda.extras == {"cuda13"}
    assert {str(s) for s in cuda.specifier} <= {str(s) for s in bounds["jax"]}


def requires_python():
    return PYPROJECT["project"]["requires-python"]


def test_conda_environment_has_the_bounds_of_pyproject():
    (ogbench,) = (
        r for r in map(Requirement, PYPROJECT["project"]["dependencies"]) if r.name == "ogbench"
    )
    last = re.fullmatch(r'python_version < "(.*)"', str(ogbench.marker))[1]
    lines = list(map(bare, environment_lines()))
    entries = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
    python = f"python{requires_python()},<{last}"
    assert entries == ["conda-forge", python, "pip", "pip:", "-e .[lab]"]


def environment_lines():
    return (ROOT / "environment.yml").read_text().splitlines()


@pytest.fixture(autouse=True)
def as_typed(monkeypatch):
    """`make` as somebody types it, also where these tests run in another make, test-colab's."""
    for variable in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "VENV", "PYTHON", "EXTRAS", "CONSTRAINTS"):
        monkeypatch.delenv(variable, raising=False)


def make(*words):
    return subprocess.run(["make", *words], cwd=ROOT, capture_output=True, text=True)


def test_make_lists_its_targets_and_help_is_the_default():
    helped = make("help")
    assert helped.returncode == 0 and helped.stdout == make().stdout
    targets = ("help", "demo", "lab", "notebooks", "check", "test", "test-thorough", "test-lowest")
    targets += ("test-colab", "test-release", "test-all", "goals", "audit", "fuzz", "mutation")
    targets += ("bench", "claims", "course-data", "robots", "baselines", "evor")
    targets += ("imitation", "finetuning", "site")
    for target in targets:
        assert re.search(rf"^  make {target} +\S", helped.stdout, re.MULTILINE), target


def test_make_runs_what_is_there():
    modules = {"demo": ["demo"], "bench": ["bench"], "claims": ["claims"], "robots": ["robots"]}
    modules |= {name: [name] for name in ("evor", "imitation", "finetuning")}
    for target, names in modules.items():
        planned = make("--dry-run", target).stdout
        for name in names:
            assert f"python -m sorl_edu.experiments.{name}" in planned
            assert (ROOT / "sorl_edu" / "experiments" / f"{name}.py").is_file()
    planned = make("--dry-run", "course-data").stdout
    for module in ("sorl_edu.experiments.course", "sorl_edu.course.pictures"):
        assert f"python -m {module}" in planned
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
    assert "python -m sorl_edu.course.site" in make("--dry-run", "site").stdout
    assert "jupyter lab" in make("--dry-run", "lab").stdout
    assert "tests/mutation.py" in make("--dry-run", "mutation").stdout


def test_make_checks_the_style_then_the_imports_then_the_tests():
    planned = make("--dry-run", "test").stdout
    steps = ("ruff check", "ruff format --check", "lint-imports", "oxlint", "check-jsonschema")
    steps += ("-m pytest -n 2 --durations=25",)
    places = [planned.index(step) for step in steps]
    assert places == sorted(places)

    planned = make("--dry-run", "check").stdout
    steps = ("ruff check", "lint-imports", "oxlint", "course check", "-m pytest")
    places = [planned.index(step) for step in steps]
    assert places == sorted(places)
    for target in ("check", "test-lowest"):
        paths = re.findall(r"tests/[a-z]\S+", make("--dry-run", target).stdout)
        assert len(paths) >= 3 and all((ROOT / path).exists() for path in paths), paths
    assert "-m pytest -n 2 -m goals" in make("--dry-run", "goals").stdout
    assert "-m pytest -n 2 -m release" in make("--dry-run", "test-release").stdout
    planned = make("--dry-run", "test-thorough").stdout
    assert '-m pytest -n 2 -m "thorough and not release and not goals"' in planned


def test_make_tests_with_other_versions():
    this = f"3.{sys.version_info.minor}"
    planned = make("--dry-run", "test-lowest").stdout
    assert "CONSTRAINTS=tests/constraints-lowest.txt" in planned and "-m pytest" in planned
    planned = make("--dry-run", "test-colab").stdout
    assert "CONSTRAINTS=tests/constraints-colab.txt" in planned
    assert "VENV=.venv-colab" in planned and "-m pytest" in planned
    planned = make("--dry-run", "test-colab", "COLAB_VENV=.venv-not-there").stdout
    assert "--constraint tests/constraints-colab.txt --editable '.[lab,test]'" in planned
    if shutil.which(f"python{this}"):
        planned = make("--dry-run", "test-all").stdout
        for venv in (f".venv-{this}", f".venv-colab-{this}"):
            assert f"{venv}/bin/python -m pytest" in planned


def test_the_durations_are_of_files_that_are_there():
    seconds = json.loads((ROOT / "tests" / "durations.json").read_text())
    assert len(seconds) > 20
    assert all((ROOT / group.partition(":")[0]).is_file() for group in seconds)


def fresh_checkout(tmp_path, python):
    """A folder with the Makefile and a `python` that is not one."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    interpreter = tmp_path / "python-of-the-test"
    interpreter.write_text(f"#!/bin/sh\n{python}\n")
    interpreter.chmod(0o755)
    return ["make", "-C", str(tmp_path), f"PYTHON={interpreter}"]


def test_make_refuses_an_old_python_with_a_sentence(tmp_path):
    make_there = fresh_checkout(tmp_path, "exit 1")
    done = subprocess.run([*make_there, "demo"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "sorl-edu needs Python 3.11 or newer" in done.stderr
    assert not (tmp_path / ".venv").exists()


# Replaces python: `-m venv .venv` makes a .venv whose programs write down their arguments.
FAKE_PYTHON = """
if [ "$1" = -m ] && [ "$2" = venv ]; then
  mkdir -p .venv/bin
  for program in python lint-imports oxlint check-jsonschema; do
    printf '#!/bin/sh\\necho "$@" >> asked\\n' > .venv/bin/$program
    chmod +x .venv/bin/$program
  done
fi
"""


def test_make_installs_once_and_again_when_pyproject_changes(tmp_path):
    make_there = fresh_checkout(tmp_path, FAKE_PYTHON)

    def asked(target):
        (tmp_path / "asked").write_text("")
        subprocess.run([*make_there, target], check=True, capture_output=True)
        return (tmp_path / "asked").read_text().splitlines()

    def installs(target):
        return [line.split()[-1] for line in asked(target) if " install " in line]

    assert installs("demo") == ["."]
    assert installs("demo") == []
    assert asked("demo") == ["-m sorl_edu.experiments.demo"]
    assert installs("lab") == [".[lab]"]
    assert installs("demo") == []
    assert installs("test") == [".[lab,test,grading,site]"]
    assert installs("demo") == installs("test") == installs("lab") == []
    changed = (tmp_path / ".venv" / ".all").stat().st_mtime + 10
    os.utime(tmp_path / "pyproject.toml", (changed, changed))
    assert installs("demo") == [".[lab,test,grading,site]"]


def test_ci_runs_the_tests():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert re.findall(r"^timed (.*)$", script.read_text(), re.M) == [
        "make test",
        "make test-thorough",
        "make test-lowest",
    ]
    subprocess.run(["bash", "-n", script], check=True)


def repository_files():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


def test_no_file_names_a_package_registry():
    hosts = [".".join(words) for words in (("pypi", "org"), ("pythonhosted", "org"))]
    hosts += [".".join(words) for words in (("anaconda", "org"), ("anaconda", "com"))]
    options = ["--" + option for option in ("index-url", "extra-index-url", "trusted-host")]
    for path in repository_files():
        content = path.read_bytes().decode(errors="ignore")
        for word in (*hosts, *options):
            assert word not in content, f"{path} has {word}"


def test_the_package_imports_no_jax_no_mujoco_and_no_jupyter():
    """So that --help answers at once, and the doctor runs where one of them is broken."""
    assert not {"jax", "numpy", "pandas", "mujoco", "IPython", "matplotlib"} & imported("sorl_edu")


@pytest.mark.parametrize(
    ("lesson", "also"),
    [
        ("flow_matching", set()),
        ("shortcut", set()),
        ("temporal_difference", set()),
        ("inference", set()),
        ("networks", {"flax"}),
    ],
)
def test_a_lesson_imports_jax_numpy_and_jaxtyping(lesson, also):
    heavy = {"flax", "optax", "pandas", "mujoco", "matplotlib", "scipy", "tqdm", "msgspec"}
    assert imported(f"sorl_edu.{lesson}") & heavy <= also


def imported(module):
    """The top-level packages that are there after one import."""
    script = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_package_never_unpickles():
    """Reading a stranger's file must not run code."""
    unsafe = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
    for path in (ROOT / "sorl_edu").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not unsafe & {name.name.split(".")[0] for name in node.names}, path
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in unsafe, path
            elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert isinstance(node.value, ast.Constant) and node.value.value is False, path


def test_a_fault_of_the_mutation_run_is_a_line_that_is_there():
    assert len({fault.name for fault in mutation.FAULTS}) == len(mutation.FAULTS) >= 12
    assert [problem for fault in mutation.FAULTS if (problem := fault.problem())] == []
