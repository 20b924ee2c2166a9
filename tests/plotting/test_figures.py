"""Figures show the numbers of their arguments, fit their frame, and leave nothing behind."""

import base64
import contextlib
import functools
import html
import io
import itertools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import jaxtyping
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from legibility import (
    alike,
    deutan_distance,
    pictures_without_words,
    too_faint,
    without_words,
)
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image

from sorl_edu import inference, plotting
from sorl_edu.agents import SORL, FlowBC
from sorl_edu.agents.agent import Agent, HasCritic, Network
from sorl_edu.course.exercises import pictures
from sorl_edu.datasets.tightrope import Tightrope
from sorl_edu.datasets.transitions import Transitions
from sorl_edu.environments.mazes import maze_geometry
from sorl_edu.errors import ConfigError
from sorl_edu.evaluation import summarize, t_interval
from sorl_edu.plotting.lines import course_of
from sorl_edu.plotting.mazes import Trajectories
from sorl_edu.plotting.style import PHOTOGRAPH

MEDIUM = "pointmaze-medium-navigate-singletask-v0"
KEY = jax.random.key(0)
TARGET = (0.5, -0.5)


@dataclass(frozen=True)
class Archer:
    """An agent of one's own: Gaussian candidates, valued by their distance to a target."""

    target: tuple[float, ...] = TARGET
    batch_size: int = 1

    def propose(self, state, obs, key, *, steps, candidates):
        noise = inference.candidate_noise(key, candidates, len(obs), len(self.target))
        return inference.propose(
            lambda obs, noise: jnp.clip(noise * state / steps, -1, 1),
            lambda obs, actions: self.value(state, obs, actions, steps=steps),
            obs,
            noise,
        )

    def value(self, state, obs, actions, *, steps):
        return -((actions - jnp.array(self.target)) ** 2).sum(-1)

    def prepare(self, data):
        raise NotImplementedError("figures need no training")

    init = update = losses = prepare


STATE = jnp.array(0.8)
SETTINGS = [(1, 1), (8, 1), (1, 32), (8, 32)]


@pytest.fixture(autouse=True)
def nothing_left_behind():
    rc, figures, random = dict(matplotlib.rcParams), plt.get_fignums(), np.random.get_state()[1]
    yield
    assert dict(matplotlib.rcParams) == rc
    assert plt.get_fignums() == figures == []
    np.testing.assert_array_equal(np.random.get_state()[1], random)


