"""The command line: `sorl-edu train | evaluate | sweep | benchmark | collect | ...`.

A command is a frozen dataclass whose fields are its flags, read by tyro, and whose `run` first
checks everything that can be checked without work. What the library refuses (an unknown name, an
impossible value, a damaged file) is told in one message, without a traceback, with exit code 2 when
the command line is at fault and 1 when something else is.

JAX and MuJoCo take seconds to import, so a command imports what it needs when it runs.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import Positional, arg

from sorl_edu.errors import CheckpointError, ConfigError, DataError, UnknownName, check

if TYPE_CHECKING:
    from sorl_edu.agents import Agent
    from sorl_edu.agents.agent import State
    from sorl_edu.training.checkpoints import AgentInfo

HELP = """\
usage: sorl-edu COMMAND ...

Offline reinforcement learning with shortcut models (SORL) on OGBench.

  sorl-edu collect   make a PointMaze, cube or scene dataset on this machine
  sorl-edu train     train an agent, several seeds at once
  sorl-edu evaluate  run a trained agent in its environment
  sorl-edu sweep     evaluate a grid of inference steps x N, over training seeds
  sorl-edu video     film two settings of an agent side by side
  sorl-edu benchmark train and evaluate on a suite, beside the published table
  sorl-edu course    write, check and execute the notebooks; `course build` makes versions to hand
                     out, `course grade` grades a submission, `course leaderboard` ranks them
                     (in a checkout of the repository)
  sorl-edu doctor    say what is wrong with this installation, and the fix

sorl-edu COMMAND --help lists a command's flags and gives examples."""

MAX_SEED = 2**32 - 1
SECRET = "SORL_EDU_SECRET"  # the variable that hidden tests are made from


