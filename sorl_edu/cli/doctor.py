"""What is installed, what is wrong with it, and the fix: the findings of `sorl-edu doctor`.

Every check is a function that returns findings and changes nothing. A check imports what it looks
at when it runs, so that a broken package is a finding and not the end of the doctor.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

Status = Literal["ok", "warn", "wrong"]

PIP = "python -m pip install"
REINSTALL = "install sorl-edu again; in the repository: rm -rf .venv && make demo"
OGBENCH = f"{PIP} --no-deps ogbench dm_control"  # see pyproject.toml
ENVIRONMENT = "pointmaze-medium-navigate-singletask-v0"
RENDER_TIMEOUT = 60.0
RENDER = """
import mujoco
with mujoco.Renderer(mujoco.MjModel.from_xml_string("<mujoco><worldbody/></mujoco>"), 8, 8) as view:
    view.render()
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what.
        status: "ok"; "warn" for what only some uses need; "wrong" for what all need.
        text: what was found.
        fix: what to do about it, where something is to be done.
    """

    name: str
    status: Status
    text: str
    fix: str = ""


def examine() -> list[Finding]:
    """All checks, in the order in which a person reads them."""
    checks = (python, packages, devices, environment, rendering, widgets, shipped_data, cache)
    return [finding for check in checks for finding in guarded(check)]


def guarded(check: Callable[[], list[Finding]]) -> list[Finding]:
    """The findings of a check; that it raised is one, too."""
    try:
        return check()
    except Exception as error:
        text = f"could not be examined: {type(error).__name__}: {error}"
        return [Finding(check.__name__, "wrong", text, REINSTALL)]


def python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> list[Finding]:
    """The interpreter and the processors it may use."""
    text = f"{'.'.join(map(str, version))} on {platform.platform()}, {usable_cpus()} CPU(s)"
    if version < (3, 11):
        return [Finding("python", "wrong", text, "install Python 3.11 or newer")]
    return [Finding("python", "ok", text)]


def usable_cpus() -> int:
    """The processors that this process may use; in a container fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def packages(requirements: Sequence[str] | None = None) -> list[Finding]:
    """Every package that sorl-edu requires, against its bounds; those of notebooks may lack.

    Args:
        requirements: as in a wheel's metadata, such as 'ipython>=7.34; extra == "lab"'; by default
            those of the installed sorl-edu.
    """
    from packaging.requirements import Requirement

    if requirements is None:
        try:
            own = Finding("sorl-edu", "ok", metadata.version("sorl-edu"))
        except metadata.PackageNotFoundError:
            fix = f"in the repository: {PIP} --editable ."
            return [Finding("sorl-edu", "wrong", "not installed", fix)]
        return [own, *packages(metadata.requires("sorl-edu") or [])]
    findings = []
    for requirement in map(Requirement, requirements):
        for_all, for_lab = (
            requirement.marker is None or requirement.marker.evaluate({"extra": extra})
            for extra in ("", "lab")
        )
        if for_lab:
            findings.append(_package(requirement.name, requirement.specifier, essential=for_all))
    return findings


def _package(name: str, bounds, essential: bool) -> Finding:
    broken: Status = "wrong" if essential else "warn"
    fix = f"{PIP} '{name}{bounds}'"
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        text = "not installed" if essential else "not installed; only notebooks and videos need it"
        return Finding(name, broken, text, fix)
    if not bounds.contains(version, prereleases=True):
        return Finding(name, broken, f"{version}, but {bounds} is needed", fix)
    return Finding(name, "ok", version)


def devices() -> list[Finding]:
    """What JAX computes on."""
    import jax

    try:
        found = jax.devices()
    except RuntimeError as error:
        text = f"none works: {str(error).splitlines()[0]}"
        return [Finding("jax devices", "wrong", text, "try with JAX_PLATFORMS=cpu")]
    text = ", ".join(f"{device.platform}: {device.device_kind}" for device in found)
    if found[0].platform == "cpu" and shutil.which("nvidia-smi"):
        text += "; there is an NVIDIA driver, but JAX does not use it"
        return [Finding("jax devices", "warn", text, f"{PIP} 'sorl-edu[cuda]'")]
    return [Finding("jax devices", "ok", text)]


def environment() -> list[Finding]:
    """Whether an OGBench environment runs."""
    from sorl_edu.environments.rollout import make_environments

    try:
        import ogbench  # noqa: F401
    except ModuleNotFoundError as error:
        return [Finding("environment", "wrong", str(error), OGBENCH)]
    (env,) = make_environments(ENVIRONMENT, 1)
    env.reset(seed=0)
    env.step(env.action_space.sample() * 0)
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("gymnasium", "mujoco"))
    return [Finding("environment", "ok", f"{ENVIRONMENT} runs ({versions})")]