@contextlib.contextmanager
def unchecked():
    """Without the run-time check of annotations, which only tests switch on."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


def history(seeds=3, splits=("train", "validation"), metrics=("critic_loss", "q_data", "own")):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        [
            (split, seed, update, metric, rng.normal())
            for split in splits
            for seed in range(seeds)
            for update in (100, 200, 300)
            for metric in metrics
        ],
        columns=["split", "seed", "update", "metric", "value"],
    )


def summary(seeds=3, steps=(1, 8), candidates=(1, 8, 32)):
    rng = np.random.default_rng(0)
    rows = [
        (seed, m, n, episode, float(rng.random() < 0.6), -1.0, 300 * rng.random())
        for seed in range(seeds)
        for m in steps
        for n in candidates
        for episode in range(10)
    ]
    columns = ["training_seed", "steps", "candidates", "episode", "success", "return", "length"]
    with unchecked():
        return summarize(pd.DataFrame(rows, columns=columns))


def interquartile_means(settings):
    iqm = np.linspace(0.2, 0.8, settings)
    return pd.DataFrame({"slip": iqm / 10, "iqm": iqm, "low": iqm - 0.1, "high": iqm + 0.2})


def walks():
    """Three episodes near the start; the second one ends early."""
    tracks = np.cumsum(np.random.default_rng(0).normal(size=(3, 30, 2)), 1) * 0.1
    tracks[1, 12:] = np.nan
    return tracks.astype(np.float32), np.array([1.0, 1.0, 0.0])


def picture(figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())


def two_paths():
    """The second one does not arrive."""
    observations, success = walks()
    return Trajectories(observations[1:], success[1:] > 0)


def test_each_panel_of_compared_paths_says_how_many_arrive():
    both, one = two_paths(), Trajectories(walks()[0][:1], np.array([True]))
    figure = plotting.compare_paths(MEDIUM, {"one": both, "other": one})
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["one\n1 of 2 arrive", "other\n1 of 1 arrive"]
    assert "one: 1 of 2 arrive; other: 1 of 1 arrive" in figure.alt
    with pytest.raises(ConfigError, match="at least one agent"):
        plotting.compare_paths(MEDIUM, {})


def success_of(**methods):
    """A row per method: success in percent with its interval."""
    rows = [(name, *numbers) for name, numbers in methods.items()]
    return pd.DataFrame(rows, columns=["agent", "success", "low", "high"])


def tried(**methods):
    """By method, the success of (value, setting) pairs; the best one was chosen."""
    rows = [
        (name, value, success, success == max(success for _, success in pairs))
        for name, pairs in methods.items()
        for value, success in pairs
    ]
    return pd.DataFrame(rows, columns=["agent", "value", "success", "chosen"])


def compared_methods():
    success = success_of(SORL=(90, 80, 95), BC=(5, 0, 20))
    return plotting.compare_methods(success, tried(SORL=[(20, 0.1), (20, 0.4), (100, 1.0)]))


def test_each_value_of_a_knob_is_shown_at_its_best_setting():
    figure = compared_methods()
    left, right = figure.axes
    drawn = [(line.get_xdata()[0], line.get_markerfacecolor()) for line in right.lines]
    assert [x for x, _ in drawn] == [40, 100]
    assert [fill == "none" for _, fill in drawn] == [True, False]  # the chosen one is filled
    assert [text.get_text() for text in left.get_yticklabels()] == ["SORL", "BC"]
    assert left.get_ylim()[0] > left.get_ylim()[1]  # the first method is at the top
    assert "SORL 90 [80, 95], its knob from 40 to 100; BC 5 [0, 20]." in figure.alt


def test_values_with_equal_success_stand_beside_each_other():
    pairs = [(1, 0.5), (2, 1.0), (3, 1.0), (4, 1.0)]
    right = plotting.compare_methods(success_of(A=(1, 0, 2)), tried(A=pairs)).axes[1]
    places = [(line.get_xdata()[0], line.get_ydata()[0]) for line in right.lines]
    assert len(set(places)) == 4 and places[0] == (50, 0)
    assert np.mean([y for x, y in places if x == 100]) == pytest.approx(0)


@pytest.mark.parametrize(
    ("success", "values", "message"),
    [
        (dict(A=(1, 0, 2)), dict(B=[(1, 0.5)]), "tuned, and have no success: B"),
        (dict(), dict(A=[(1, 0.5)]), "empty"),
    ],
)
def test_methods_that_cant_be_compared_are_named(success, values, message):
    with pytest.raises(ConfigError, match=message):
        plotting.compare_methods(success_of(**success), tried(**values))
    with pytest.raises(ConfigError, match="several rows"):
        twice = pd.concat([success_of(A=(1, 0, 2))] * 2)
        plotting.compare_methods(twice, tried(A=[(1, 0.5)]))


@functools.cache
def every_figure():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(50, 2)).astype(np.float32)
    values = rng.normal(size=maze_geometry(MEDIUM).points(2)[1].sum())
    return {
        "trajectories": plotting.maze_trajectories(MEDIUM, *walks()),
        "landscape": landscape(),
        "landscapes": plotting.compare_landscapes({"a": (Archer(), STATE)}, MEDIUM, per_cell=2),
        "actions": actions_figure(),
        "actions, no maze": actions_figure(environment=None),
        "one cell": actions_figure(steps=(2,), candidates=(8,)),
        "curves": plotting.learning_curves(history()),
        "heat map": plotting.sweep_heatmap(summary()),
        "lines": plotting.sweep_lines(summary()),
        "samples": plotting.samples_2d({name: points for name in "abcde"}),
        "flow": plotting.flow_paths(rng.normal(size=(3, 40, 2)), points),
        "walks": plotting.recorded_walks(MEDIUM, {"trajectory 1": walks()[0][0]}),
        "paths": plotting.compare_paths(MEDIUM, {"one": two_paths(), "other": two_paths()}),
        "recorded actions": plotting.recorded_actions(
            MEDIUM, {"A, a cell": (0, 0)}, points, points
        ),
        "maps": plotting.value_maps(MEDIUM, {"mean": values, "deviation": -values}, per_cell=2),
        "several agents": plotting.compare_actions(
            {"one": (Archer(), STATE), "other": (Archer(), 2 * STATE)}, (0.0, 0.0), key=KEY
        ),
        "success": plotting.success_over({"1": summary(), "10": summary()}, SETTINGS, xlabel="w"),
        "methods": compared_methods(),
        "gradients": plotting.gradient_of_steps(
            {m: rng.uniform(size=(5, m)) for m in (1, 2, 4, 8)}, {1: 1.0, 2: 2.0, 4: 4.0, 8: 8.0}
        ),
        "four lines": plotting.lines(
            {name: rng.normal(size=(3, 8)) for name in "abcd"},
            range(8),
            xlabel="x",
            ylabel="y",
            level=("the truth", 0.0),
        ),
        "panels": plotting.line_panels(
            {
                "one": {"a": rng.normal(size=30), "b": rng.normal(size=30)},
                "two": {"c": np.ones(30)},
            },
            range(30),
            xlabel="x",
            ylabel="y",
        ),
        "promises": plotting.promises(
            {"one": (np.arange(3.0), np.ones(3)), "two": (np.ones(3), np.zeros(3))},
            ("promised", "got"),
            ylabel="return",
            level=("never arriving", -1.0),
        ),
        "pull and hold": plotting.pull_and_hold(
            lambda a: np.where(a < 0.4, a, -1.0),
            lambda a: 2 * a,
            lambda a: -10 * a**2,
            rng.uniform(-0.5, 0.3, 40),
            (0, 1, 100),
        ),
        "interquartile means": plotting.interval_panels(
            {
                "one": {"a": interquartile_means(3), "b": interquartile_means(3)},
                "two": {"a": interquartile_means(8)},
            },
            xlabels=("x", "z"),
            ylabel="share",
        ),
        "tightrope": plotting.tightrope_panels(
            Tightrope(),
            {
                "walks": plotting.Walkers(rng.uniform(size=60), np.arange(60)[:, None]),
                "a clone": plotting.Walkers(np.ones(60), actions=rng.dirichlet(np.ones(4), 60)),
                "practice": plotting.Walkers(np.zeros(60), practice=np.full(60, 1 / 60)),
            },
        ),
        "cells": plotting.tightrope_maps(
            Tightrope(), {"a": rng.normal(size=60), "b": np.zeros(60)}, about="Numbers at random"
        ),
        "diagram": plotting.method_diagram(),
        "crossing": plotting.crossing_paths(
            jnp.asarray(points), jnp.asarray(points[::-1]), (0.0, 0.0), (0.5,), radius=1
        ),
        "slices": plotting.velocity_slices(lambda a, t: -a, [lambda obs, a_t, t: t - a_t]),
        "distances": plotting.distance_curves({"a": rng.normal(size=(3, 2))}, (1, 2), floor=0.1),
        "spread": pictures.paths_and_spread(
            {name: jnp.asarray(rng.normal(size=(4, 30, 2))) for name in ("straight", "cosine")},
            jnp.linspace(0, 1, 4),
        ),
        "orders": pictures.orders_of_convergence(
            {
                "a path": {
                    "Euler": ((2, 4, 8), (0.1, 0.05, 0.02)),
                    "Heun": ((2, 4, 8), (1, 0.2, 0.1)),
                }
            }
        ),
        "jumps": pictures.unequal_jumps(
            lambda obs, a_t, t, h: -a_t / 2, jnp.array([[1.0, 1.0]]), t=0.0, h1=0.25, h2=0.5
        ),
    }


def actions_figure(agent=Archer(), state=STATE, key=KEY, **options):
    options = dict(steps=(1, 2), candidates=(1, 8), samples=50, environment=MEDIUM) | options
    return plotting.action_distribution(agent, state, np.zeros(2, np.float32), key=key, **options)


def test_figures_fit_their_frame():
    for name, figure in every_figure().items():
        assert isinstance(figure, Figure), name
        left, bottom, right, top = figure.get_tightbbox().extents
        width, height = figure.get_size_inches()
        assert width <= plotting.WIDTH and min(left, bottom) > -0.02, name
        assert right < width + 0.02 and top < height + 0.02, name
        texts = figure.findobj(matplotlib.text.Text)
        assert min(text.get_fontsize() for text in texts if text.get_text().strip()) >= 9, name


def test_every_text_can_be_read():
    for name, figure in every_figure().items():
        assert not too_faint(figure), name


def test_a_text_that_is_too_faint_is_found():
    in_light = functools.partial(too_faint, inverted=False)
    figure = plotting.new_figure(4, 3)
    axes = figure.subplots()
    axes.set(facecolor="black", xticks=[], yticks=[])
    axes.text(0.5, 0.5, "dark on dark", color="0.2")
    axes.text(0.5, 0.2, "large", color="0.4", size=20)  # 3.7 on black
    assert not in_light(plotting.new_figure(4, 3))
    (found,) = in_light(figure)
    assert found.startswith("'dark on dark': 1.")
    text = axes.text(0.5, 0.8, "small", color="0.4")
    assert len(in_light(figure)) == 2
    text.set_bbox(dict(facecolor="white"))
    assert len(in_light(figure)) == 1
    white = plotting.new_figure(4, 3)
    white.text(0.5, 0.5, "grey", color="#767676")  # the lightest grey on white that WCAG admits
    assert not in_light(white)
    white.text(0.5, 0.2, "lighter", color="#777777")
    assert len(in_light(white)) == 1
    teal = plotting.new_figure(4, 3)
    teal.set_facecolor("#21918c")  # the middle of viridis
    teal.text(0.5, 0.5, "black")
    assert not in_light(teal) and too_faint(teal)


def test_no_two_meanings_are_apart_by_colours_that_some_do_not_tell_apart():
    for name, figure in every_figure().items():
        assert not alike(figure), name
    for pair in itertools.combinations(plotting.COLORS, 2):
        assert deutan_distance(*pair) > 40, pair


def test_red_and_green_dots_are_found():
    figure = plotting.new_figure(4, 3)
    axes = figure.subplots()
    for color, marker in (("tab:red", "o"), ("tab:green", "o"), ("tab:green", "s")):
        axes.plot([0], [0], marker, color=color, label=color + marker)
    axes.plot([0], [0], "X", color=plotting.ORANGE, label="failed")
    axes.plot([0], [0], "X", color=plotting.RED, label="goal")
    axes.legend()
    assert [found.partition(" ")[0] for found in alike(figure)] == ["'tab:redo'", "'failed'"]


def test_every_figure_says_what_it_shows():
    told = {name: figure.alt for name, figure in every_figure().items()}
    for name, alt in told.items():
        assert not without_words(alt), name
    assert "1 stuck" in told["trajectories"] and "2 of 3" in told["trajectories"]
    assert "0.40 at m = 1, 0.63 at m = 8" in told["heat map"]
    means = told["interquartile means"]
    assert "a goes from 0.20 at 0.02 to 0.80 at 0.08" in means and "two, against z" in means
    assert "a goes from" in told["four lines"] and "the truth, is at 0" in told["four lines"]


def test_a_line_in_words_names_its_ends_and_its_turns():
    assert course_of([1, 2, 3], [3.0, 3.01, 3.0]) == "stays at 3"
    assert course_of([1, 2, 4], [3.0, 2.0, 1.0]) == "goes from 3 at 1 to 1 at 4"
    turning = "goes from 1 at 0 to 2 at 3, with its highest 9 at 1 and its lowest -4 at 2"
    assert course_of([0, 1, 2, 3], [1.0, 9.0, -4.0, 2.0]) == turning


def test_a_notebook_shows_a_figure_with_its_words_and_saves_the_picture(monkeypatch):
    figure = plotting.new_figure(2, 1, alt='A line & a "quote" that fall from 3 at 1 to 1 at 4')
    figure.subplots()
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *a, **k: shown.append((*a, k)))
    figure._ipython_display_()
    ((data, options),) = shown
    assert options["raw"] and options["metadata"]["image/png"]["alt"] == figure.alt
    cell = {"source": "figure", "outputs": [{"data": data}]}
    assert not pictures_without_words([cell])
    assert html.escape(figure.alt) in data["text/html"]
    with Image.open(io.BytesIO(base64.b64decode(data["image/png"]))) as image:
        assert image.format == "PNG" and image.size[0] > 100
    theme, _, _ = data["text/html"].partition('<img class="sorl-figure"')
    assert "invert" in theme  # a dark theme has a dark picture
    del data["text/html"]
    assert pictures_without_words([cell])
    figure.alt = ""
    with pytest.raises(NotImplementedError):  # IPython then shows it as any figure
        figure._ipython_display_()


def test_a_photograph_is_not_inverted_in_a_dark_theme(monkeypatch):
    figure = plotting.new_figure(2, 1, alt="A robot")
    figure.subplots().set_gid(PHOTOGRAPH)
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, **_: shown.append(data))
    figure._ipython_display_()
    assert "<style>" not in shown[0]["text/html"] and "<img" in shown[0]["text/html"]


@pytest.mark.parametrize("draw", [lambda: landscape(), lambda: plotting.learning_curves(history())])
def test_figures_look_the_same_whatever_the_settings_when_they_are_shown(draw):
    figure = draw()
    before = picture(figure)
    with matplotlib.rc_context({"font.size": 20, "xtick.labelsize": 20, "axes.grid": True}):
        np.testing.assert_array_equal(picture(figure), before)


def test_trajectories_are_the_given_ones_and_differ_in_colour_and_dashes_by_success():
    tracks, success = walks()
    figure = plotting.maze_trajectories(MEDIUM, tracks, success)
    (axes,) = figure.axes
    drawn = [line for line in axes.lines if len(line.get_xdata()) == 30]
    assert len(drawn) == 3
    for line, track in zip(drawn, tracks, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), track)
    reached, _, failed = drawn
    assert reached.get_color() != failed.get_color()
    assert reached.get_linestyle() == "-" and failed.get_linestyle() != "-"
    assert "2 of 3" in axes.get_title() and axes.get_xlabel() == "x (m)"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[:2] == ["reached the goal (2)", "did not (1), ends at X"]


def test_q_landscape_shows_the_mean_or_the_best_value_of_free_space():
    agent = Archer()
    maze = maze_geometry(MEDIUM)
    points, free = maze.points(2)
    proposal = agent.propose(STATE, jnp.asarray(points[free]), KEY, steps=2, candidates=4)
    for reduce in ("mean", "max"):
        figure = landscape(agent, key=KEY, reduce=reduce)
        axes, bar = figure.axes
        shown = axes.images[0].get_array()
        np.testing.assert_array_equal(np.ma.getmaskarray(shown), ~free)
        np.testing.assert_allclose(shown[free], getattr(np, reduce)(proposal.q, 0), rtol=1e-5)
        arrows = proposal.actions.mean(0) if reduce == "mean" else proposal.action
        (quiver,) = [c for c in axes.collections if hasattr(c, "U")]
        np.testing.assert_allclose(np.stack([quiver.U, quiver.V], 1), arrows, atol=1e-6)
        assert "return" in bar.get_ylabel()


def landscape(agent=Archer(), state=STATE, environment=MEDIUM, **options):
    options = dict(steps=2, samples=4, per_cell=2) | options
    return plotting.q_landscape(agent, state, environment, **options)


def some_parameters(agent, data):
    """A state of the right shapes, without the seconds that compiling `init` takes."""
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: jnp.asarray(rng.uniform(0.5, 1, leaf.shape) * rng.choice([-1, 1], leaf.shape)),
        jax.eval_shape(agent.init, KEY, data),
    )


@functools.cache
def without_critic():
    zeros = np.zeros((2, 2))
    agent = FlowBC(field=Network((4,)))
    return agent, some_parameters(
        agent, Transitions.create(zeros, zeros, zeros[0], zeros[0], [0, 1])
    )


def panels_of(figure):
    return [axes for axes in figure.axes if axes.get_title().startswith("spread")]


def test_action_distribution_draws_the_chosen_candidates_of_propose():
    figure = actions_figure()
    panels = panels_of(figure)
    assert len(panels) == 4 and len(figure.axes) == 5
    repeated = jnp.zeros((50, 2))
    propose = jax.jit(Archer().propose, static_argnames=("steps", "candidates"))
    means, spreads = {}, {}
    for panel, (n, m) in zip(panels, [(n, m) for n in (1, 8) for m in (1, 2)], strict=True):
        fresh = propose(STATE, repeated, KEY, steps=m, candidates=n)
        offsets = panel.collections[-1].get_offsets()
        np.testing.assert_allclose(offsets, fresh.action, atol=1e-6)
        mean = panel.lines[0].get_xydata()[0]
        np.testing.assert_allclose(mean, fresh.action.mean(0), atol=1e-6)
        means[n, m], spreads[n, m] = mean, np.std(offsets, 0).sum()
        expected = np.sqrt(np.var(offsets, 0).sum())
        assert panel.get_title() == f"spread {expected:.2f}, Q {fresh.q.max(0).mean():.1f}"
    for m in (1, 2):  # more candidates: closer to the best action, and closer together
        error, error_of_8 = (np.linalg.norm(means[n, m] - np.array(TARGET)) for n in (1, 8))
        assert error_of_8 < error / 2 and spreads[8, m] < spreads[1, m] / 1.5
    assert [panel.get_ylabel() for panel in panels[::2]] == ["N = 1", "N = 8"]
    assert [panel.texts[0].get_text() for panel in panels[:2]] == ["m = 1 step", "m = 2 steps"]


def test_best_of_few_does_not_depend_on_how_many_candidates_are_drawn(transitions):
    agent = SORL(field=Network((8,)), critic=Network((8,)), batch_size=4)
    state = some_parameters(agent, transitions)
    obs = np.asarray(transitions.observations[0])
    chosen = plotting.chosen_actions(
        agent, state, obs, steps=[2], candidates=(3, 9), key=KEY, samples=20
    )
    repeated = jnp.broadcast_to(obs, (20, 3))
    propose = jax.jit(agent.propose, static_argnames=("steps", "candidates"))
    fresh = propose(state, repeated, KEY, steps=2, candidates=3)
    np.testing.assert_allclose(chosen[2, 3][0], fresh.action, atol=1e-5)
    np.testing.assert_allclose(chosen[2, 3][1], fresh.q.max(0), atol=1e-5)
    assert (chosen[2, 9][1] >= chosen[2, 3][1]).all() and chosen[2, 9][1].sum() > fresh.q.sum() / 3
    # Beyond M_BTT the critic sees M_BTT.
    some = jnp.asarray(chosen[2, 9][0])
    values = [plotting.action_values(agent, state, obs, some, steps=m) for m in (2, 8, 16)]
    np.testing.assert_allclose(values[0], chosen[2, 9][1], atol=1e-5)
    np.testing.assert_array_equal(values[1], values[2])
    assert not np.allclose(values[0], values[1])


def test_learning_curves_are_means_with_students_interval():
    table = history()
    figure = plotting.learning_curves(table, ["own", "critic_loss"])
    assert [axes.get_title() for axes in figure.axes] == ["own", "TD loss (return²)"]
    rows = table[(table.metric == "own") & (table.split == "train")]
    grouped = rows.groupby("update").value
    line = figure.axes[0].lines[0]
    np.testing.assert_allclose(line.get_xydata(), grouped.mean().reset_index())
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    for update, values in grouped:
        drawn = band[band[:, 0] == update, 1]
        np.testing.assert_allclose([drawn.min(), drawn.max()], t_interval(values.tolist()))
    styles = {line.get_linestyle() for line in figure.axes[0].lines}
    assert len(styles) == 2 and figure.get_supxlabel() == "updates"
    assert len(plotting.learning_curves(table).axes) == 3
    alone = plotting.learning_curves(history(seeds=1, splits=("train",)))
    assert "interval" not in alone.get_suptitle() and len(alone.axes[0].lines) == 1


@pytest.mark.parametrize("metric, digits", [("success", 2), ("length", 0)])
def test_heat_map_holds_every_value_and_interval(metric, digits):
    table = summary()
    figure = plotting.sweep_heatmap(table, metric)
    axes = figure.axes[0]
    texts = [text.get_text() for text in axes.texts]
    cells = table.sort_values(["candidates", "steps"])
    expected = []
    for row in cells.itertuples():
        value, low, high = (getattr(row, metric + end) for end in ("", "_low", "_high"))
        expected += [f"{value:.{digits}f}", f"{low:.{digits}f} to {high:.{digits}f}"]
    assert texts == expected
    np.testing.assert_array_equal(axes.images[0].get_array().ravel(), cells[metric])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "8"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["1", "8", "32"]
    assert "95% over 3 training seeds" in axes.get_title()


def test_heat_map_leaves_a_missing_cell_blank():
    table = summary()[1:]
    assert len(plotting.sweep_heatmap(table).axes[0].texts) == 2 * len(table)


def test_sweep_lines_go_through_the_means_and_span_the_intervals():
    table = summary()
    figure = plotting.sweep_lines(table)
    assert len(figure.axes) == 2
    for axes, metric in zip(figure.axes, ("success", "length"), strict=True):
        for bar, n in zip(axes.containers, (1, 8, 32), strict=True):
            row = table[table.candidates == n]
            np.testing.assert_allclose(bar.lines[0].get_ydata().astype(float), row[metric])
            spans = [segment[:, 1] for segment in bar.lines[2][0].get_segments()]
            np.testing.assert_allclose(spans, row[[f"{metric}_low", f"{metric}_high"]])
        colors = [to_hex(bar.lines[0].get_color()) for bar in axes.containers]
        assert len(set(colors)) == 3
    perfect = table.assign(success=1.0, success_low=0.9, success_high=1 - 1e-12)
    plotting.sweep_lines(perfect)  # an interval that misses its mean by a rounding error


def test_flow_paths_join_starts_and_ends():
    rng = np.random.default_rng(0)
    paths, target = rng.normal(size=(5, 20, 2)), rng.normal(size=(30, 2))
    figure = plotting.flow_paths(jnp.asarray(paths), target, lines=7)
    left, right = figure.axes
    assert (left.get_title(), right.get_title()) == ("4 Euler steps", "data")
    assert len(left.lines) == 7
    for i, line in enumerate(left.lines):
        np.testing.assert_allclose(line.get_xydata(), paths[:, i], rtol=1e-6)
    starts, ends = (c.get_offsets() for c in left.collections)
    np.testing.assert_allclose(starts, paths[0], rtol=1e-6)
    np.testing.assert_allclose(ends, paths[-1], rtol=1e-6)
    np.testing.assert_allclose(right.collections[0].get_offsets(), target)
    assert len(plotting.flow_paths({"a": paths, "b": paths[:2]}, target).axes) == 3


def test_samples_are_drawn_side_by_side_on_equal_axes():
    clouds = {"near": np.ones((4, 2)), "far": 3 * np.ones((4, 2))}
    near, far = plotting.samples_2d(clouds).axes
    assert near.get_title() == "near" and near.get_xlim() == far.get_xlim() == far.get_ylim()
    np.testing.assert_array_equal(far.collections[0].get_offsets(), clouds["far"])


def test_other_data_make_another_picture():
    tracks, success = walks()
    table, curves = summary(), history()
    points = np.random.default_rng(0).normal(size=(3, 40, 2))
    pairs = [
        [plotting.maze_trajectories(MEDIUM, tracks, s) for s in (success, 1 - success)],
        [landscape(state=k * STATE) for k in (1, 2)],
        [actions_figure(key=jax.random.key(seed), steps=(2,), candidates=(8,)) for seed in (0, 1)],
        [plotting.learning_curves(curves.assign(value=curves.value * k), ["own"]) for k in (1, 2)],
        [plotting.sweep_heatmap(table.assign(success=p)) for p in (0.2, 0.8)],
        [plotting.sweep_lines(table.assign(length=table.length + k)) for k in (0, 50)],
        [plotting.samples_2d({"a": points[i]}) for i in (0, 1)],
        [plotting.flow_paths(points[::k], points[0]) for k in (1, -1)],
    ]
    for one, other in pairs:
        first, second = picture(one), picture(other)
        assert first.shape == second.shape and (first != second).any()


@pytest.mark.parametrize(
    "draw, words",
    [
        (lambda: plotting.sweep_heatmap(pd.DataFrame()), "lacks steps"),
        (lambda: plotting.sweep_heatmap(summary()[:0]), "is empty"),
        (lambda: plotting.sweep_heatmap(summary(), "return"), "'success' or 'length'"),
        (lambda: plotting.sweep_lines(summary().drop(columns="length_low")), "lacks length_low"),
        (lambda: plotting.sweep_lines(pd.concat([summary()] * 2)), "one sweep at a time"),
        (lambda: plotting.learning_curves(history()[:0]), "is empty"),
        (lambda: plotting.learning_curves(history().drop(columns="split")), "lacks split"),
        (lambda: plotting.learning_curves(history(), ["loss"]), "there are critic_loss"),
        (lambda: plotting.learning_curves(history(), []), "at least one metric"),
        (lambda: plotting.samples_2d({}), "at least one"),
        (lambda: plotting.samples_2d({"a": np.zeros((3, 4))}), "'a' has shape"),
        (lambda: plotting.samples_2d({"a": np.full((3, 2), np.nan)}), "NaN"),
        (lambda: plotting.flow_paths(np.zeros((3, 2)), np.zeros((3, 2))), "steps \\+ 1, batch, 2"),
        (lambda: plotting.flow_paths(np.zeros((2, 3, 2)), np.zeros((0, 2))), "'target' has shape"),
        (lambda: plotting.maze_trajectories(MEDIUM, np.zeros((3, 2)), np.ones(3)), "episode, time"),
        (lambda: plotting.maze_trajectories(MEDIUM, walks()[0], np.ones(5)), "3 episodes"),
        (lambda: landscape(environment=MEDIUM.replace("point", "ant")), "29 wide"),
        (lambda: landscape(reduce="median"), "'mean' or 'max'"),
        (lambda: landscape(*without_critic()), "no critic"),
        (lambda: plotting.compare_landscapes({}, MEDIUM), "at least one"),
        (lambda: plotting.compare_landscapes({"a": without_critic()}, MEDIUM), "no critic"),
        (lambda: actions_figure(Archer((0.0, 0.0, 1.0)), steps=(1,)), "these are 3-D"),
        (lambda: actions_figure(samples=1), "samples must be at least 2"),
        (lambda: actions_figure(steps=()), "at least one"),
        (lambda: actions_figure(candidates=(0, 4)), "must be at least 1, got 0"),
        (lambda: actions_figure(*without_critic(), steps=(1,)), "use candidates = 1"),
        (lambda: plotting.save_figure(Figure(), "figure.jpg"), "saved as .png"),
    ],
)
def test_arguments_that_cannot_be_drawn_raise_an_error_that_says_why(draw, words):
    with unchecked(), pytest.raises(ConfigError, match=words):
        draw()


def test_an_agent_without_a_critic_is_drawn_without_contours():
    figure = actions_figure(*without_critic(), steps=(1,), candidates=(1,))
    assert all(len(panel.collections) == 1 for panel in panels_of(figure))
    assert "Q" not in panels_of(figure)[0].get_title()


def test_figures_need_no_more_than_the_contract_of_agents():
    assert isinstance(Archer(), Agent) and isinstance(Archer(), HasCritic)
    assert not isinstance(without_critic()[0], HasCritic)


def test_landscapes_side_by_side_share_a_scale():
    agents = {"one": (Archer(), STATE), "other": (Archer((0.0, 0.0)), STATE)}
    figure = plotting.compare_landscapes(agents, MEDIUM, steps=2, samples=4, per_cell=2)
    one, other = (axes.images[0] for axes in figure.axes[:2])
    assert one.get_clim() == other.get_clim()
    values = np.ma.concatenate([one.get_array(), other.get_array()])
    assert one.get_clim() == (values.min(), values.max())
    alone = landscape(samples=4).axes[0].images[0].get_array()
    np.testing.assert_allclose(one.get_array(), alone, rtol=1e-5)


def test_a_figure_is_saved_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "figure.png"
    assert plotting.save_figure(Figure(figsize=(2, 1)), path, dpi=50) == path
    with Image.open(path) as image:
        assert image.format == "PNG" and image.size == (100, 50)
    before = path.read_bytes()

    def interrupted(self, file, **options):
        file.write_bytes(b"half a pic")
        raise KeyboardInterrupt

    monkeypatch.setattr(Figure, "savefig", interrupted)
    with pytest.raises(KeyboardInterrupt):
        plotting.save_figure(Figure(), path)
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


def test_the_diagram_names_every_part_and_its_text_fits_its_box():
    figure = plotting.method_diagram()
    axes = figure.axes[0]
    figure.draw_without_rendering()
    boxes = [
        patch.get_window_extent() for patch in axes.patches if isinstance(patch, FancyBboxPatch)
    ]
    assert len(boxes) == 6
    words = " ".join(text.get_text() for text in axes.texts)
    for part in ("recorded data", "critic", "policy", "N candidates", "m steps", "action a"):
        assert part in words
    inside = [
        any(box.x0 < e.x0 and e.x1 < box.x1 and box.y0 < e.y0 and e.y1 < box.y1 for box in boxes)
        for e in (text.get_window_extent() for text in axes.texts)
    ]
    assert sum(inside) == 6