@dataclass(frozen=True)
class Train:
    """Train an agent on an OGBench dataset, several seeds at once.

    A run that was stopped goes on, with the same command, from its last checkpoint.
    """

    dataset: Positional[Annotated[str, arg(metavar="DATASET")]]
    """OGBench's name of dataset and task, such as pointmaze-medium-navigate-singletask-v0."""
    out: Path
    """Folder for the agents (agent_seed0.safetensors, ...), history.csv and learning_curves.png."""
    preset: str | None = None
    """Where hyper-parameters start from; by default the preset for the dataset."""
    updates: int = 20_000
    """Updates of each seed, in all."""
    seeds: int = 1
    """How many agents to train, at once."""
    seed: int = 0
    """The first one's seed; the others have the seeds after it."""
    data: Path | None = None
    """Folder in which to look for the dataset first."""
    log_every: int = 1000
    """Updates between rows of history.csv."""
    checkpoint_every: int = 10_000
    """Updates between checkpoints, from which a stopped run goes on; a multiple of log-every."""

    examples = """
    sorl-edu train pointmaze-medium-navigate-singletask-v0 --out runs/first
    sorl-edu train pointmaze-medium-navigate-singletask-v0 --out runs/greedy \\
        --updates 30000 --seeds 4 --q-weight 5000 --field-hidden 128 128
    sorl-edu train pointmaze-medium-navigate-singletask-v0 --out runs/bc \\
        --preset pointmaze-bc
    sorl-edu train cube-single-play-singletask-v0 --out runs/cube --updates 1000000
    """

    @classmethod
    def with_flags_of(cls, agent: Agent) -> type[Train]:
        """This command with a field `agent`, whose hyper-parameters are flags, too."""
        flags = ("agent", Annotated[type(agent), arg(name="")], agent)
        return make_dataclass(cls.__name__, [flags], bases=(cls,), frozen=True)

    def run(self) -> int:
        from sorl_edu.datasets.ogbench import load
        from sorl_edu.environments.make import parse_name
        from sorl_edu.training import RESUME_FILE, use_all_cores

        use_all_cores()
        parse_name(self.dataset)
        for flag in ("updates", "seeds", "log_every", "checkpoint_every"):
            value = getattr(self, flag)
            check(value >= 1, f"--{flag.replace('_', '-')} must be at least 1, got {value}")
        check(
            self.checkpoint_every % self.log_every == 0,
            f"--checkpoint-every ({self.checkpoint_every}) must be a multiple of --log-every "
            f"({self.log_every})",
        )
        _check_seed(self.seed)
        _check_seed(self.seed + self.seeds - 1)
        if self.data is not None:
            check(self.data.expanduser().is_dir(), f"there is no folder '{self.data}'")
        out = _usable_folder(self.out)
        done = _updates_done(out / RESUME_FILE, self.updates)

        from sorl_edu import plotting
        from sorl_edu.files import write_csv
        from sorl_edu.training import seed_keys, seed_state, train_seeds
        from sorl_edu.training.checkpoints import AgentInfo, save_agent

        dataset = load(self.dataset, folder=self.data)
        print(f"{len(dataset.train):,} transitions from {dataset.path}")
        if done:
            print(f"{out} has this run's first {done:,} updates: going on from there")
        seeds = range(self.seed, self.seed + self.seeds)
        run = train_seeds(
            self.agent,
            dataset.train,
            updates=self.updates,
            keys=seed_keys(seeds),
            validation=dataset.validation,
            log_every=self.log_every,
            checkpoint_dir=out,
            checkpoint_every=self.checkpoint_every,
        )

        files = [out / f"agent_seed{seed}.safetensors" for seed in seeds]
        preset = self.preset or _preset_name([self.dataset])
        for i, (seed, file) in enumerate(zip(seeds, files, strict=True)):
            info = AgentInfo(self.dataset, self.updates, seed, preset, dataset.sha256)
            save_agent(file, self.agent, seed_state(run.state, i), info)
        history = run.history.assign(seed=run.history.seed + self.seed)
        write_csv(history, out / "history.csv")
        plotting.save_figure(plotting.learning_curves(history), out / "learning_curves.png")

        print(f"Trained for {run.seconds:.0f} s; {out} has agents, history and learning curves.")
        candidates = 32 if hasattr(self.agent, "critic") else 1
        command = "evaluate" if self.seeds == 1 else "sweep"
        rest = ["--candidates", candidates, *(["--out", out] if self.seeds > 1 else [])]
        print("Next:", shlex.join(map(str, ["sorl-edu", command, *files, *rest])))
        return 0


@dataclass(frozen=True)
class Evaluate:
    """Run a trained agent in its environment: success, return and length with 95% intervals."""

    agent: Positional[Annotated[Path, arg(metavar="AGENT.safetensors")]]
    """The agent's file."""
    steps: int = 8
    """Inference steps m, a power of two."""
    candidates: int = 32
    """N, the candidate actions of which the critic chooses one."""
    episodes: int = 50
    """How many, all at once."""
    seed: int = 0
    """Of the starts and of the actions."""

    examples = """
    sorl-edu evaluate runs/demo/agent.safetensors
    sorl-edu evaluate runs/demo/agent.safetensors --steps 1 --candidates 1
    sorl-edu evaluate runs/first/agent_seed0.safetensors --episodes 200 --seed 1
    """

    def run(self) -> int:
        _check_evaluation([self.steps], [self.candidates], self.episodes, self.seed)
        agent, state, info = _load_agents([self.agent], [self.steps], [self.candidates])[0]

        from sorl_edu.evaluation import as_text, evaluate, summarize

        episodes, _ = evaluate(
            agent,
            state,
            info.environment,
            steps=self.steps,
            candidates=self.candidates,
            episodes=self.episodes,
            seed=self.seed,
        )
        cell = {"training_seed": info.seed, "steps": self.steps, "candidates": self.candidates}
        print(f"{self.agent}: {info.environment}, seed {info.seed}, {info.updates:,} updates")
        print(as_text(summarize(episodes.assign(**cell))))
        return 0


