"""A check of an exercise knows the solution, the usual mistakes and a blank, and never raises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from legibility import contrast
from matplotlib.colors import to_rgb

from sorl_edu.course.exercises.attempt import COLORS, SIGNS, Feedback
from sorl_edu.course.exercises.exercise import Exercise, Misconception


def solution(a, b):
    return a - b


DIFFERENCE = Exercise(
    number="9.1",
    solution=solution,
    cases=lambda key: [(a, 1 + a**2) for a in jax.random.normal(key, (3, 4))],
    misconceptions=(
        Misconception("breaks", "it can't run.", lambda a, b: a @ jnp.ones(7)),
        Misconception("turned round", "it is a minus b.", lambda a, b: b - a),
        Misconception("added", "it is a difference.", lambda a, b: a + b),
    ),
    right="That is the difference.",
)


@pytest.mark.parametrize("seed", range(3))
def test_a_right_answer_is_right_whatever_its_form(seed):
    for answer in (solution, lambda a, b: -(b - a), lambda a, b: np.asarray(a) - np.asarray(b)):
        feedback = DIFFERENCE(answer, seed=seed)
        assert feedback and feedback.status == "right" and feedback.text == DIFFERENCE.right
        assert feedback.misconception is None
    # As precise as float32 is, and no less.
    assert DIFFERENCE(lambda a, b: (a - b) * (1 + 1e-6))
    assert not DIFFERENCE(lambda a, b: (a - b) * 1.01)


def test_a_known_mistake_is_named_and_one_that_cannot_run_is_passed_over():
    feedback = DIFFERENCE(lambda a, b: b - a)
    assert not feedback and feedback.status == "wrong"
    assert feedback.misconception == "turned round"
    assert feedback.text == "A usual mistake (turned round): it is a minus b."
    assert DIFFERENCE(lambda a, b: a + b).misconception == "added"


@pytest.mark.parametrize(
    "blank",
    [
        lambda a, b: ...,
        lambda a, b: (a, ...),
        lambda a, b: a - ...,
        lambda a, b: jnp.sum(...),
        lambda a, b: jnp.concatenate([a, ...]),
        lambda a, b: jax.vmap(...)(a),
        lambda a, b: (...).mean(),
    ],
)
def test_a_blank_is_reported_wherever_its_dots_end_up(blank):
    feedback = DIFFERENCE(blank)
    assert feedback.status == "empty" and not feedback, feedback
    assert "9.1" in feedback.text and "replace the dots" in feedback.text


def named(a, b):
    raise RuntimeError("some words\nand more")


@pytest.mark.parametrize(
    "answer, said",
    [
        (
            named,
            'in the line `raise RuntimeError("some words\\nand more")` with RuntimeError: some',
        ),
        (lambda a, b: (a - b)[:, None], "result should have the shape (4,), and has (4, 1)"),
        (lambda a, b: (a, b), "should have the shape (4,), and has (2, 4), in case 1 of 3 (a (4,)"),
        (lambda a, b: (a, b[:2]), "return the result, and returns 2 arrays"),
        (lambda a, b: {"a": a, "b": b}, "It should return the result, and returns a dict with 'a'"),
        (lambda a, b: {"difference": a - b}, "and returns a dict with 'difference'."),
        (lambda a, b: (a, {"b": b}), "and returns a dict with 'b'."),
        (lambda a, b: {}, "returns nothing"),
        (lambda a, b: a[..., ::-1] @ b[..., None, :0], "It stopped"),  # dots as an index
        (lambda a, b: float(a) if b is None else np.sqrt(jax.jit(np.sort)(a)), "Use jnp there"),
        (lambda a, b: jax.jit(lambda x: float(x[0]))(a), "Stay with jnp there"),
        (lambda a, b: None, "returns nothing, or None in a place: is a `return` missing?"),
        (lambda a, b: jnp.nan * a, "NaN or infinite"),
        (lambda a, b: "text", "The result should be numbers, and is text, in case 1 of 3"),
        (lambda a, b: np.array(["t"] * 4), "result should be numbers"),
        (lambda a: a, "with TypeError:"),
        (lambda a, b: a - b + 0.5, "off by up to 0.5 in case 1 of 3 (a (4,), b (4,)), and in the"),
        (lambda a, b: a[10, 10], "with "),
        (3, "Pass your function itself"),
        (None, "Pass your function itself"),
    ],
)
def test_any_other_answer_gets_a_helpful_sentence(answer, said):
    feedback = DIFFERENCE(answer)
    assert feedback.status == "wrong" and feedback.misconception is None
    assert said in feedback.text


def test_an_answer_that_changes_its_inputs_is_compared_with_the_solution_on_the_drawn_ones():
    def spends(weights, values):
        values.append(weights.pop("a"))
        weights["a"] = 10.0
        return 3 * values[-1]

    exercise = Exercise(
        number="9.3",
        solution=lambda weights, values: 3 * weights["a"],
        cases=lambda key: [({"a": 2.0}, [])],
        misconceptions=(),
    )
    assert exercise(spends) and exercise(spends)


def test_what_is_compared_may_be_a_gradient():
    exercise = Exercise(
        number="9.2",
        solution=lambda x, target: jnp.sum((x - jax.lax.stop_gradient(target)) ** 2),
        cases=lambda key: [(jnp.ones(3), jax.random.normal(key, (3,)))],
        probe=lambda answer, *case: jax.grad(answer, argnums=(0, 1))(*case),
        misconceptions=(
            Misconception(
                "missing stop-gradient", "no gradient there.", lambda x, t: jnp.sum((x - t) ** 2)
            ),
        ),
    )
    assert exercise(exercise.solution)
    mistaken = exercise(lambda x, t: ((x - t) ** 2).sum())
    assert mistaken.misconception == "missing stop-gradient"
    assert exercise(lambda x, t: ...).status == "empty"


def test_feedback_shows_itself_in_plain_text_and_in_html_with_its_words_escaped():
    feedback = Feedback("wrong", "a < b")
    assert repr(feedback) == "✗ a < b"
    assert "a &lt; b" in feedback._repr_html_() and 'role="status"' in feedback._repr_html_()
    signs = {repr(Feedback(status, ""))[0] for status in ("right", "wrong", "empty")}
    assert len(signs) == 3  # not told by colour alone


@pytest.mark.parametrize("status", SIGNS)
def test_a_note_can_be_read_on_every_theme(status):
    """Its text has the theme's colour, and its border, which is no text, a contrast of 3."""
    shown = Feedback(status, "words")._repr_html_()
    assert shown.count("color:") == 0 and f"<b>{SIGNS[status]}</b>" in shown
    for theme in ("white", "#111111"):  # JupyterLab's, light and dark
        assert contrast(np.array(to_rgb(COLORS[status])), np.array(to_rgb(theme))) >= 3
