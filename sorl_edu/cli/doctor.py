"""`sorl-edu doctor`: what is installed, what is wrong with it, and the remedy.

Every check is a function that returns findings and changes nothing. A check imports what it
examines when it runs, so that a broken package is a finding and doesn't end the doctor.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from sorl_edu.cli.command import Command

Status = Literal["ok", "warn", "wrong"]

PIP = "python -m pip install"
REINSTALL = "install sorl-edu again; in the repository: rm -rf .venv && make demo"
OGBENCH = f"{PIP} --no-deps ogbench dm_control"  # see pyproject.toml
ENVIRONMENT = "pointmaze-medium-navigate-singletask-v0"
SHIPPED = (
    ".",
    "baselines",
    "claims",
    "course",
    "evor",
    "finetuning",
    "imitation",
    "narrow",
    "published",
    "robots",
)
"""Folders of data/ with a manifest each."""
TIMEOUT = 60.0  # seconds
RENDER = """
import mujoco
with mujoco.Renderer(mujoco.MjModel.from_xml_string("<mujoco><worldbody/></mujoco>"), 8, 8) as view:
    view.render()
"""
IMPORT = """
import importlib, sys
for module in sys.argv[1:]:
    print("begin", module, flush=True)
    try:
        importlib.import_module(module)
    except BaseException as error:
        words = " ".join(f"{type(error).__name__}: {error}".split())
        print("failed", module, words, flush=True)
    else:
        print("done", module, flush=True)
"""


@dataclass(frozen=True)
class Doctor(Command):
    """Report what is installed, what is wrong with it, and the remedy.

    The exit code is 1 if something essential is wrong.
    """

    json: bool = False
    """Print JSON, for programs."""

    examples = """
    sorl-edu doctor
    sorl-edu doctor --json
    """

    def run(self) -> int:
        findings = examine()
        print(as_json(findings) if self.json else as_text(findings))
        return int(any(finding.status == "wrong" for finding in findings))


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str
    """The thing that was checked."""
    status: Status
    """"ok"; "warn" if only some uses suffer; "wrong" if sorl-edu can't work."""
    text: str
    """The observation."""
    fix: str = ""
    """A remedy, unless the status is ok."""


def examine() -> list[Finding]:
    """The findings of all checks, in the order in which a person reads them."""
    checks = (
        python,
        system,
        packages,
        devices,
        learning,
        environment,
        rendering,
        widgets,
        shipped_data,
        cache,
    )
    return [finding for check in checks for finding in guarded(check)]


def guarded(check: Callable[[], list[Finding]]) -> list[Finding]:
    """The findings of a check; an error that it raises is a finding, too."""
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


def system(name: str = sys.platform) -> list[Finding]:
    """The operating system, and anything that doesn't work on it.

    Args:
        name: as in `sys.platform`.
    """
    if name in ("win32", "cygwin"):
        text = (
            "Windows, which is not tested; `sorl-edu course grade` doesn't work, since its fence "
            "needs Linux, or containers on macOS"
        )
        return [
            Finding(
                "system",
                "warn",
                text,
                "install Linux in WSL (wsl --install), and sorl-edu in there",
            )
        ]
    return [Finding("system", "ok", {"linux": "Linux", "darwin": "macOS"}.get(name, name))]