@dataclass(frozen=True)
class Sweep:
    """Evaluate a grid of inference steps x N, every setting from the same starts.

    Give one agent's file for each training seed; with several, intervals are over training seeds.
    """

    agents: Positional[Annotated[tuple[Path, ...], arg(metavar="AGENT.safetensors ...")]]
    """The agents' files: the same hyper-parameters and data, each of another training seed."""
    out: Path
    """Folder for episodes.csv (a row per episode), sweep.csv (per setting) and sweep.png."""
    steps: tuple[int, ...] = (1, 2, 4, 8)
    """Inference steps m, powers of two."""
    candidates: tuple[int, ...] = (1, 8, 32)
    """N, the candidate actions of which the critic chooses one."""
    episodes: int = 50
    """For each setting and training seed."""
    seed: int = 0
    """Of the starts and of the actions."""

    examples = """
    sorl-edu sweep runs/demo/agent.safetensors --out runs/demo_sweep
    sorl-edu sweep runs/greedy/agent_seed0.safetensors \\
        runs/greedy/agent_seed1.safetensors --steps 1 8 16 --candidates 1 32 \\
        --episodes 100 --out runs/greedy
    """

    def run(self) -> int:
        steps, candidates = tuple(dict.fromkeys(self.steps)), tuple(dict.fromkeys(self.candidates))
        check(len(self.agents) > 0, "name at least one agent's file")
        _check_evaluation(steps, candidates, self.episodes, self.seed)
        out = _usable_folder(self.out)
        loaded = _load_agents(self.agents, steps, candidates)
        agent, _, info = loaded[0]
        seeds = _training_seeds(self.agents, loaded)

        import jax
        import jax.numpy as jnp

        from sorl_edu import plotting
        from sorl_edu.evaluation import as_text, summarize, sweep
        from sorl_edu.files import write_csv

        episodes = sweep(
            agent,
            jax.tree.map(lambda *leaves: jnp.stack(leaves), *(state for _, state, _ in loaded)),
            info.environment,
            steps=steps,
            candidates=candidates,
            episodes=self.episodes,
            seed=self.seed,
        )
        episodes["training_seed"] = episodes.training_seed.map(dict(enumerate(seeds)))
        summary = summarize(episodes)
        write_csv(episodes, out / "episodes.csv")
        write_csv(summary, out / "sweep.csv")
        plotting.save_figure(plotting.sweep_heatmap(summary), out / "sweep.png")
        print(as_text(summary))
        print(f"{out} has episodes.csv, sweep.csv and sweep.png.")
        return 0


@dataclass(frozen=True)
class Video:
    """Film an agent under two settings side by side, from the same start.

    Each frame has the setting (steps m and N), the environment step, the critic's Q of the chosen
    action and the outcome. Both settings run the episodes that `sorl-edu evaluate` counts for the
    same seed and number of episodes.

    Robots are drawn by MuJoCo, which needs OpenGL: without a screen, libegl1 and libgl1-mesa-dri
    (apt-get install), and without a GPU it draws a few pictures a second. Mazes need nothing.
    """

    agent: Positional[Annotated[Path, arg(metavar="AGENT.safetensors")]]
    """The agent's file."""
    out: Path
    """Folder for video.mp4, video.gif and contact_sheet.png (moments of both, side by side)."""
    steps: tuple[int, int] = (1, 8)
    """Inference steps m of the left and of the right setting, powers of two."""
    candidates: tuple[int, int] = (1, 1)
    """N of the left and of the right setting."""
    episodes: int = 1
    """How many, shown one after the other."""
    seed: int = 0
    """Of the starts and of the actions."""
    size: int = 320
    """Pixels along each edge of a setting's picture, even."""
    every: int = 1
    """Environment steps between frames, of which the MP4 shows 20 a second."""

    examples = """
    sorl-edu video runs/demo/agent.safetensors --out runs/demo_video
    sorl-edu video runs/demo/agent.safetensors --out runs/best_of_32 \\
        --steps 8 8 --candidates 1 32 --episodes 3 --seed 1
    sorl-edu video runs/cube/agent_seed0.safetensors --out runs/cube_video --size 480
    """

    def run(self) -> int:
        _check_evaluation(self.steps, self.candidates, self.episodes, self.seed)
        out = _usable_folder(self.out)
        agent, state, info = _load_agents([self.agent], self.steps, self.candidates)[0]

        from sorl_edu.plotting.video import FILES, film

        settings = film(
            agent,
            state,
            info.environment,
            out,
            steps=self.steps,
            candidates=self.candidates,
            episodes=self.episodes,
            seed=self.seed,
            size=self.size,
            every=self.every,
        )
        print(f"{self.agent}: {info.environment}, seed {info.seed}, {info.updates:,} updates")
        for recordings in settings:
            outcomes = "; ".join(recording.outcome() for recording in recordings)
            print(f"{recordings[0].setting()}: {outcomes}")
        print(f"{out} has {FILES[0]}, {FILES[1]} and {FILES[2]}.")
        return 0


