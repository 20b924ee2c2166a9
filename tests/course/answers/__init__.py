"""Answers to exercises as students write them, each with the judgement that it deserves.

    @right("1.1")
    def with_numpy(noise, actions, t): ...

    @wrong("1.1", "time reversed")                      # the name of the misconception
    def from_data_to_noise(noise, actions, t): ...

    @wrong("1.2", says="the sample is off by")          # no usual mistake: words of the message
    def skips_the_last_step(field, obs, noise, steps): ...

A module per lesson or assignment; `test_answers.py` runs them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    number: str
    """The exercise's number."""
    function: Callable
    status: str
    misconception: str | None = None
    says: str = ""
    """Words of the feedback."""

    def __str__(self) -> str:
        return f"{self.number}-{self.function.__name__}"


ANSWERS: list[Answer] = []


def right(number: str) -> Callable:
    def keep(function: Callable) -> Callable:
        ANSWERS.append(Answer(number, function, "right"))
        return function

    return keep


def wrong(number: str, misconception: str | None = None, *, says: str = "") -> Callable:
    assert misconception or says

    def keep(function: Callable) -> Callable:
        ANSWERS.append(Answer(number, function, "wrong", misconception, says))
        return function

    return keep
