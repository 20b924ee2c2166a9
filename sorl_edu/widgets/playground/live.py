"""The playground as a widget, for notebooks with anywidget; the kernel plays the episodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anywidget
import numpy as np
import traitlets

from sorl_edu.agents.agent import Agent, State
from sorl_edu.widgets.playground.episodes import Episodes
from sorl_edu.widgets.playground.source import PLAYGROUND, joined, style


class PlaygroundWidget(anywidget.AnyWidget):
    """The agent's file and what else `mount` is given, sent to the browser once.

    To play, the browser asks `{"id", "ask": "begin", "settings", "position"}`, and then again and
    again `{"id", "ask": "advance", "shape"}` with the noise of some steps as float32. The kernel
    answers with `{"id"}` and what `Episodes` returns, or `{"id", "error"}`.

    Args:
        agent, state: what plays.
        environment: an official OGBench name of a maze.
        file: the agent's file.
        given: what else `mount` of playground.mjs is given.
    """

    _esm = joined((*PLAYGROUND, "widget"))
    _css = style()
    agent = traitlets.Bytes().tag(sync=True)
    given = traitlets.Dict().tag(sync=True)

    def __init__(
        self, agent: Agent, state: State, environment: str, *, file: bytes, given: dict
    ) -> None:
        super().__init__(agent=file, given=given)
        self._episodes = Episodes(agent, state, environment)
        self.on_msg(self._answer)

    def _answer(self, widget: Any, asked: dict, buffers: Sequence[memoryview]) -> None:
        try:
            if asked["ask"] == "begin":
                answer = self._episodes.begin(asked["settings"], asked["position"])
            else:
                noise = np.frombuffer(buffers[0], np.float32).reshape(asked["shape"])
                answer = self._episodes.advance(noise)
            self.send({"id": asked["id"], "answer": answer})
        except Exception as error:
            self.send({"id": asked.get("id"), "error": f"{type(error).__name__}: {error}"})
