"""Episodes of OGBench's manipulation datasets, by its own oracles and published recipe.

A UR5e arm with a gripper moves cubes, presses buttons, opens a drawer and a window. The oracles
observe the positions of all objects:

    scatter the objects at random, draw a random task (move this cube there, press that button, ...)
    repeat until the time limit:
        play:   follow a smooth plan through the task's key poses, with correlated noise on it
        noisy:  react to the state alone, with Gaussian noise on the action, and now and then
                a random action; how much noise is drawn once per episode
        draw another task when the oracle is done, whether it succeeded or not

The collection does not depend on the five tasks of the benchmark: the data show a robot at play.

In OGBench's script an oracle that gets a new target sees the previous one for another step, even
that of the previous episode; here it sees the new one, so that an episode depends on its seeds
alone.

Source: OGBench's `data_gen_scripts/generate_manipspace.py`.
"""

from __future__ import annotations

import numpy as np

from sorl_edu.datasets.recipes import Recipe, Rows
from sorl_edu.environments.make import kind_of, make_env, numpy_seeded
from sorl_edu.errors import DataError

PLAN_SMOOTHING = 0.5
"""Standard deviation, in steps, of the Gaussian filter that smooths a plan's noise."""
MIN_NORM = 0.4
"""Metres: a reacting oracle moves as if its target were at least this far away."""
NOISY_YAW, NOISY_GRIPPER = 3, 10
"""Factors by which these two of the five actions get more noise."""
STACKING = {"cube-single": (0.0, 0.0), "cube-double": (0.0, 0.25), "scene": (0.5, 0.5)}
"""The range from which an episode's probability of stacking one cube on another is drawn."""
MAX_ATTEMPTS = 100
"""Attempts at a healthy episode; about 2% of the official noisy ones are not healthy."""


class ManipulationCollector:
    """Collects episodes of one recipe, each a function of `noise` and `seeds` alone."""

    def __init__(self, recipe: Recipe) -> None:
        # The bare environment has no time limit: `_attempt` counts the steps.
        self.env = make_env(
            recipe.env,
            terminate_at_goal=False,
            mode="data_collection",
            disable_env_checker=True,
        ).unwrapped
        self.recipe = recipe
        self.stacking = STACKING[recipe.env.removesuffix("-v0")]

    def episode(self, noise: float, seeds: np.random.SeedSequence) -> Rows:
        """One episode: `recipe.max_episode_steps` rows, each of named vectors.

        Args:
            noise: "play": standard deviation of the plan's noise before smoothing, where 1 is the
                largest action; "noisy": upper bound of the standard deviation of the action noise,
                which each episode draws.
            seeds: source of all randomness of the episode, including the environment's.

        Raises:
            DataError: no scene stayed healthy to its end in `MAX_ATTEMPTS` attempts.
        """
        again = np.random.SeedSequence(seeds.entropy, spawn_key=seeds.spawn_key)
        for attempt in (seeds, *again.spawn(MAX_ATTEMPTS - 1)):
            rows = self._attempt(noise, attempt)
            qpos = np.array([row["qpos"] for row in rows])
            if kind_of(self.recipe.env).family != "scene" or is_healthy(qpos):
                return rows
        raise DataError(
            f"the cube got lost in {MAX_ATTEMPTS} episodes in a row: noise {noise} is too much"
        )

    def _attempt(self, noise: float, seeds: np.random.SeedSequence) -> Rows:
        env, recipe = self.env, self.recipe
        rng = np.random.default_rng(seeds)
        rows = []
        with numpy_seeded(rng.integers(2**32, size=4)):
            oracles = make_oracles(env, recipe.kind, noise)
            observation, info = env.reset(seed=int(rng.integers(2**31)))
            p_stack = rng.uniform(*self.stacking)
            spread = rng.uniform(0, noise) * np.array([1, 1, 1, NOISY_YAW, NOISY_GRIPPER])
            oracle = oracles[info["privileged/target_task"]]
            oracle.reset(observation, info)
            for _ in range(recipe.max_episode_steps):
                if rng.uniform() < recipe.random_actions:
                    action = rng.uniform(-1, 1, 5)
                else:
                    action = np.asarray(oracle.select_action(observation, info))
                    if recipe.kind == "noisy":
                        action = action + spread * rng.standard_normal(5)
                action = np.clip(action, -1, 1)
                next_observation, _, _, _, info = env.step(action)
                row = {
                    "observations": observation,
                    "actions": action,
                    "qpos": info["prev_qpos"],
                    "qvel": info["prev_qvel"],
                }
                if "prev_button_states" in info:
                    row["button_states"] = info["prev_button_states"]
                rows.append(row)
                observation = next_observation
                if oracle.done:
                    _, info = env.set_new_target(p_stack=p_stack)
                    oracle = oracles[info["privileged/target_task"]]
                    oracle.reset(observation, info)
        return rows


def make_oracles(env, kind: str, noise: float) -> dict:
    """OGBench's oracles, one for each kind of task: 'play' follows plans, 'noisy' reacts.

    OGBench's script limits the reacting cube oracle to 100 steps in scenes, but the oracle ignores
    its argument and takes up to 200. So no limit is passed here.
    """
    if kind == "play":
        from ogbench.manipspace.oracles.plan.button_plan import ButtonPlanOracle as Button
        from ogbench.manipspace.oracles.plan.cube_plan import CubePlanOracle as Cube
        from ogbench.manipspace.oracles.plan.drawer_plan import DrawerPlanOracle as Drawer
        from ogbench.manipspace.oracles.plan.window_plan import WindowPlanOracle as Window

        options = {"noise": noise, "noise_smoothing": PLAN_SMOOTHING}
    else:
        from ogbench.manipspace.oracles.markov.button_markov import ButtonMarkovOracle as Button
        from ogbench.manipspace.oracles.markov.cube_markov import CubeMarkovOracle as Cube
        from ogbench.manipspace.oracles.markov.drawer_markov import DrawerMarkovOracle as Drawer
        from ogbench.manipspace.oracles.markov.window_markov import WindowMarkovOracle as Window

        options = {"min_norm": MIN_NORM}
    oracles = {"cube": Cube, "button": Button, "drawer": Drawer, "window": Window}
    return {task: oracle(env=env, **options) for task, oracle in oracles.items()}


def is_healthy(qpos: np.ndarray) -> bool:
    """Whether the cube of a scene stays where a camera sees it, or in the drawer.

    Args:
        qpos: (T, P), of one episode; columns 14 to 16 hold the cube's position in metres.
    """
    _, y, z = qpos[:, 14:17].T
    too_far_right = y >= 0.29
    too_far_left = (y <= -0.3) & ((z < 0.06) | (z > 0.08))  # except in the drawer
    return not (too_far_right | too_far_left).any()