def rendering(timeout: float = RENDER_TIMEOUT) -> list[Finding]:
    """Whether MuJoCo can draw without a screen; tried in a process of its own, since it may die."""
    setting = dict(os.environ)
    if sys.platform.startswith("linux"):
        setting.setdefault("MUJOCO_GL", "egl")
    named = f"MUJOCO_GL={setting['MUJOCO_GL']}" if "MUJOCO_GL" in setting else "the default"
    try:
        tried = subprocess.run(
            [sys.executable, "-c", RENDER], env=setting, capture_output=True, timeout=timeout
        )
        if tried.returncode == 0:
            return [Finding("rendering", "ok", f"MuJoCo draws off-screen with {named}")]
        lines = tried.stderr.decode(errors="replace").strip().splitlines()
        problem = lines[-1] if lines else f"exit code {tried.returncode}"
    except subprocess.TimeoutExpired:
        problem = f"no answer within {timeout:.0f} s"
    text = f"MuJoCo can't draw off-screen with {named} ({problem}); only videos need it"
    fix = "apt-get install libegl1 libgl1-mesa-dri, and set MUJOCO_GL=egl"
    return [Finding("rendering", "warn", text, fix)]


def widgets(installed: Callable[[str], str] = metadata.version) -> list[Finding]:
    """Whether the notebooks' sliders will show: ipywidgets and its half in JupyterLab must match.

    Args:
        installed: the version of a package, or PackageNotFoundError.
    """
    fix = f"{PIP} --upgrade ipywidgets jupyterlab-widgets jupyterlab"
    if "COLAB_RELEASE_TAG" in os.environ:
        return [Finding("widgets", "ok", "Colab brings its own")]
    versions = {}
    for package in ("ipywidgets", "jupyterlab-widgets", "jupyterlab"):
        try:
            versions[package] = installed(package)
        except metadata.PackageNotFoundError:
            text = f"{package} is not installed: the notebooks' sliders need it"
            return [Finding("widgets", "warn", text, fix)]
    text = ", ".join(f"{package} {version}" for package, version in versions.items())
    ours, theirs = (int(versions[name].split(".")[0]) for name in list(versions)[:2])
    if {7: 1, 8: 3}.get(ours) != theirs:
        text += ": ipywidgets 7 goes with jupyterlab-widgets 1, and 8 with 3"
        return [Finding("widgets", "warn", text, fix)]
    return [Finding("widgets", "ok", text)]


def shipped_data(folder: Path | None = None) -> list[Finding]:
    """Whether the data that comes with the package is there and unchanged.

    Args:
        folder: with files and manifest.json; by default the package's.
    """
    from sorl_edu.datasets import ogbench
    from sorl_edu.errors import DataError
    from sorl_edu.files import MANIFEST, file_sha256, read_manifest

    folder = ogbench.shipped_data() if folder is None else folder
    fix = "install sorl-edu again; in the repository: git checkout -- data"
    try:
        entries = read_manifest(folder)
    except DataError as error:
        return [Finding("shipped data", "wrong", str(error), fix)]
    if not entries:
        return [Finding("shipped data", "wrong", f"there is no {MANIFEST} in {folder}", fix)]
    problems = []
    for name, entry in entries.items():
        if not (folder / name).is_file():
            problems.append(f"{name} is missing")
        elif file_sha256(folder / name) != entry["sha256"]:
            problems.append(f"{name} is not the file that was shipped (its sha256 differs)")
    if problems:
        return [Finding("shipped data", "wrong", f"in {folder}: {'; '.join(problems)}", fix)]
    return [Finding("shipped data", "ok", f"{len(entries)} files in {folder}, sha256 right")]


def cache(folder: str | os.PathLike | None = None) -> list[Finding]:
    """What was downloaded from OGBench; nothing has to be.

    Args:
        folder: by default OGBench's own cache.
    """
    from sorl_edu.datasets import ogbench

    place = Path(ogbench.CACHE if folder is None else folder).expanduser()
    whole, parts = sorted(place.glob("*.npz")), sorted(place.glob("*.npz.part"))
    size = sum(file.stat().st_size for file in whole) / 2**20
    text = f"{len(whole)} files ({size:,.0f} MiB) in {place}"
    if parts:
        names = ", ".join(part.name.removesuffix(".part") for part in parts)
        fix = "load the dataset again (it goes on where it stopped), or delete the .part file"
        return [Finding("ogbench cache", "warn", f"{text}; cut short: {names}", fix)]
    return [Finding("ogbench cache", "ok", text)]


def as_json(findings: Sequence[Finding]) -> str:
    return json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2)


def as_text(findings: Sequence[Finding]) -> str:
    """A line for each finding, its fix below it, and what it comes to."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.status:<5}  {finding.name:<{width}}  {finding.text}")
        if finding.fix:
            lines.append(f"{'':<5}  {'':<{width}}  fix: {finding.fix}")
    counts = {s: sum(finding.status == s for finding in findings) for s in ("wrong", "warn")}
    verdict = "sorl-edu can't work as it is" if counts["wrong"] else "sorl-edu works here"
    return "\n".join([*lines, "", f"{verdict}: {counts['wrong']} wrong, {counts['warn']} to note."])
