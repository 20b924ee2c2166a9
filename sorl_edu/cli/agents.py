"""`sorl-edu train | evaluate | sweep | video | playground | benchmark`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from sorl_edu.cli.command import (
    Command,
    check_evaluation,
    check_seed,
    existing_folder,
    usable_folder,
)
from sorl_edu.errors import ConfigError, UnknownName, check

if TYPE_CHECKING:
    from sorl_edu.agents import Agent
    from sorl_edu.agents.agent import State
    from sorl_edu.experiments.experiment import Experiment
    from sorl_edu.training.checkpoints import AgentInfo

EVORS_DIALS = "return_temperature, choice_temperature, return_samples and value_steps"
Dials = Annotated[
    tuple[tuple[str, float], ...],
    arg(help=f"More dials of the agent, as NAME VALUE pairs; an EVOR agent has {EVORS_DIALS}."),
]
DialGrid = Annotated[
    tuple[tuple[str, float], ...],
    arg(
        help="More dials of the agent, as NAME VALUE pairs, a name as often as it has values; "
        f"every combination is evaluated. An EVOR agent has {EVORS_DIALS}."
    ),
]


@dataclass(frozen=True)
class Train(Command):
    """Train an agent on an OGBench dataset, several seeds at once.

    The same command resumes a run that was stopped from its last checkpoint; with more updates, it
    continues one that was finished.
    """

    dataset: Positional[Annotated[str, arg(metavar="DATASET")]]
    """OGBench's name of dataset and task, such as pointmaze-medium-navigate-singletask-v0."""
    out: Path
    """Folder for the agents (agent_seed0.safetensors, ...), history.csv and learning_curves.png."""
    preset: str | None = None
    """The preset to start from; the one for the dataset by default."""
    updates: int = 20_000
    """Updates of each seed."""
    seeds: int = 1
    """Number of agents to train at once."""
    seed: int = 0
    """The first agent's training seed; the others have the next ones."""
    data: Path | None = None
    """Folder in which to look for the dataset first."""
    log_every: int = 1000
    """Updates between rows of history.csv."""
    checkpoint_every: int = 10_000
    """Updates between checkpoints, from which a stopped run resumes; a multiple of log-every."""

    examples = """
    sorl-edu train pointmaze-medium-navigate-singletask-v0 --out runs/first
    sorl-edu train pointmaze-medium-navigate-singletask-v0 --out runs/greedy \\
        --updates 30000 --seeds 4 --q-weight 5000 --field.hidden 128 128
    sorl-edu train pointmaze-medium-navigate-singletask-v0 --out runs/bc \\
        --preset pointmaze-bc --optimizer.learning-rate 1e-3
    sorl-edu train cube-single-play-singletask-v0 --out runs/cube --updates 1000000
    """

    @classmethod
    def with_all_flags(cls, words: Sequence[str]) -> tuple[type[Command], str]:
        from sorl_edu.agents.presets import preset, preset_names

        chosen = _preset_name(words)
        agent = preset(chosen)
        flags = ("agent", Annotated[type(agent), arg(name="")], agent)
        about = f"The agent's settings default to preset '{chosen}'. Presets: {preset_names()}."
        return make_dataclass(cls.__name__, [flags], bases=(cls,), frozen=True), about

    def run(self) -> int:
        from sorl_edu.environments.make import parse_name
        from sorl_edu.training import use_all_cores

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
        check_seed(self.seed)
        check_seed(self.seed + self.seeds - 1)
        data, out = existing_folder(self.data), usable_folder(self.out)
        done = _updates_done(out, self.updates)

        from sorl_edu import plotting
        from sorl_edu.datasets.ogbench import load
        from sorl_edu.experiments.experiment import train
        from sorl_edu.files import atomic_copy, write_csv

        dataset = load(self.dataset, folder=data)
        experiment = self.experiment()
        _check_run(experiment, out, dataset.sha256)
        print(f"{len(dataset.train):,} transitions from {dataset.path}")
        if done:
            print(f"{out} has the first {done:,} updates of this run: resuming from there")
        del dataset
        trained = train(experiment, out, data=data)

        files = [out / f"agent_seed{seed}.safetensors" for seed in experiment.seeds]
        for seed, file in zip(experiment.seeds, files, strict=True):
            atomic_copy(trained.agents[experiment.tasks[0], seed, self.updates], file)
        history = trained.history.drop(columns="task")
        write_csv(history, out / "history.csv")
        plotting.save_figure(plotting.learning_curves(history), out / "learning_curves.png")
        print(
            f"Trained for {trained.seconds:.0f} s; {out} has agents, history and learning curves."
        )
        print("Next:", shlex.join(self.next_command(files)))
        return 0

    def experiment(self) -> Experiment:
        """The training, as an experiment without evaluations."""
        from sorl_edu.experiments.experiment import Experiment, parse_task

        dataset, task = parse_task(self.dataset)
        return Experiment(
            name=type(self.agent).__name__,
            agent=self.agent,
            dataset=dataset,
            tasks=[task],
            seeds=range(self.seed, self.seed + self.seeds),
            updates=self.updates,
            validation=True,
            log_every=self.log_every,
            checkpoint_every=self.checkpoint_every,
            preset=self.preset or _preset_name([self.dataset]),
        )

    def next_command(self, files: Sequence[Path]) -> list[str]:
        """The command that evaluates what was trained."""
        from sorl_edu.agents.agent import HasCritic

        candidates = ["--candidates", "32" if isinstance(self.agent, HasCritic) else "1"]
        if len(files) == 1:
            return ["sorl-edu", "evaluate", *map(str, files), *candidates]
        return ["sorl-edu", "sweep", *map(str, files), *candidates, "--out", str(self.out)]


