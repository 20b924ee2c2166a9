"""Assignment 1's checks: other right answers, the notebook's blanks, and training."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sorl_edu.course import notebooks
from sorl_edu.course.exercises import assignment1 as exercises
from sorl_edu.course.exercises import shortcut_training
from sorl_edu.flow_matching import flow_matching_loss, integrate
from sorl_edu.shortcut import at_step_size, self_consistency_target

SOURCE = Path(__file__).parents[2] / "notebooks/assignments/A1_shortcut_models.py"
M = shortcut_training.M


def cosine_path(noise, actions, t):
    def position(t):
        return jnp.sin(jnp.pi / 2 * (1 - t)) * noise + jnp.sin(jnp.pi / 2 * t) * actions

    return jax.jvp(position, (t,), (jnp.ones_like(t),))


def heun(field, obs, noise, steps):
    def step(a, i):
        t = jnp.full((len(a), 1), i / steps)
        tried = a + field(obs, a, t) / steps
        return (a + tried + field(obs, tried, t + 1 / steps) / steps) / 2, None

    return jax.lax.scan(step, noise, jnp.arange(steps))[0]


def target(target_shortcut, obs, a_t, t, h1, h2):
    middle = a_t + h1 * target_shortcut(obs, a_t, t, h1)
    end = middle + h2 * target_shortcut(obs, middle, t + h1, h2)
    return jax.lax.stop_gradient(end - a_t) / (h1 + h2)


def loss(shortcut, target_shortcut, obs, actions, key):
    """One k for the whole batch, and one call of the learning shortcut."""
    keys = jax.random.split(key, 6)
    k = jax.random.randint(keys[0], (), 2, M + 1)
    j = jax.random.randint(keys[1], (), 1, k)
    column = jnp.ones((len(actions), 1))
    t = jax.random.randint(keys[2], column.shape, 0, M - k + 1) / M
    flow_t = jax.random.randint(keys[3], column.shape, 0, M) / M
    noise, flow_noise = (jax.random.normal(key, actions.shape) for key in keys[4:])
    a_t, flow_a_t = (1 - t) * noise + t * actions, (1 - flow_t) * flow_noise + flow_t * actions
    wanted = target(target_shortcut, obs, a_t, t, column * j / M, column * (k - j) / M)
    answers = shortcut(
        jnp.concatenate([obs, obs]),
        jnp.concatenate([a_t, flow_a_t]),
        jnp.concatenate([t, flow_t]),
        jnp.concatenate([column * k / M, column / M]),
    )
    errors = answers - jnp.concatenate([wanted, actions - flow_noise])
    return 2 * jnp.mean(errors**2)


def flow_alone(shortcut, target_shortcut, obs, actions, key):
    return flow_matching_loss(at_step_size(shortcut, 1 / M), obs, actions, key)[0]


def blank_of(number):
    """The function in a blank of the notebook, with the notebook's imports."""
    (cells,) = (e for e in notebooks.exercises(SOURCE.read_text()) if e.number == number)
    space = {"__name__": "student"}
    exec(cells.imports, space)
    exec(cells.blank, space)
    return space[cells.check.split("(")[1].rstrip(")\n")]


@pytest.fixture
def no_training(monkeypatch):
    def train(*args, **kwargs):
        pytest.fail("it was trained")

    monkeypatch.setattr(shortcut_training, "train_on", train)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "exercise, answer",
    [
        (exercises.cosine_path, cosine_path),
        (exercises.heun, heun),
        (exercises.target, target),
    ],
)
def test_a_right_answer_passes_however_it_is_written(exercise, answer, seed):
    assert exercise(answer, seed=seed).status == "right"


@pytest.mark.parametrize("name", ["cosine_path", "heun", "target", "loss"])
def test_a_blank_is_reported_before_anything_is_trained(name, no_training):
    exercise = getattr(exercises, name)
    feedback = exercise(blank_of(exercise.number))
    assert feedback.status == "empty"
    assert f"`{name}`" in feedback.text and exercise.number in feedback.text