@dataclass(frozen=True)
class Collect:
    """Make a PointMaze, cube or scene dataset, by OGBench's own oracles and recipes.

    The files are in OGBench's format; a tenth as many episodes again are for validation.

    Finished episodes are kept: a collection that was stopped goes on with the same command.
    """

    name: Positional[Annotated[str, arg(metavar="DATASET")]]
    """OGBench's name of the dataset, such as cube-single-play-v0."""
    out: Path
    """Folder for the files, and until they are there for DATASET.parts."""
    episodes: int | None = None
    """Training episodes; by default as many as the official dataset has."""
    workers: int | None = None
    """Processes, of 0.7 GB each for robots; by default one per core. The data are the same."""
    noise: float | None = None
    """Standard deviation, on actions (play: on plans; noisy: the largest); official by default."""
    seed: int = 0
    """The same seed gives the same data."""
    overwrite: bool = False
    """Replace files that are there."""

    examples = """
    sorl-edu collect pointmaze-medium-navigate-v0 --episodes 200 --out DIR
    sorl-edu collect pointmaze-large-stitch-v0 --out data/large --noise 0.2 --seed 1
    sorl-edu collect cube-single-play-v0 --episodes 250 --out data/cube
    sorl-edu collect scene-noisy-v0 --workers 2 --out data/scene
    """

    def run(self) -> int:
        from sorl_edu.cli.doctor import usable_cpus
        from sorl_edu.datasets.collect import collect

        _check_seed(self.seed)
        paths = collect(
            self.name,
            _usable_folder(self.out),
            episodes=self.episodes,
            noise=self.noise,
            seed=self.seed,
            workers=usable_cpus() if self.workers is None else self.workers,
            overwrite=self.overwrite,
        )
        print("Wrote", " and ".join(map(str, paths)))
        folder = str(paths[0].parent)
        task = self.name.replace("-v0", "-singletask-v0")
        train = ["sorl-edu", "train", task, "--data", folder, "--out", "runs/collected"]
        print("Next:", shlex.join(train))
        return 0


