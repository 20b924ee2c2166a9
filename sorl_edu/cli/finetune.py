"""`sorl-edu finetune`: offline-to-online."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from sorl_edu.cli.command import Command, check_seed, existing_folder, usable_folder
from sorl_edu.errors import CheckpointError, check

if TYPE_CHECKING:
    import pandas as pd

    from sorl_edu.agents import Agent
    from sorl_edu.agents.agent import State

SETTINGS = ((1, 1), (8, 8))  # (m, N) before and after, where the agent has these dials

PROTOCOLS: dict[str, dict[str, int]] = {
    "course": {"steps": 100_000, "worlds": 10, "warm_up": 5000, "checkpoint_every": 20},
    "published": {"steps": 1_000_000, "worlds": 1, "warm_up": 0, "checkpoint_every": 200},
}
"""What a run has unless its own flag says otherwise. The published one follows a million updates of
`sorl-edu train`: Park et al., Flow Q-Learning, arXiv 2502.02538, its offline-to-online experiments.
They update after each step; here, as often, but after each round of `round_steps`."""


@dataclass(frozen=True)
class Finetune(Command):
    """Go on training an agent in its environment, with the data that it learned from mixed in.

    All environment steps count. The agent is evaluated before and after at one step and one
    candidate, and at eight of both if it can. The same command resumes a run that was stopped; with
    more steps, it continues one that was finished.

    The published protocol is a million environment steps of one world, with an update for each,
    after a million updates offline: --protocol published. In the published size, at 10 updates a
    second, two cores need more than a day.
    """

    agent: Positional[Annotated[Path, arg(metavar="AGENT.safetensors")]]
    """The agent's file."""
    out: Path
    """Folder for agent.safetensors, history.csv and episodes.csv."""
    protocol: Literal["course", "published"] = "course"
    """What steps, worlds, warm-up and checkpoint-every are unless they are given."""
    steps: int | None = None
    """Environment steps, in all worlds together; rounded up to whole rounds. Course: 100,000."""
    worlds: int | None = None
    """Environments that are stepped together. Course: 10."""
    round_steps: int = 50
    """Steps of each world between updates."""
    updates_per_step: float = 1.0
    """Updates for each environment step."""
    warm_up: int | None = None
    """Environment steps before the first update. Course: 5000."""
    capacity: int = 1_000_000
    """Transitions that are kept; the newest replace the oldest."""
    offline_fraction: float | None = None
    """Fraction of a batch that is of the dataset; in proportion to the transitions by default."""
    action_noise: float = 0.0
    """Deviation of Gaussian noise on actions, for an agent that always acts alike."""
    inference_steps: int = 1
    """Inference steps m with which the agent acts while it learns."""
    candidates: int = 1
    """Number N of candidates with which the agent acts while it learns."""
    episodes: int = 50
    """Episodes of each evaluation; 0 for none."""
    seed: int = 0
    """Seed of episodes, actions and batches."""
    data: Path | None = None
    """Folder in which to look for the dataset first."""
    checkpoint_every: int | None = None
    """Rounds between checkpoints, from which a stopped run resumes. Course: 20."""

    examples = """
    sorl-edu finetune runs/first/agent_seed0.safetensors --out runs/online
    sorl-edu finetune runs/cube/agent_seed0.safetensors --out runs/cube_online --steps 50000 \\
        --updates-per-step 0.5 --offline-fraction 0.5
    sorl-edu finetune runs/cube/agent_seed0.safetensors --out runs/cube_1m --protocol published
    """

    def run(self) -> int:
        check_seed(self.seed)
        check(self.episodes >= 0, f"--episodes must be 0 or more, got {self.episodes}")
        chosen = {
            name: usual if getattr(self, name) is None else getattr(self, name)
            for name, usual in PROTOCOLS[self.protocol].items()
        }
        check(chosen["worlds"] >= 1, f"--worlds must be at least 1, got {self.worlds}")
        data, out = existing_folder(self.data), usable_folder(self.out)

        import jax
        import pandas as pd

        from sorl_edu.agents.agent import with_fresh_moments
        from sorl_edu.datasets.ogbench import load
        from sorl_edu.environments.worlds import OGBenchWorlds
        from sorl_edu.evaluation import as_text, summarize
        from sorl_edu.files import write_csv
        from sorl_edu.training.checkpoints import load_agent, save_agent
        from sorl_edu.training.interactive import Interaction

        agent, state, info = load_agent(self.agent)
        dataset = load(info.environment, folder=data)
        check(
            info.dataset_sha256 in (None, dataset.sha256),
            f"{self.agent} learned from another file than {dataset.path}: name its folder with "
            "--data",
            CheckpointError,
        )
        interaction = Interaction(
            agent,
            OGBenchWorlds(info.environment, chosen["worlds"]),
            env_steps=chosen["steps"],
            seed=self.seed,
            offline=dataset.train,
            offline_fraction=self.offline_fraction,
            capacity=self.capacity,
            round_steps=self.round_steps,
            updates_per_step=self.updates_per_step,
            warm_up=chosen["warm_up"],
            steps=self.inference_steps,
            candidates=self.candidates,
            action_noise=self.action_noise,
            checkpoint_dir=out,
            checkpoint_every=chosen["checkpoint_every"],
        )
        before = self.evaluations(agent, state, info.environment)
        key = jax.random.key(self.seed)
        run = interaction.run(with_fresh_moments(agent, state, key, agent.prepare(dataset.train)))
        after = self.evaluations(agent, run.state, info.environment)

        tables = [before.assign(env_steps=0), after.assign(env_steps=run.env_steps)]
        write_csv(pd.concat(tables, ignore_index=True), out / "episodes.csv")
        write_csv(run.history, out / "history.csv")
        updates = info.updates + interaction.updates_after(run.env_steps)
        notes = info.notes | {"env_steps": run.env_steps, "finetuned_from": str(self.agent)}
        tuned = replace(info, updates=updates, notes=notes)
        save_agent(out / "agent.safetensors", agent, run.state, tuned)
        print(f"{run.env_steps:,} environment steps in {run.seconds:.0f} s")
        for when, table in (("before", before), ("after", after)):
            if len(table):
                print(f"{when}:\n{as_text(summarize(table.assign(training_seed=info.seed)))}")
        print(f"{out} has agent.safetensors, history.csv and episodes.csv.")
        return 0

    def evaluations(self, agent: Agent, state: State, environment: str) -> pd.DataFrame:
        """Episodes at each of `SETTINGS` that the agent can act with."""
        import jax.numpy as jnp
        import pandas as pd

        from sorl_edu.agents.agent import can_act
        from sorl_edu.evaluation import evaluate

        obs, tables = jnp.zeros((1, state.obs_dim)), []
        for m, n in SETTINGS if self.episodes else ():
            if can_act(agent, state, obs, steps=m, candidates=n):
                options = {"steps": m, "candidates": n, "episodes": self.episodes}
                table, _ = evaluate(agent, state, environment, seed=self.seed, **options)
                tables.append(table.assign(steps=m, candidates=n))
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
