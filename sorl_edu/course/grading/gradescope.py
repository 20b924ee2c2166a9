"""What other machines grade with: an autograder for Gradescope, and an image for containers.

    build(root, "A2", "autograder.zip", secret="this term's")
    build_image(root, "podman")

The autograder has Gradescope's two scripts, a wheel of this library, the versions of its packages
that are installed here, the assignment's notebook and the secret. Its `setup.sh` makes an account
for answers and hides from it what is right; `run_autograder` grades with `--account`, since
Gradescope's containers permit no namespaces.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from sorl_edu.course import notebooks
from sorl_edu.course.grading.fence import INSIDE, Container
from sorl_edu.errors import ConfigError, check
from sorl_edu.files import atomic_write

ACCOUNT = "student"
RESOURCES = "Choose a container of 4 GB or more: the default, half a core and 768 MB, is too small."

SETUP = """\
#!/usr/bin/env bash
# Gradescope runs this once, as root, to build the container.
set -euo pipefail
here=${{AUTOGRADER:-/autograder}}
apt-get update -qq
apt-get install -y -qq --no-install-recommends python3 python3-venv procps util-linux
useradd --create-home {account} || true
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet --requirement "$here/source/requirements.txt"
"$here/venv/bin/pip" install --quiet --no-deps "$here"/source/*.whl
course=$("$here/venv/bin/python" -c 'import sorl_edu.course as c; print(c.__path__[0])')
find "$course" -type f -exec chmod go-rwx {{}} +
(cd "$course" && chmod go+r {inside})
chmod -R go-rwx "$here/source"
"""

RUN = """\
#!/usr/bin/env bash
# Gradescope runs this for each submission, and shows the student results/results.json.
set -uo pipefail
here=${{AUTOGRADER:-/autograder}}
results=$here/results/results.json
mkdir -p "$here/results"
say() {{ printf '{{"score": 0, "output": "%s"}}\\n' "$1" > "$results"; }}
shopt -s nullglob
books=("$here"/submission/*.ipynb "$here"/submission/*/*.ipynb)
if [ ${{#books[@]}} -eq 0 ]; then
  say "There is no .ipynb in what you submitted. Hand in the notebook file itself."
  exit 0
fi
if [ ${{#books[@]}} -gt 1 ]; then
  say "There are ${{#books[@]}} notebooks in what you submitted. Hand in one."
  exit 0
fi
SORL_EDU_SECRET=$(cat "$here/source/secret.txt")
export SORL_EDU_SECRET JAX_PLATFORMS=cpu
chmod go-rwx "$here/submission" 2>/dev/null
"$here/venv/bin/sorl-edu" course grade "${{books[0]}}" --assignment {number} --json \\
  --root "$here/source" ${{FENCE:---account {account}}} \\
  > "$results.part" 2> "$here/results/stderr.txt"
status=$?
if [ $status -eq 0 ]; then
  mv "$results.part" "$results"
elif [ $status -eq 137 ]; then
  rm -f "$results.part"
  say "It could not be graded: this container ran out of memory. Tell your instructor."
else
  rm -f "$results.part"
  say "It could not be graded: $(tail -n 1 "$here/results/stderr.txt" | tr -cd 'A-Za-z0-9 .,:_/-')"
fi
"""

CONTAINERFILE = """\
FROM python:{version}-slim
COPY requirements.txt *.whl /wheel/
RUN pip install --no-cache-dir --requirement /wheel/requirements.txt \\
 && pip install --no-cache-dir --no-deps /wheel/*.whl && rm -r /wheel
RUN cd "$(python -c 'import sorl_edu.course as c; print(c.__path__[0])')" \\
 && find . -type f {unless} -delete
"""


def build(root: Path, assignment: str, out: Path, *, secret: str) -> None:
    """Writes an autograder for Gradescope.

    Args:
        root: the repository's folder.
        assignment: "A2", or another number or name (see `notebooks.find`).
        out: the archive.
        secret: seeds the hidden cases.

    Raises:
        ConfigError: no such notebook; the wheel can't be built; the archive can't be written.
    """
    check(out.suffix == ".zip", f"Gradescope takes a .zip, not '{out.name}'")
    (source,) = notebooks.find(root, [assignment])
    names = {"account": ACCOUNT, "inside": " ".join(INSIDE), "number": source.number[1:]}
    files = {
        "setup.sh": SETUP.format(**names),
        "run_autograder": RUN.format(**names),
        "requirements.txt": requirements(),
        "secret.txt": f"{secret}\n",
        "pyproject.toml": (root / "pyproject.toml").read_text(encoding="utf-8"),
        source.address.removesuffix(".ipynb") + ".py": source.text(),
    }
    with (
        _wheel(root) as wheel,
        atomic_write(out) as beside,
        zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o755 if content.startswith("#!") else 0o600) << 16
            archive.writestr(entry, content)
        archive.write(wheel, wheel.name)


def build_image(root: Path, engine: str) -> None:
    """Builds the image of `Container(engine)`: this library without the exercises and the grader.

    Raises:
        ConfigError: the wheel or the image can't be built.
    """
    version = ".".join(map(str, sys.version_info[:2]))
    unless = " ".join(f"! -path './{file}'" for file in INSIDE)
    with _wheel(root) as wheel:
        (wheel.parent / "requirements.txt").write_text(requirements(), encoding="utf-8")
        recipe = CONTAINERFILE.format(version=version, unless=unless)
        (wheel.parent / "Containerfile").write_text(recipe, encoding="utf-8")
        image = Container(engine).image
        command = [engine, "build", "--tag", image, "--file", "Containerfile", "."]
        _run(command, f"{engine} can't build the image", cwd=wheel.parent)


def requirements() -> str:
    """The packages that this library needs, as pip reads them, with the versions installed here."""
    todo, pinned = ["sorl-edu", "jupytext", "ogbench", "pyyaml"], dict[str, str]()
    while todo:
        name = todo.pop()
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        key = package.metadata["Name"].lower().replace("_", "-")
        if key not in pinned:
            pinned[key] = package.version
            todo += list(_needs(package))
    del pinned["sorl-edu"]
    return "".join(f"{name}=={version}\n" for name, version in sorted(pinned.items()))


def _needs(package: metadata.Distribution) -> Iterator[str]:
    """The names of what a package requires here, without its extras."""
    from packaging.requirements import Requirement

    for line in package.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name


@contextmanager
def _wheel(root: Path) -> Iterator[Path]:
    """A wheel of the library, in a temporary folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        _run([*command, "--wheel-dir", folder, str(root)], "the library's wheel can't be built")
        (wheel,) = Path(folder).glob("*.whl")
        yield wheel


def _run(command: list[str], failure: str, cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    except OSError as error:
        raise ConfigError(f"{failure}: {error.strerror}") from None
    said = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
    check(done.returncode == 0, f"{failure}: {said[0]}")