@dataclass(frozen=True)
class Benchmark:
    """Train and evaluate on a whole suite, and put the table beside the published one.

    All seeds and tasks of an environment are trained at once, on all GPUs that are there. It says
    beforehand how long it will take. What was done is kept: the same command goes on where it was
    stopped.
    """

    out: Path
    """Folder for results.csv, table.md and, for each environment, agents and learning curves."""
    suite: str = "ogbench-sorl"
    """The paper's forty tasks, or 'pointmaze', five that a laptop does."""
    tasks: tuple[str, ...] = ()
    """Environments or single tasks of the suite, by name; all of it unless given."""
    seeds: int = 8
    """Training seeds of every task."""
    updates: int = 1_000_000
    """Of each; agents are evaluated after 80%, 90% and all of them."""
    steps: tuple[int, ...] = (1, 2, 4, 8)
    """Inference steps m, powers of two."""
    candidates: tuple[int, ...] = (1, 8, 32)
    """N, the candidate actions of which the critic chooses one."""
    episodes: int = 50
    """For each setting, agent and evaluation."""
    preset: str | None = None
    """Hyper-parameters for all; the published ones of each environment unless given."""
    data: Path | None = None
    """Folder in which to look for the datasets first."""
    checkpoint_every: int = 10_000
    """Updates between checkpoints, from which a stopped run goes on."""
    estimate_only: bool = False
    """Say how long it would take, and stop."""

    examples = """
    sorl-edu benchmark --out runs/ogbench
    sorl-edu benchmark --out runs/ogbench --estimate-only
    sorl-edu benchmark --suite pointmaze --out runs/mazes --seeds 3 --updates 10000
    sorl-edu benchmark --tasks cube-single-play --data runs/data --out runs/cube \\
        --preset cube-single-small --seeds 3 --updates 50000 --steps 1 8 --candidates 1 32
    """

    def run(self) -> int:
        from sorl_edu.experiments import benchmark
        from sorl_edu.training import use_all_cores

        use_all_cores()
        names = [field.name for field in fields(benchmark.Plan)]
        plan = benchmark.Plan(**{name: getattr(self, name) for name in names})
        if self.data is not None:
            check(self.data.expanduser().is_dir(), f"there is no folder '{self.data}'")
        out = _usable_folder(self.out)

        print("From a short measurement on this machine:")
        training = evaluation = 0.0
        for env, numbers in plan.environments():
            guess = benchmark.estimate(plan, env, numbers)
            training, evaluation = training + guess.training, evaluation + guess.evaluation
            print(
                f"  {env.name}: {len(numbers)} task(s) x {plan.seeds} seed(s) at "
                f"{guess.updates_per_second:.3g} updates/s, {guess.training / 3600:.2g} h; "
                f"evaluation at most {guess.evaluation / 3600:.2g} h",
                flush=True,
            )
        print(
            f"In all {training / 3600:.2g} h of training and at most {evaluation / 3600:.2g} h of "
            "evaluation, less what is done already."
        )
        if self.estimate_only:
            return 0
        results = benchmark.run(plan, out, data=self.data)
        print(benchmark.as_markdown(plan, results))
        print(f"{out} has results.csv and table.md, and a folder for each environment.")
        return 0


@dataclass(frozen=True)
class Course:
    """Write, check or execute the notebooks of the course, in a checkout of the repository.

    sync: stamp the repository's address (pyproject.toml has it) into notebooks/NN_name.py, and
    write NN_name.ipynb from it, without outputs.
    check: say what is not up to date, or missing; the exit code is 1 if anything is.
    run: execute the notebooks and print the seconds and the errors of each.
    """

    what: Positional[Annotated[Literal["sync", "check", "run"], arg(metavar="sync|check|run")]]
    """What to do."""
    notebooks: Positional[Annotated[tuple[str, ...], arg(metavar="[NOTEBOOK ...]")]] = ()
    """Which ones to run, by number or name; all unless given."""
    stamp: bool = False
    """After a run, write the measured times into the notebooks and the README."""
    root: Path = Path(__file__).resolve().parents[2]
    """The repository's folder."""

    examples = """
    sorl-edu course sync
    sorl-edu course check
    sorl-edu course run 1 05_test_time --stamp
    """

    def run(self) -> int:
        from sorl_edu.course import notebooks

        only_run = not self.notebooks and not self.stamp
        check(self.what == "run" or only_run, f"course {self.what} takes no notebooks, no --stamp")
        root = self.root.expanduser()
        if self.what == "run":
            executions = notebooks.run(root, self.notebooks, stamp=self.stamp)
            return int(any(execution.failures for execution in executions))
        if self.what == "sync":
            changed = notebooks.sync(root)
            print("\n".join(f"wrote {path}" for path in changed) or "all is up to date")
            return 0
        found = notebooks.problems(root)
        print("\n".join(found) or "all is up to date")
        return int(bool(found))