@dataclass(frozen=True)
class Evaluate(Command):
    """Run a trained agent in its environment: success, return and length with 95% intervals."""

    agent: Positional[Annotated[Path, arg(metavar="AGENT.safetensors")]]
    """The agent's file."""
    steps: int = 8
    """Inference steps m; of a shortcut model, a power of two."""
    candidates: int = 32
    """Number N of candidate actions, of which the critic chooses one."""
    episodes: int = 50
    """Number of episodes."""
    seed: int = 0
    """Seed of start states and action noise."""
    dials: Dials = ()

    examples = """
    sorl-edu evaluate runs/demo/agent.safetensors
    sorl-edu evaluate runs/demo/agent.safetensors --steps 1 --candidates 1
    sorl-edu evaluate runs/evor/agent_seed0.safetensors --dials return_temperature 0.05
    sorl-edu evaluate runs/first/agent_seed0.safetensors --episodes 200 --seed 1
    """

    def run(self) -> int:
        check_evaluation([self.steps], [self.candidates], self.episodes, self.seed)
        agent, state, info = _load_agents(
            [self.agent], [self.steps], [self.candidates], _one_position(self.dials)
        )[0]

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
class Sweep(Command):
    """Evaluate a grid of inference steps x N, every setting from the same start states.

    Give the file of one agent per training seed; intervals of several are over training seeds. The
    same command resumes a sweep that was stopped. With --dials, the tables have a column for each,
    and there is a picture for each combination. Nothing is trained.
    """

    agents: Positional[Annotated[tuple[Path, ...], arg(metavar="AGENT.safetensors ...")]]
    """The agents' files, which differ in their training seed only."""
    out: Path
    """Folder for episodes.csv (a row per episode), sweep.csv (per setting) and sweep.png."""
    steps: tuple[int, ...] = (1, 2, 4, 8)
    """Inference steps m; of a shortcut model, powers of two."""
    candidates: tuple[int, ...] = (1, 8, 32)
    """Numbers N of candidate actions, of which the critic chooses one."""
    episodes: int = 50
    """Episodes for each setting and training seed."""
    seed: int = 0
    """Seed of start states and action noise."""
    dials: DialGrid = ()

    examples = """
    sorl-edu sweep runs/demo/agent.safetensors --out runs/demo_sweep
    sorl-edu sweep runs/evor/agent_seed0.safetensors --steps 8 --candidates 8 32 \\
        --dials return_temperature inf return_temperature 0.1 --out runs/evor_sweep
    sorl-edu sweep runs/greedy/agent_seed0.safetensors \\
        runs/greedy/agent_seed1.safetensors --steps 1 8 16 --candidates 1 32 \\
        --episodes 100 --out runs/greedy
    """

    def run(self) -> int:
        check(len(self.agents) > 0, "name at least one agent's file")
        check_evaluation(self.steps, self.candidates, self.episodes, self.seed)
        out = usable_folder(self.out)

        from sorl_edu.agents import dial_grid

        positions = dial_grid(self.dials)
        loaded = _load_agents(self.agents, self.steps, self.candidates, positions[0])
        agent, _, info = loaded[0]
        seeds = _training_seeds(self.agents, loaded)

        import pandas as pd

        from sorl_edu import plotting
        from sorl_edu.evaluation import as_text, summarize
        from sorl_edu.experiments.experiment import (
            Experiment,
            check_experiment,
            evaluate,
            grid,
            over_dials,
            parse_task,
        )
        from sorl_edu.files import write_csv

        dataset, task = parse_task(info.environment)
        experiment = Experiment(
            name=type(agent).__name__,
            agent=agent,
            dataset=dataset,
            tasks=[task],
            seeds=seeds,
            updates=info.updates,
            settings=grid(self.steps, self.candidates),
            episodes=self.episodes,
            evaluation_seed=self.seed,
        )
        keys = [(task, seed, info.updates) for seed in seeds]
        files = dict(zip(keys, self.agents, strict=True))
        planned = over_dials(experiment, self.dials)
        for turned in planned:
            check_experiment(turned, out, info.dataset_sha256)
        tables, summaries, pictures = [], [], []
        for turned, dials in zip(planned, positions, strict=True):
            rows = evaluate(turned, files, out, info.dataset_sha256)
            rows = rows.rename(columns={"seed": "training_seed"}).assign(**dials)
            summary, name = summarize(rows), "sweep"
            if len(planned) > 1:
                print(turned.name)
                name += turned.name.removeprefix(experiment.name).replace(" ", "_")
            print(as_text(summary))
            plotting.save_figure(plotting.sweep_heatmap(summary), out / f"{name}.png")
            tables.append(rows)
            summaries.append(summary.assign(**dials))
            pictures.append(f"{name}.png")
        write_csv(pd.concat(tables, ignore_index=True), out / "episodes.csv")
        write_csv(pd.concat(summaries, ignore_index=True), out / "sweep.csv")
        print(f"{out} has episodes.csv, sweep.csv and {', '.join(pictures)}.")
        return 0