def usable_cpus() -> int:
    """The number of processors that this process may use, which a container may limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def packages(requirements: Sequence[str] | None = None) -> list[Finding]:
    """Every package that sorl-edu requires: whether it is within its bounds and can be imported.

    Packages that only notebooks and videos need may be missing.

    Args:
        requirements: as in a wheel's metadata, such as 'ipython>=7.34; extra == "lab"'; those of
            the installed sorl-edu by default.
    """
    from packaging.requirements import Requirement

    if requirements is None:
        try:
            own = Finding("sorl-edu", "ok", metadata.version("sorl-edu"))
        except metadata.PackageNotFoundError:
            fix = f"in the repository: {PIP} --editable ."
            return [Finding("sorl-edu", "wrong", "not installed", fix)]
        return [own, *packages(metadata.requires("sorl-edu") or [])]
    found = {}
    for requirement in map(Requirement, requirements):
        for_all, for_lab = (
            requirement.marker is None or requirement.marker.evaluate({"extra": extra})
            for extra in ("", "lab")
        )
        if for_lab:
            broken: Status = "wrong" if for_all else "warn"
            found[requirement.name] = (
                _package(requirement.name, requirement.specifier, broken),
                broken,
            )
    modules = _modules([name for name, (finding, _) in found.items() if finding.status == "ok"])
    for name, reason in import_errors(modules).items():
        finding, broken = found[name]
        text, fix = f"{finding.text}, but importing it failed ({reason})", _reinstall(name)
        found[name] = Finding(name, broken, text, fix), broken
    return [finding for finding, _ in found.values()]


def _package(name: str, bounds, broken: Status) -> Finding:
    fix = f"{PIP} '{name}{bounds}'"
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        only = "" if broken == "wrong" else "; only notebooks and videos need it"
        return Finding(name, broken, f"not installed{only}", fix)
    if not bounds.contains(version, prereleases=True):
        return Finding(name, broken, f"{version}, but {bounds} is needed", fix)
    return Finding(name, "ok", version)


def _reinstall(package: str) -> str:
    return f"{PIP} --force-reinstall --no-deps {package}=={metadata.version(package)}"


def _modules(packages: Iterable[str]) -> dict[str, str]:
    """The module to import of each package."""

    def plain(name: str) -> str:
        return re.sub("[-_.]", "", name).lower()

    modules: dict[str, list[str]] = {}
    for module, owners in metadata.packages_distributions().items():
        for owner in owners:
            modules.setdefault(plain(owner), []).append(module)
    return {
        name: min(modules[plain(name)], key=lambda module: (plain(module) != plain(name), module))
        for name in packages
        if plain(name) in modules
    }


def import_errors(modules: dict[str, str], timeout: float = 2 * TIMEOUT) -> dict[str, str]:
    """Why modules can't be imported, tried in another process, which they may crash.

    Args:
        modules: the module of each package.
        timeout: seconds for all of them.

    Returns:
        the reason, for each package whose module can't be imported.
    """
    code, output, _ = _run(IMPORT, *modules.values(), timeout=timeout)
    state: dict[str, str] = {}
    for line in output.splitlines():
        word, module, *rest = line.split(" ", 2)
        if word in ("begin", "failed", "done"):
            state[module] = " ".join(rest) if word == "failed" else word
    ended = f"no answer within {timeout:.0f} s" if code is None else f"exit code {code}"
    reasons = {module: ended if was == "begin" else was for module, was in state.items()}
    return {
        name: reasons[module]
        for name, module in modules.items()
        if reasons.get(module, "done") != "done"
    }


def _run(script: str, *arguments: str, timeout: float, **environment: str):
    """Exit code (None after the timeout), output and errors of a Python script."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            env=os.environ | environment,
            capture_output=True,
            timeout=timeout,
        )
        code, output, errors = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as stopped:
        code, output, errors = None, stopped.stdout or b"", stopped.stderr or b""
    return code, output.decode(errors="replace"), errors.decode(errors="replace")


def devices() -> list[Finding]:
    """The devices that JAX computes on."""
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


def learning() -> list[Finding]:
    """Whether a small agent learns, is saved and loaded, and acts."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("jax", "flax", "optax"))
    try:
        _learn()
    except Exception as error:
        line = " ".join(f"{type(error).__name__}: {error}".split())
        text = f"an agent can't learn with {versions} ({line})"
        return [Finding("learning", "wrong", text, REINSTALL)]
    return [Finding("learning", "ok", f"an agent learns, is kept and acts ({versions})")]


def _learn() -> None:
    import jax
    import numpy as np

    from sorl_edu.agents import SORL
    from sorl_edu.agents.agent import Network, act
    from sorl_edu.datasets.transitions import Transitions
    from sorl_edu.training import train
    from sorl_edu.training.checkpoints import AgentInfo, load_agent, save_agent

    small = Network(hidden=(4,), layer_norm=True)
    agent = SORL(
        denoise_steps=2, max_backprop_steps=1, batch_size=4, field=small, critic=small, n_step=2
    )
    rows = np.linspace(-1, 1, 8)[:, None]
    data = Transitions.create(rows, rows, np.zeros(8), np.ones(8), np.arange(8) == 7)
    run = train(agent, data, updates=2, key=jax.random.key(0), progress=False)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "agent.safetensors"
        save_agent(file, agent, run.state, AgentInfo(ENVIRONMENT, 2))
        agent, state, _ = load_agent(file)
    action = act(agent, state, rows[:1], jax.random.key(0), steps=2, candidates=2)
    if not np.isfinite(action).all():
        raise FloatingPointError(f"its action is {action}")


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


def rendering(timeout: float = TIMEOUT, name: str = sys.platform) -> list[Finding]:
    """Whether MuJoCo can draw without a screen, tried in another process, which it may crash.

    Args:
        timeout: seconds.
        name: the operating system, as in `sys.platform`.
    """
    linux = name.startswith("linux")
    backend = os.environ.get("MUJOCO_GL") or ("egl" if linux else "")
    code, _, errors = _run(RENDER, timeout=timeout, MUJOCO_GL=backend)
    named = f"MUJOCO_GL={backend}" if backend else "the system's OpenGL"
    if code == 0:
        return [Finding("rendering", "ok", f"MuJoCo draws off-screen with {named}")]
    ended = f"no answer within {timeout:.0f} s" if code is None else f"exit code {code}"
    problem = (errors.strip().splitlines() or [ended])[-1]
    text = f"MuJoCo can't draw off-screen with {named} ({problem}); only videos of robots need it"
    fix = (
        "apt-get install libegl1 libgl1-mesa-dri, and set MUJOCO_GL=egl"
        if linux
        else "unset MUJOCO_GL, install a graphics driver, and run in a session with a screen"
    )
    return [Finding("rendering", "warn", text, fix)]


def widgets(installed: Callable[[str], str] = metadata.version) -> list[Finding]:
    """Whether the notebooks' sliders will show: ipywidgets and JupyterLab's part of it must match.

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
    library, front_end = (int(versions[name].split(".")[0]) for name in list(versions)[:2])
    if {7: 1, 8: 3}.get(library) != front_end:
        text += ": ipywidgets 7 needs jupyterlab-widgets 1, and 8 needs 3"
        return [Finding("widgets", "warn", text, fix)]
    return [Finding("widgets", "ok", text)]