@dataclass(frozen=True)
class Build:
    """Make a version of the notebooks to hand out or to keep, as .ipynb and as text.

    student: without the solutions. solution: with the blanks filled in. instructor: the student's,
    and after each check its solution, points and the usual mistakes. nbgrader: the student's, with
    nbgrader's marks and hidden tests, which `nbgrader generate_assignment` takes out again. Their
    cases are made from a secret, the variable SORL_EDU_SECRET.
    """

    version: Annotated[Literal["student", "solution", "instructor", "nbgrader"], arg(name="for")]
    """Which version."""
    to: Path
    """The folder to write to."""
    notebooks: Positional[Annotated[tuple[str, ...], arg(metavar="[NOTEBOOK ...]")]] = ()
    """Which ones, by number (5 a lesson, A2 an assignment) or name; all unless given."""
    root: Path = Path(__file__).resolve().parents[2]
    """The repository's folder."""

    examples = """
    sorl-edu course build --for student --to handout
    sorl-edu course build --for nbgrader --to source/assignment2 A2
    """

    def run(self) -> int:
        from sorl_edu.course.build import build

        secret = _secret() if self.version == "nbgrader" else ""
        to = _usable_folder(self.to, "--to")
        files = build(self.root.expanduser(), self.version, to, self.notebooks, secret=secret)
        print("\n".join(f"wrote {file}" for file in files))
        return 0


@dataclass(frozen=True)
class Grade:
    """Grade a submission: its answers run in a process of their own, with limits.

    The checks are those that students see, with cases made from a secret, the variable
    SORL_EDU_SECRET. The exit code is 0 if it could be graded, whatever it was given.
    """

    submission: Positional[Annotated[Path, arg(metavar="SUBMISSION.ipynb")]]
    """The student's notebook."""
    assignment: int | None = None
    """Of which assignment, by number."""
    notebook: str | None = None
    """Or of which notebook of the course, by number or name."""
    json: bool = False
    """Print Gradescope's results.json."""
    seconds: float = 600.0
    """Time for all answers together; then they are stopped."""
    memory: float = 4.0
    """GiB; then they are stopped."""
    root: Path = Path(__file__).resolve().parents[2]
    """The repository's folder."""

    examples = """
    sorl-edu course grade ada.ipynb --assignment 2
    sorl-edu course grade ada.ipynb --assignment 2 --json
    sorl-edu course grade ada.ipynb --notebook 5
    """

    def run(self) -> int:
        import json

        from sorl_edu.course import notebooks
        from sorl_edu.course.grading.grade import grade

        secret = _secret()
        check(self.seconds > 0 and self.memory > 0, "--seconds and --memory must be positive")
        one = (self.assignment is None) != (self.notebook is None)
        check(one, "name what it is a submission of: --assignment N or --notebook N")
        name = self.notebook if self.assignment is None else f"A{self.assignment}"
        (source,) = notebooks.find(self.root.expanduser(), [name])
        report = grade(
            self.submission.expanduser(),
            source.text(),
            secret=secret,
            name=source.name,
            seconds=self.seconds,
            memory=int(self.memory * 2**30),
            unread=[self.root.expanduser().resolve() / "notebooks"],
        )
        print(json.dumps(report.as_gradescope(), indent=2) if self.json else report.as_text())
        return 0


@dataclass(frozen=True)
class Leaderboard:
    """Rank graded submissions by a measured exercise, as far as their seeds can tell.

    Who shares a place can't be told apart: a paired difference's 95% interval has zero inside.
    """

    results: Positional[Annotated[tuple[Path, ...], arg(metavar="RESULT.json ...")]]
    """What `course grade --json` printed for each, a file named after the student or team."""
    exercise: str = "A3.2"
    """Which exercise."""
    root: Path = Path(__file__).resolve().parents[2]
    """The repository's folder."""

    examples = """
    sorl-edu course leaderboard results/*.json
    sorl-edu course leaderboard results/*.json --exercise A1.4
    """

    def run(self) -> int:
        from sorl_edu.course import notebooks
        from sorl_edu.course.exercises.measured import Measured
        from sorl_edu.course.grading import leaderboard
        from sorl_edu.course.grading.grade import check_of

        check(len(self.results) > 0, "name at least one file of results")
        (source,) = notebooks.find(self.root.expanduser(), [self.exercise.partition(".")[0]])
        known = {e.number: check_of(e) for e in notebooks.exercises(source.text())}
        measured = [number for number, check in known.items() if isinstance(check, Measured)]
        if self.exercise not in measured:
            raise UnknownName("measured exercise", self.exercise, measured)
        kind = known[self.exercise]
        entries = [leaderboard.read(path.expanduser(), self.exercise) for path in self.results]
        places = leaderboard.ranked([entry for entry in entries if entry], kind.better)
        print(leaderboard.as_markdown(places, kind.quantity))
        missing = [p.stem for p, entry in zip(self.results, entries, strict=True) if not entry]
        if missing:
            print(f"\nNothing could be measured of: {', '.join(missing)}")
        return 0