@pytest.mark.parametrize(
    ("answer", "status"), [(lambda *case: ..., "empty"), (lambda *case: None, "wrong")]
)
def test_a_loss_that_returns_dots_is_a_blank_and_one_that_returns_nothing_is_not(
    answer, status, no_training
):
    assert exercises.loss(answer).status == exercises.ready(answer).status == status


# The solutions, compared with truths from outside.


def test_the_cosine_path_keeps_the_variance_and_ends_where_it_should():
    noise, actions = jax.random.normal(jax.random.key(0), (2, 50_000, 2))
    for t in (0.2, 0.5, 0.9):
        a_t, _ = exercises.cosine_path.solution(noise, actions, jnp.full((50_000, 1), t))
        assert abs(float(a_t.std()) - 1) < 0.01
    (start, _), (end, _) = (
        exercises.cosine_path.solution(noise, actions, jnp.full((50_000, 1), t)) for t in (0.0, 1.0)
    )
    np.testing.assert_allclose(start, noise, atol=1e-6)
    np.testing.assert_allclose(end, actions, atol=1e-6)


def test_heun_is_of_order_two_and_euler_of_order_one():
    def field(obs, a, t):  # da/dt = t - a
        return t - a

    start, obs = jnp.array([[0.3, -1.2]]), jnp.zeros((1, 1))
    exact = (start + 1) * jnp.exp(-1.0)  # of a(t) = t - 1 + (a(0) + 1) exp(-t)
    for method, order in ((exercises.heun.solution, 2), (integrate, 1)):
        coarse, fine = (jnp.abs(method(field, obs, start, m) - exact).max() for m in (8, 16))
        assert float(jnp.log2(coarse / fine)) == pytest.approx(order, abs=0.15)


def test_a_perfect_shortcut_fulfils_the_condition_for_any_two_lengths():
    def perfect(obs, a_t, t, h):  # of da/dt = t - a
        return (t + h - 1 + (a_t - t + 1) * jnp.exp(-h) - a_t) / h

    a_t, t = jnp.array([[0.3, -1.2], [2.0, 0.1]]), jnp.array([[0.0], [0.25]])
    h1, h2 = jnp.array([[0.1], [0.5]]), jnp.array([[0.7], [0.2]])
    obs = jnp.zeros((2, 1))
    found = exercises.target.solution(perfect, obs, a_t, t, h1, h2)
    np.testing.assert_allclose(found, perfect(obs, a_t, t, h1 + h2), rtol=1e-4)


def test_equal_parts_are_lesson_2():
    (_, obs, a_t, t, h1, _), *_ = exercises.target.cases(jax.random.key(0))

    def field(obs, a_t, t, h):
        return jnp.sin(a_t) + t - h

    np.testing.assert_allclose(
        exercises.target.solution(field, obs, a_t, t, h1, h1),
        self_consistency_target(field, obs, a_t, t, h1),
        rtol=1e-6,
    )


# The loss.


def beyond(shortcut, target_shortcut, obs, actions, key):
    column = jnp.ones((len(actions), 1))
    return shortcut(obs, actions, 0.75 * column, 0.5 * column).mean()


def between(shortcut, target_shortcut, obs, actions, key):
    column = jnp.ones((len(actions), 1))
    return shortcut(obs, actions, 0 * column, column / 8).mean()


def number_for_column(shortcut, target_shortcut, obs, actions, key):
    return shortcut(obs, actions, jnp.zeros((len(actions), 1)), 0.5).mean()


def per_row(shortcut, target_shortcut, obs, actions, key):
    return (flow_alone(shortcut, target_shortcut, obs, actions, key) * obs)[:, 0]


def with_metrics(shortcut, target_shortcut, obs, actions, key):
    return flow_matching_loss(at_step_size(shortcut, 1 / M), obs, actions, key)


@pytest.mark.parametrize(
    "answer, said",
    [
        (beyond, "a jump of 0.5 starts at t = 0.75 and leads past t = 1"),
        (between, "a jump of 0.125, which is none of 1/12, 2/12, ..., 12/12"),
        (number_for_column, "takes h as a column, (batch, 1) = (256, 1), and got the shape"),
        (per_row, "should be one number, and has the shape (256,)"),
        (with_metrics, "it is a tuple"),
        (lambda *case: (flow_alone(*case), None), "it is a tuple"),
    ],
)
def test_a_loss_that_cannot_be_right_is_explained_before_it_is_trained(answer, said, no_training):
    for feedback in (exercises.loss(answer), exercises.ready(answer)):
        assert feedback.status == "wrong" and said in feedback.text