@dataclass(frozen=True)
class Video(Command):
    """Film an agent under two settings side by side, from the same start states.

    Each frame shows the setting (steps m and N), the environment step, the critic's Q of the chosen
    action and the outcome. The episodes are those that `sorl-edu evaluate` runs with the same seed
    and the same number of episodes.

    Robots are drawn by MuJoCo, which needs OpenGL; without a screen, on Linux, that is libegl1 and
    libgl1-mesa-dri (apt-get install). Without a GPU it draws a few pictures a second. Mazes need no
    OpenGL.
    """

    agent: Positional[Annotated[Path, arg(metavar="AGENT.safetensors")]]
    """The agent's file."""
    out: Path
    """Folder for video.mp4, video.gif and contact_sheet.png (moments of both, side by side)."""
    steps: tuple[int, int] = (1, 8)
    """Inference steps m of the left and of the right setting; of a shortcut model powers of two."""
    candidates: tuple[int, int] = (1, 1)
    """Number N of candidates of the left and of the right setting."""
    episodes: int = 1
    """Number of episodes, shown one after the other."""
    seed: int = 0
    """Seed of start states and action noise."""
    dials: Dials = ()
    size: int = 320
    """Pixels along each edge of a setting's picture, an even number."""
    every: int = 1
    """Environment steps between frames; the MP4 shows 20 frames a second."""

    examples = """
    sorl-edu video runs/demo/agent.safetensors --out runs/demo_video
    sorl-edu video runs/demo/agent.safetensors --out runs/best_of_32 \\
        --steps 8 8 --candidates 1 32 --episodes 3 --seed 1
    sorl-edu video runs/cube/agent_seed0.safetensors --out runs/cube_video --size 480
    """

    def run(self) -> int:
        check_evaluation(self.steps, self.candidates, self.episodes, self.seed)
        out = usable_folder(self.out)
        dials = _one_position(self.dials)
        agent, state, info = _load_agents([self.agent], self.steps, self.candidates, dials)[0]

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
        for filmed in settings:
            outcomes = "; ".join(episode.outcome() for episode in filmed)
            print(f"{filmed[0].setting()}: {outcomes}")
        print(f"{out} has {FILES[0]}, {FILES[1]} and {FILES[2]}.")
        return 0