@dataclass(frozen=True)
class Doctor:
    """Say what is installed, what is wrong with it, and the fix.

    The exit code is 1 if something essential is wrong.
    """

    json: bool = False
    """Print JSON, for programs."""

    examples = """
    sorl-edu doctor
    sorl-edu doctor --json
    """

    def run(self) -> int:
        from sorl_edu.cli import doctor

        findings = doctor.examine()
        print(doctor.as_json(findings) if self.json else doctor.as_text(findings))
        return int(any(finding.status == "wrong" for finding in findings))


COMMANDS: dict[str, type] = {
    "train": Train,
    "evaluate": Evaluate,
    "sweep": Sweep,
    "video": Video,
    "benchmark": Benchmark,
    "collect": Collect,
    "course": Course,
    "course build": Build,
    "course grade": Grade,
    "course leaderboard": Leaderboard,
    "doctor": Doctor,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code; messages for people go to stderr."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        return parse(argv).run()
    except SystemExit as stop:  # tyro's help (0) and its refusals (2), which it has printed
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt:
        return _say("interrupted; the same command goes on from what was kept, if anything", 130)
    except ConfigError as error:
        return _say(f"{error}", 2)
    except (DataError, CheckpointError, OSError) as error:
        return _say(f"{error}", 1)
    except ModuleNotFoundError as error:
        return _say(f"{error}. `sorl-edu doctor` says how to mend it", 1)
    except RuntimeError as error:
        from sorl_edu.training import NonFiniteLoss

        if not isinstance(error, NonFiniteLoss):
            raise
        return _say(f"{error}", 1)


def parse(argv: Sequence[str]):
    """The command of a command line, ready to `run`.

    Raises:
        SystemExit: for --help (code 0), and for what tyro refuses (code 2).
        ConfigError: an unknown command, preset or dataset, or an impossible hyper-parameter.
    """
    if not argv or argv[0] in ("-h", "--help"):
        print(HELP, file=sys.stdout if argv else sys.stderr)
        raise SystemExit(0 if argv else 2)
    words = 2 if " ".join(argv[:2]) in COMMANDS else 1
    name, rest = " ".join(argv[:words]), argv[words:]
    if name not in COMMANDS:
        raise UnknownName("command", name, COMMANDS)
    command = COMMANDS[name]
    paragraphs = [line.strip() for line in command.__doc__.splitlines() if line.strip()]
    if command is Train:
        from sorl_edu.agents.presets import PRESETS, preset

        chosen = _preset_name(rest)
        command = Train.with_flags_of(preset(chosen))
        paragraphs.append(
            f"Hyper-parameters have the defaults of preset '{chosen}'. "
            f"Presets: {', '.join(PRESETS)}."
        )
    description = "\n\n".join([*paragraphs, f"Examples:{command.examples}"])
    return tyro.cli(command, prog=f"sorl-edu {name}", description=description, args=rest)


def _say(message: str, code: int) -> int:
    print(f"sorl-edu: {message}", file=sys.stderr)
    return code


def _preset_name(argv: Sequence[str]) -> str:
    """The preset that a command line names, else the one for its dataset, else the course's."""
    from sorl_edu.agents.presets import PRESETS, preset_for
    from sorl_edu.environments.make import parse_name

    for flag, value in zip(argv, [*argv[1:], ""], strict=True):
        if flag == "--preset" or flag.startswith("--preset="):
            return flag.partition("=")[2] or value
    for word in argv:
        try:
            parse_name(word)
        except ConfigError:
            continue
        try:
            return preset_for(word)
        except UnknownName:
            raise ConfigError(
                f"no preset is for {word}: choose one with --preset ({', '.join(PRESETS)})"
            ) from None
    return "pointmaze"


def _secret() -> str:
    secret = os.environ.get(SECRET, "")
    check(bool(secret), f"the hidden cases are made from a secret: set the variable {SECRET}")
    return secret


def _check_seed(seed: int) -> None:
    check(0 <= seed <= MAX_SEED, f"--seed must lie in 0 .. {MAX_SEED}, got {seed}")


def _usable_folder(folder: Path, flag: str = "--out") -> Path:
    """A folder that is there and can be written to, or could be made; it isn't made yet."""
    folder = folder.expanduser()
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    check(there.is_dir(), f"{flag} {folder} can't be a folder: '{there}' is a file")
    check(os.access(there, os.W_OK), f"{flag} {folder}: can't write to '{there}'")
    return folder


def _updates_done(file: Path, updates: int) -> int:
    """The updates that the checkpoint of a stopped run has; 0 without one."""
    from sorl_edu.training.checkpoints import read_metadata

    if not file.exists():
        return 0
    done = read_metadata(file).get("updates")
    check(
        isinstance(done, int) and done >= 0,
        f"{file} is damaged: it says that it has {done!r} updates",
        CheckpointError,
    )
    check(
        done <= updates,
        f"{file.parent} holds a run of {done:,} updates, more than --updates {updates}: choose "
        "another --out, or more updates",
    )
    return done


def _check_evaluation(
    steps: Sequence[int], candidates: Sequence[int], episodes: int, seed: int
) -> None:
    from sorl_edu.inference import check_budget

    check(min(len(steps), len(candidates)) > 0, "--steps and --candidates need at least one value")
    check(episodes >= 1, f"--episodes must be at least 1, got {episodes}")
    _check_seed(seed)
    for m in steps:
        for n in candidates:
            check_budget(m, n, episodes)


def _load_agents(
    files: Iterable[Path], steps: Iterable[int], candidates: Iterable[int]
) -> list[tuple[Agent, State, AgentInfo]]:
    """Reads agents, and checks that they can act with every setting, without running them."""
    import jax
    import jax.numpy as jnp

    from sorl_edu.training.checkpoints import load_agent

    loaded = [load_agent(file) for file in files]
    for agent, state, _ in loaded:
        obs = jnp.zeros((1, state.encoder.mean.shape[-1]))
        for m in steps:
            for n in candidates:
                setting = {"steps": m, "candidates": n}
                jax.eval_shape(
                    lambda *args, act=agent.act, setting=setting: act(*args, **setting),
                    state,
                    obs,
                    jax.random.key(0),
                )
    return loaded


def _training_seeds(
    files: Sequence[Path], loaded: Sequence[tuple[Agent, State, AgentInfo]]
) -> list[int]:
    """The agents' training seeds, of agents that differ in nothing else."""
    agent, _, info = loaded[0]
    for file, (other, _, other_info) in zip(files, loaded, strict=True):
        differing = [
            name
            for name in ("environment", "updates", "dataset_sha256")
            if getattr(other_info, name) != getattr(info, name)
        ]
        differing += ["hyper-parameters"] * (other != agent)
        check(
            not differing,
            f"{file} and {files[0]} differ in {', '.join(differing)}; a sweep is over training "
            "seeds of one experiment",
        )
    seeds = [info.seed for _, _, info in loaded]
    check(
        len(set(seeds)) == len(seeds),
        f"the training seeds are {seeds}: give each once, or the intervals are too narrow",
    )
    return seeds
