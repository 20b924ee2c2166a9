"""The playground as a widget, for notebooks with anywidget; the kernel steps the environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anywidget
import numpy as np
import traitlets

from sorl_edu.environments.make import (
    PhysicsState,
    get_state,
    make_envs,
    parse_name,
    reset,
    set_state,
)
from sorl_edu.widgets.playground.source import MODULES, joined, style

Position = list[float]


class PlaygroundWidget(anywidget.AnyWidget):
    """The agent's file and what else `mount` is given, sent to the browser once.

    While the agent plays, the browser asks the kernel for every step: `{"id", "ask": "reset",
    "count", "position"}` or `{"id", "ask": "step", "actions"}`, answered by `{"id", "positions"}`
    or `{"id", "error"}`.
    """

    _esm = joined((*MODULES, "widget"))
    _css = style()
    agent = traitlets.Bytes().tag(sync=True)
    given = traitlets.Dict().tag(sync=True)

    def __init__(self, environment: str, **given) -> None:
        super().__init__(**given)
        self._world = EnvironmentWorld(environment)
        self.on_msg(self._answer)

    def _answer(self, widget: Any, asked: dict, buffers: Any) -> None:
        try:
            answer = {"positions": self._world.answer(asked)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        self.send({"id": asked.get("id")} | answer)


class EnvironmentWorld:
    """The real environment, once for each episode; they are created when they are first needed."""

    def __init__(self, environment: str) -> None:
        _, self.env_id = parse_name(environment)
        self.envs: tuple = ()

    def answer(self, asked: dict) -> list[Position]:
        """The positions after what the browser asks for."""
        if asked["ask"] == "reset":
            return self.reset(asked["count"], asked["position"])
        return self.step(asked["actions"])

    def reset(self, count: int, position: Sequence[float]) -> list[Position]:
        """Puts every environment into the position, at rest."""
        if len(self.envs) != count:
            for env in self.envs:
                env.close()
            self.envs = make_envs(self.env_id, count)
        for env in self.envs:
            reset(env, 0)
            set_state(env, PhysicsState(np.array(position, float), np.zeros(2)))
        return self.positions()

    def step(self, actions: Sequence[Sequence[float] | None]) -> list[Position]:
        """Steps the environments that have an action."""
        for env, action in zip(self.envs, actions, strict=True):
            if action is not None:
                env.step(np.array(action, np.float32))
        return self.positions()

    def positions(self) -> list[Position]:
        return [get_state(env).qpos.tolist() for env in self.envs]