def test_a_right_loss_is_ready_however_it_draws():
    assert exercises.ready(loss)


USUAL = (
    "flow matching alone",
    "parts by the shortcut that learns",
    "unweighted mean",
    "one key for jump, part and start",
    "equal halves, jumps that double",
)


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(known, marks=() if known.name in USUAL else pytest.mark.goals, id=known.name)
        for known in exercises.LOSS_MISCONCEPTIONS
    ],
)
def test_a_wrong_loss_is_named_and_not_trained(known, no_training):
    feedback = exercises.loss(known.answer)
    assert (feedback.status, feedback.misconception) == ("wrong", known.name)
    assert known.message in feedback.text and not feedback.values


def test_one_key_for_all_draws_is_named(no_training):
    """Noise that shares the key as well changes nothing that a mean could tell."""
    feedback = exercises.loss(exercises._loss_with(keys=exercises._shared("nkjt")))
    assert feedback.misconception == "one key for jump, part and start"


def test_a_wrong_loss_is_not_ready():
    known = exercises.LOSS_MISCONCEPTIONS[0]
    feedback = exercises.ready(known.answer)
    assert (feedback.status, feedback.misconception) == ("wrong", known.name)


def test_a_wrong_loss_that_nobody_foresaw_is_wrong_too(no_training):
    def squared_distance(shortcut, target_shortcut, obs, actions, key):
        half = lambda *case: 0.5 * target_shortcut(*case)  # noqa: E731
        return loss(shortcut, half, obs, actions, key)

    feedback = exercises.ready(squared_distance)
    assert feedback.status == "wrong" and "another mean than the assignment's" in feedback.text


def handing_back(rehearsal, params=()):
    """What a grader gets from another process: it sees what an answer produced, and no answer."""
    return lambda *case, probe, **_: rehearsal if probe is shortcut_training.rehearse else params


def test_the_grader_compares_the_loss_too():
    known = exercises.LOSS_MISCONCEPTIONS[2]
    wrong = shortcut_training.rehearsals(known.answer)
    feedback = exercises.loss.examine(handing_back(wrong), 0)
    assert (feedback.status, feedback.misconception) == ("wrong", known.name)


def test_parameters_of_another_network_are_refused_in_words():
    right = exercises._rehearsals_of(exercises._SOLUTION)
    for rehearsal, params in ((np.zeros(3), ()), (right, np.zeros(3))):
        feedback = exercises.loss.examine(handing_back(rehearsal, params), 0)
        assert feedback.status == "wrong" and "can't be measured" in feedback.text
    keys = jax.random.split(jax.random.key(0), exercises.loss.runs)
    params = jax.vmap(shortcut_training.init)(keys)
    params = [np.full_like(leaf, np.nan) for leaf in jax.tree.leaves(params)]
    assert "NaN" in exercises.loss.examine(handing_back(right, params), 0).text


def test_an_unseen_distribution_depends_on_its_seed_and_on_nothing_else():
    one, other = shortcut_training.unseen(3, 4000), shortcut_training.unseen(3, 4000, draw=1)
    np.testing.assert_array_equal(one, shortcut_training.unseen(3, 4000))
    assert np.abs(one - other).max() > 0.1  # other points ...
    np.testing.assert_allclose(one.mean(0), other.mean(0), atol=0.05)  # ... of the same clouds
    np.testing.assert_allclose(np.cov(one.T), np.cov(other.T), atol=0.05)
    assert np.abs(one.mean(0) - shortcut_training.unseen(4, 4000).mean(0)).max() > 0.05


def test_the_notebook_says_what_the_check_asks_for():
    text = SOURCE.read_text()
    assert f"**goal of {exercises.loss.goal:g}**" in text
    assert f"**baseline of {exercises.loss.baseline:g}**" in text
    total = sum(e.points for e in notebooks.exercises(text))
    assert f"It has {total:g} points" in text and f"There are {total:g} points" in text