@dataclass(frozen=True)
class Playground(Command):
    """Write a page on which an agent's own networks run: drag a state, move steps m and N.

    The page is for SORL and flow BC agents of a PointMaze or of cube-single. Any browser opens it
    and any web server serves it; it needs no Python and no network. The agent also plays in it, in
    MuJoCo's build for browsers, which npm fetches while the page is written (and three.js, to draw
    the arm).
    """

    agent: Positional[Annotated[Path, arg(metavar="AGENT.safetensors")]]
    """The agent's file."""
    out: Path
    """Folder for index.html and, to play, mujoco.js (14 MB); for an arm also three.js (2 MB)."""
    steps: int = 8
    """Inference steps m to start with: 1, 2, 4, 8, 16 or 32."""
    candidates: int = 32
    """Number N of candidate actions to start with, at most 256."""
    play: bool = True
    """Whether the agent plays; without, index.html is all and nothing is fetched."""

    examples = """
    sorl-edu playground runs/demo/agent.safetensors --out runs/playground
    sorl-edu playground runs/demo/agent.safetensors --out runs/playground --no-play \\
        --steps 1 --candidates 1
    """

    def run(self) -> int:
        from sorl_edu.training.checkpoints import load_agent

        out = usable_folder(self.out)
        agent, state, info = load_agent(self.agent)

        from sorl_edu import widgets

        is_arm = info.environment.startswith("cube-single-")
        check(self.play or not is_arm, "an arm's page is there to play: leave --no-play out")
        home = widgets.RobotPlayground if is_arm else widgets.Playground
        playground = home(
            agent,
            state,
            info.environment,
            steps=self.steps,
            candidates=self.candidates,
            title=f"Playground: {info.environment}",
        )
        if self.play:
            playground.to_folder(out)
        else:
            playground.to_html(out / "index.html")
        print(f"{self.agent}: {info.environment}, seed {info.seed}, {info.updates:,} updates")
        print(f"{out} has index.html: open it in a browser.")
        return 0


@dataclass(frozen=True)
class Benchmark(Command):
    """Train and evaluate agents on a suite of tasks, beside the published results.

    All seeds and tasks of an environment are trained at once, on all GPUs of the machine. An
    estimate of the time is printed first. The same command resumes a benchmark that was stopped.
    """

    out: Path
    """Folder for results.csv, table.md and, for each agent and environment, its episodes."""
    data: Path | None = None
    """Folder in which to look for the datasets first, and in which they are collected."""
    estimate_only: bool = False
    """Print the estimate and stop."""

    examples = """
    sorl-edu benchmark --out runs/ogbench
    sorl-edu benchmark --out runs/ogbench --estimate-only
    sorl-edu benchmark --out runs/ogbench --agents sorl fql iql --tune --per-task
    sorl-edu benchmark --suite course --tasks cube-single-play --out runs/course --seeds 3 \\
        --steps 1 8 --candidates 1 8
    sorl-edu benchmark --suite pointmaze --out runs/mazes --seeds 3 --updates 10000
    sorl-edu benchmark --suite pointmaze --out runs/mazes_evor --agents sorl evor --seeds 3 \\
        --steps 8 --candidates 8 --dials return_temperature inf return_temperature 0.1
    sorl-edu benchmark --tasks cube-single-play --data runs/data --out runs/cube \\
        --presets cube-single-small robots-small-bc --seeds 3 --updates 50000 \\
        --steps 1 8 --candidates 1 32
    """

    @classmethod
    def with_all_flags(cls, words: Sequence[str]) -> tuple[type[Command], str]:
        from sorl_edu.experiments.benchmark import Plan

        flags = ("plan", Annotated[Plan, arg(name="")], Plan())
        return make_dataclass(cls.__name__, [flags], bases=(cls,), frozen=True), ""

    def run(self) -> int:
        from sorl_edu.experiments import benchmark
        from sorl_edu.training import use_all_cores

        use_all_cores()
        data, out = existing_folder(self.data), usable_folder(self.out)
        benchmark.print_estimate(benchmark.workload(self.plan))
        if self.estimate_only:
            return 0
        benchmark.run(self.plan, out, data=data)
        print((out / "table.md").read_text())
        print(f"{out} has results.csv, table.md and the episodes.")
        return 0