def shipped_data(*folders: Path) -> list[Finding]:
    """Whether the files that come with the package are there and unchanged.

    Args:
        folders: those with a manifest.json and its files; all of the package's by default.
    """
    from sorl_edu.datasets import ogbench
    from sorl_edu.errors import DataError
    from sorl_edu.files import MANIFEST, file_sha256, read_manifest

    root = ogbench.shipped_data()
    folders = folders or tuple(root / name for name in SHIPPED)
    fix = "install sorl-edu again; in the repository: git checkout -- data"
    problems, count = [], 0
    for folder in folders:
        try:
            entries = read_manifest(folder)
        except DataError as error:
            problems.append(str(error))
            continue
        if not entries:
            problems.append(f"there is no {MANIFEST} in {folder}")
        for name, entry in entries.items():
            file = folder / name
            if not file.is_file():
                problems.append(f"{file} is missing")
            elif file_sha256(file) != entry["sha256"]:
                problems.append(f"{file} is not the file that was shipped (its sha256 differs)")
        count += len(entries)
    if problems:
        return [Finding("shipped data", "wrong", "; ".join(problems), fix)]
    places = ", ".join(map(str, folders)) if folders[0] != root else root
    return [Finding("shipped data", "ok", f"{count} files in {places}, sha256 right")]


def cache(folder: str | os.PathLike | None = None) -> list[Finding]:
    """Downloaded datasets, of which none is needed.

    Args:
        folder: OGBench's own cache by default.
    """
    from sorl_edu.datasets import ogbench

    place = Path(ogbench.CACHE if folder is None else folder).expanduser()
    whole, parts = sorted(place.glob("*.npz")), sorted(place.glob("*.npz.part"))
    size = sum(file.stat().st_size for file in whole) / 2**20
    text = f"{len(whole)} files ({size:,.0f} MiB) in {place}"
    if parts:
        names = ", ".join(part.name.removesuffix(".part") for part in parts)
        fix = "load the dataset again (the download resumes), or delete the .part file"
        return [Finding("ogbench cache", "warn", f"{text}; cut short: {names}", fix)]
    return [Finding("ogbench cache", "ok", text)]


def as_json(findings: Sequence[Finding]) -> str:
    return json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2)


def as_text(findings: Sequence[Finding]) -> str:
    """A line for each finding, its fix below it, and the verdict."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.status:<5}  {finding.name:<{width}}  {finding.text}")
        if finding.fix:
            lines.append(f"{'':<5}  {'':<{width}}  fix: {finding.fix}")
    counts = {s: sum(finding.status == s for finding in findings) for s in ("wrong", "warn")}
    verdict = "sorl-edu can't work as it is" if counts["wrong"] else "sorl-edu works here"
    return "\n".join([*lines, "", f"{verdict}: {counts['wrong']} wrong, {counts['warn']} to note."])
