"""FlowExplorer against a flow in closed form.

For the Gaussian target N(mu, s^2 I) the exact shortcut lands on mu + s a_0 in any number of steps,
and the velocity alone, in one step, on mu.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import pixels
from legibility import alike, too_faint

from sorl_edu.errors import ConfigError, UnknownName
from sorl_edu.flow_matching import integrate
from sorl_edu.plotting import distance_floor, distances_to_data, energy_distance
from sorl_edu.shortcut import at_step_size
from sorl_edu.widgets.flow import FlowExplorer, path_until

MU, SIGMA = jnp.array([0.3, -0.2]), 0.4
DATA = MU + SIGMA * jax.random.normal(jax.random.key(1), (200, 2))
KEY = jax.random.key(0)


def std(t):
    return jnp.sqrt((1 - t) ** 2 + (t * SIGMA) ** 2)


def exact(obs, a_t, t, h):
    return ((t + h) * MU + std(t + h) / std(t) * (a_t - t * MU) - a_t) / h


def velocity(obs, a_t, t):
    return MU + (t * SIGMA**2 - (1 - t)) / std(t) ** 2 * (a_t - t * MU)


def make(**changes):
    options = dict(key=KEY, steps=(1, 4, 16), denoise_steps=4, samples=60, times=(0.0, 0.5, 1.0))
    return FlowExplorer(
        {"flow": velocity}, DATA, shortcuts={"shortcut": exact}, **(options | changes)
    )


@pytest.fixture(scope="module")
def explorer():
    return make()


def test_render_is_pure_and_follows_both_sliders(explorer):
    first = pixels(explorer.render(steps=4, time=0.5))
    assert np.array_equal(pixels(explorer.render(steps=4, time=0.5)), first)
    assert np.array_equal(pixels(make().render(steps=4, time=0.5)), first)
    assert not np.array_equal(pixels(explorer.render(steps=1, time=0.5)), first)
    assert not np.array_equal(pixels(explorer.render(steps=4, time=1.0)), first)


def test_the_facts_equal_a_fresh_computation(explorer):
    for steps, h in ((1, 1.0), (4, 0.25), (16, 0.25)):  # no smaller step than 1/M
        facts = explorer.frame(steps=steps, time=1.0).facts
        assert json.loads(json.dumps(facts)) == facts
        assert facts["step_size"] == h
        noise, obs = jax.random.normal(KEY, (60, 2)), jnp.zeros((60, 1))
        for name, field in (("flow", velocity), ("shortcut", at_step_size(exact, h))):
            ends = integrate(field, obs, noise, steps)
            np.testing.assert_allclose(facts["mean_position"][name], ends.mean(0), atol=1e-5)
            far = energy_distance(ends, DATA[-60:])
            assert facts["energy_distance"][name] == pytest.approx(float(far), abs=1e-4)


def test_its_distances_are_those_of_the_curves(explorer):
    def apply(params, obs, a_t, t, h):
        return exact(obs, a_t, t, h)

    options = dict(key=KEY, samples=60, steps=(1, 16))
    curve = distances_to_data(apply, jnp.zeros(1), DATA, denoise_steps=4, **options)[0]
    shown = [explorer.frame(steps=m).facts for m in (1, 16)]
    of_shortcut = [facts["energy_distance"]["shortcut"] for facts in shown]
    np.testing.assert_allclose(of_shortcut, curve, atol=1e-4)
    floor = distance_floor(DATA, 60)
    assert shown[0]["energy_distance_of_data"] == pytest.approx(floor, abs=1e-4)


def test_one_step_of_the_flow_collapses_and_of_the_shortcut_does_not(explorer):
    explorer.prepare(steps=1, time=1.0)
    ends = {name: explorer._runs[name, 1][-1] for name in ("flow", "shortcut")}
    np.testing.assert_allclose(ends["flow"], np.broadcast_to(MU, (60, 2)), atol=1e-5)
    np.testing.assert_allclose(ends["shortcut"], MU + SIGMA * explorer.noise, atol=1e-5)
    distance = explorer.frame(steps=1).facts["energy_distance"]
    assert distance["flow"] > 2 * distance["shortcut"]


def test_flow_and_shortcut_may_have_a_slider_each():
    explorer = make(shortcut_steps=(1, 4), times=(1.0,))
    assert [p.name for p in explorer.parameters] == ["steps", "shortcut_steps"]
    frame = explorer.frame(steps=16, shortcut_steps=1)
    assert frame.facts["step_size"] == 1 and "16 steps or 1" in frame.caption
    together = make().frame(steps=16, time=1.0).facts, make().frame(steps=1, time=1.0).facts
    for name, alone in zip(("flow", "shortcut"), together, strict=True):
        assert frame.facts["energy_distance"][name] == alone["energy_distance"][name]
    titles = [axes.get_title() for axes in explorer.render(steps=16, shortcut_steps=1).axes]
    assert titles[0].startswith("flow, m = 16") and titles[1].startswith("shortcut, m = 1:")


def test_the_caption_gives_the_distances(explorer):
    frame = explorer.frame(steps=16, time=0.5)
    for name, distance in frame.facts["energy_distance"].items():
        assert f"{name} {distance:.3f}" in frame.caption
    assert "16 steps" in frame.caption and "h = 1/4" in frame.caption


def test_fields_alone_see_no_step_size_whatever_m():
    alone = FlowExplorer({"flow": velocity}, DATA, key=KEY, steps=(1, 16), samples=60)
    frame = alone.frame(steps=16, time=1.0)
    assert frame.facts["step_size"] is None and "h = " not in frame.caption
    noise, obs = jax.random.normal(KEY, (60, 2)), jnp.zeros((60, 1))
    ends = integrate(velocity, obs, noise, 16)
    np.testing.assert_allclose(frame.facts["mean_position"]["flow"], ends.mean(0), atol=1e-5)


def test_a_path_is_straight_between_its_knots():
    path = np.array([[[0.0, 0.0]], [[1.0, 0.0]], [[1.0, 2.0]]])
    for time, place in ((0, (0, 0)), (0.25, (0.5, 0)), (0.5, (1, 0)), (0.75, (1, 1)), (1, (1, 2))):
        travelled, position = path_until(path, time)
        np.testing.assert_allclose(position[0], place)
        np.testing.assert_allclose(travelled[-1], position)


def test_the_page_needs_nothing_else(explorer):
    page = explorer.to_html(show=False, steps=(1, 4), time=1.0)
    assert page.count('"picture":') == 2
    assert "http" not in page


@pytest.mark.parametrize(
    "changes, said",
    [
        (dict(steps=(1, 3)), "power of two"),
        (dict(steps=()), "at least one"),
        (dict(denoise_steps=3), "power of two"),
        (dict(samples=1), "at least 2"),
        (dict(samples=101), "202 are needed"),
        (dict(times=(0.0, 1.5)), "between 0"),
    ],
)
def test_bad_input_raises_an_error_that_says_why(changes, said):
    with pytest.raises(ConfigError, match=said):
        make(**changes)


def test_bad_fields_data_and_settings_raise_an_error_that_says_why(explorer):
    with pytest.raises(ConfigError, match="1 to 3"):
        FlowExplorer({}, DATA, key=KEY)
    with pytest.raises(ConfigError, match="1 to 3"):
        FlowExplorer(
            dict.fromkeys("ab", velocity), DATA, key=KEY, shortcuts={"c": exact, "d": exact}
        )
    with pytest.raises(ConfigError, match="both a field and a shortcut"):
        FlowExplorer({"flow": velocity}, DATA, key=KEY, shortcuts={"flow": exact})
    with pytest.raises(ConfigError, match=r"expected \(n, 2\)"):
        FlowExplorer({"flow": velocity}, DATA[:, :1], key=KEY)
    with pytest.raises(ConfigError, match="NaN"):
        FlowExplorer({"flow": velocity}, DATA.at[0].set(jnp.nan), key=KEY, samples=60)
    with pytest.raises(ConfigError, match="steps is 2"):
        explorer.render(steps=2)
    with pytest.raises(UnknownName):
        explorer.render(step=1)


def test_its_text_can_be_read_and_its_meanings_told_apart(explorer):
    figure = explorer.render(steps=4, time=0.5)
    assert not too_faint(figure)
    assert not alike(figure)