def _preset_name(words: Sequence[str]) -> str:
    """The preset that a command line names, else the one for its dataset, else 'pointmaze'."""
    from sorl_edu.agents.presets import preset_for, preset_names
    from sorl_edu.environments.make import parse_name

    for flag, value in zip(words, [*words[1:], ""], strict=True):
        if flag == "--preset" or flag.startswith("--preset="):
            return flag.partition("=")[2] or value
    for word in words:
        try:
            parse_name(word)
        except ConfigError:
            continue
        try:
            return preset_for(word)
        except UnknownName:
            raise ConfigError(
                f"no preset is for {word}: choose one with --preset ({preset_names()})"
            ) from None
    return "pointmaze"


def _updates_done(out: Path, updates: int) -> int:
    """The number of updates of the run in a folder; 0 if there is none."""
    from sorl_edu.experiments.experiment import updates_of
    from sorl_edu.training.checkpoints import TRAINING_STATE

    states = out.glob(f"trainings/*/*/*/{TRAINING_STATE}")
    done = max(map(updates_of, states), default=0)
    check(
        done <= updates,
        f"{out} holds a run of {done:,} updates, more than --updates {updates}: choose another "
        "--out, or more updates",
    )
    return done


def _check_run(experiment: Experiment, out: Path, dataset_sha256: str) -> None:
    """Raises CheckpointError if a folder holds another run; otherwise records this one there."""
    from sorl_edu.experiments.experiment import check_plan
    from sorl_edu.files import atomic_write

    plan = {"dataset": experiment.dataset, "tasks": list(experiment.tasks)}
    plan |= experiment.training_identity(dataset_sha256)
    if (out / "plan.json").exists():
        check_plan(out, plan)
    with atomic_write(out / "plan.json") as temporary:
        temporary.write_text(json.dumps(plan, indent=2))


def _one_position(values: Sequence[tuple[str, float]]) -> dict[str, float]:
    """The values of dials, each of which has one."""
    names = [name for name, _ in values]
    for name in names:
        check(names.count(name) == 1, f"--dials has several values of {name}: give one")
    return dict(values)


def _load_agents(
    files: Iterable[Path],
    steps: Iterable[int],
    candidates: Iterable[int],
    dials: Mapping[str, float],
) -> list[tuple[Agent, State, AgentInfo]]:
    """Reads agents, turns their dials, and checks that they can act with every setting."""
    import jax.numpy as jnp

    from sorl_edu.agents import with_dials
    from sorl_edu.agents.agent import check_dials
    from sorl_edu.training.checkpoints import load_agent

    loaded = []
    for file in files:
        agent, state, info = load_agent(file)
        agent = with_dials(agent, **dials)
        loaded.append((agent, state, info))
        obs = jnp.zeros((1, state.obs_dim))
        for m in steps:
            for n in candidates:
                check_dials(agent, state, obs, steps=m, candidates=n)
    return loaded


def _training_seeds(
    files: Sequence[Path], loaded: Sequence[tuple[Agent, State, AgentInfo]]
) -> list[int]:
    """The agents' training seeds, if the agents differ in nothing else."""
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
