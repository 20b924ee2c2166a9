"""RobotPlayground: cube-single's arm in the reader's browser, moved by an agent's own networks."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path

import numpy as np

from sorl_edu.agents.agent import Agent, State
from sorl_edu.environments.arms import Shape, arm_physics, arm_shapes, start_states
from sorl_edu.errors import check
from sorl_edu.widgets.page import save
from sorl_edu.widgets.playground.agents import agent_bytes
from sorl_edu.widgets.playground.packages import MUJOCO, THREE, write_script
from sorl_edu.widgets.playground.playground import CANDIDATES, STEPS, check_sliders, colours
from sorl_edu.widgets.playground.source import ROBOT, page

TITLE = "Playground: the arm, live"
STARTS = 32
RESOLUTION = 0.002  # metres: vertices in one cube of this edge become one
MOST_VERTICES = 65536  # of a mesh, whose faces are 16-bit numbers


class RobotPlayground:
    """A page on which an agent moves OGBench's arm to bring a cube to its goal.

    The agent's own networks choose each action from N candidates of m steps, and MuJoCo's
    WebAssembly build takes it, as `rollout` would: with the same observations, actions and success.
    m and N may be moved while it acts; episodes at one setting are counted.

        RobotPlayground(agent, state, "cube-single-play-singletask-task2-v0").to_folder("robot")

    Args:
        agent, state: a SORL or flow BC agent.
        environment: an official OGBench name of a task of cube-single.
        steps: m to start with, 1, 2, 4, 8, 16 or 32.
        candidates: N to start with, one of `playground.CANDIDATES`.
        title: the heading.
        seed: seed of the start states; those of `rollout` with this seed and 32 episodes.

    Raises:
        UnknownName: no such environment.
        ConfigError: another agent, such as a subclass; a state of another agent, of other widths,
            or of several seeds; an environment that is not cube-single; m or N that no slider has.
    """

    def __init__(
        self,
        agent: Agent,
        state: State,
        environment: str,
        *,
        steps: int = 8,
        candidates: int = 8,
        title: str = TITLE,
        seed: int = 0,
    ) -> None:
        self._file = agent_bytes(agent, state)
        check_sliders(steps, candidates)
        physics = arm_physics(environment)
        widths = (state.obs_dim, state.action_dim)
        check(
            widths == physics.widths,
            f"the agent's observations and actions are {widths[0]}- and {widths[1]}-D, those of "
            f"'{environment}' {physics.widths[0]}- and {physics.widths[1]}-D",
        )
        self.title, self.environment = title, environment
        seeds = np.random.SeedSequence(seed).generate_state(STARTS)
        starts = start_states(environment, [int(one) for one in seeds])
        self._given = {
            "physics": dataclasses.asdict(physics),
            "shapes": [_shape(shape) for shape in arm_shapes(environment, RESOLUTION)],
            "starts": [{"qpos": s.qpos.tolist(), "qvel": s.qvel.tolist()} for s in starts],
            "colours": colours(),
            "sliders": {"steps": list(STEPS), "candidates": list(CANDIDATES)},
            "start": {"steps": int(steps), "candidates": int(candidates)},
        }

    def to_folder(self, folder: str | Path, *, packages_in: str = ".") -> Path:
        """Writes the page, as a folder that any web server serves; returns the page's file.

        index.html is the page, which a browser also opens from a disk. Beside it lie mujoco.js with
        the physics (14 MB) and three.js (2 MB), which draws.

        Args:
            folder: the folder, which is made.
            packages_in: as for `Playground.to_folder`.

        Raises:
            ConfigError: a package can't be fetched with npm.
        """
        for package in (MUJOCO, THREE):
            write_script(package, Path(folder) / packages_in)
        scripts = {"mujoco": f"{packages_in}/{MUJOCO.script}"}
        scripts["three"] = f"{packages_in}/{THREE.script}"
        file = Path(folder) / "index.html"
        save(page(self.title, self._file, self._given | {"scripts": scripts}, ROBOT), file)
        return file

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.title!r}: {self.environment})"


def _shape(shape: Shape) -> dict:
    """A shape as JSON values."""
    return {
        "body": shape.body,
        "position": shape.position.tolist(),
        "quaternion": shape.quaternion.tolist(),
        "colour": shape.colour.tolist(),
        "size": None if shape.size is None else shape.size.tolist(),
        "mesh": None if shape.vertices is None else _mesh(shape.vertices, shape.faces),
    }


def _mesh(vertices: np.ndarray, faces: np.ndarray) -> dict:
    """A mesh whose vertices are 16-bit numbers between two corners: to a hundredth of a mm."""
    check(len(vertices) <= MOST_VERTICES, f"a mesh has {len(vertices)} vertices, which are many")
    low, high = vertices.min(0), vertices.max(0)
    shares = np.round(65535 * (vertices - low) / (high - low)).astype("<u2")
    encode = lambda numbers: base64.b64encode(numbers.tobytes()).decode()  # noqa: E731
    return {
        "vertices": encode(shares),
        "faces": encode(faces.astype("<u2")),
        "low": low.tolist(),
        "high": high.tolist(),
    }
