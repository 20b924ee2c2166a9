"""SelfConsistencyExplorer against a shortcut of known inconsistency.

For s = delta h, a jump of 2h moves by 2h * 2 delta h in each coordinate, two jumps of h by
2 * h * delta h. They land 2 delta h^2 apart in each, sqrt(2) times that in the plane.
"""

import json

import jax
import numpy as np
import pytest
from helpers import pixels
from legibility import alike, too_faint

from sorl_edu.errors import ConfigError
from sorl_edu.widgets.self_consistency import SelfConsistencyExplorer

DATA = 0.5 * jax.random.normal(jax.random.key(1), (80, 2))
KEY = jax.random.key(0)
DELTAS = (0.0, 2.0, 0.5)


def inconsistent(delta):
    return lambda obs, a_t, t, h: 0 * a_t + delta * h


def make(updates=(0, 100, 1000), shortcuts=None, data=DATA, **options):
    shortcuts = [inconsistent(delta) for delta in DELTAS] if shortcuts is None else shortcuts
    return SelfConsistencyExplorer(
        (updates, shortcuts), data, **(dict(key=KEY, denoise_steps=4, samples=40) | options)
    )


@pytest.fixture(scope="module")
def explorer():
    return make()


def test_render_is_pure_and_follows_both_sliders(explorer):
    first = pixels(explorer.render(update=100, jump=0.5))
    assert np.array_equal(pixels(explorer.render(update=100, jump=0.5)), first)
    assert np.array_equal(pixels(make().render(update=100, jump=0.5)), first)
    assert not np.array_equal(pixels(explorer.render(update=1000, jump=0.5)), first)
    assert not np.array_equal(pixels(explorer.render(update=100, jump=1.0)), first)


def test_the_gap_is_the_known_one(explorer):
    assert [p.values for p in explorer.parameters] == [(0, 100, 1000), (1.0, 0.5)]
    for setting in explorer.settings():
        facts = explorer.frame(**setting).facts
        assert json.loads(json.dumps(facts)) == facts
        delta, h = DELTAS[explorer.updates.index(setting["update"])], setting["jump"] / 2
        assert facts["gap"] == pytest.approx(np.sqrt(2) * 2 * delta * h**2, abs=1e-5)
        assert facts["t"] == 1 - 2 * h
        apart = np.subtract(facts["mean_landing"]["one"], facts["mean_landing"]["two"])
        np.testing.assert_allclose(apart, 2 * delta * h**2, atol=1e-5)


def test_the_caption_and_the_curves_say_the_same(explorer):
    frame = explorer.frame(update=100, jump=0.5)
    assert f"{frame.facts['gap']:.3f}" in frame.caption
    assert "2h = 1/2" in frame.caption and "t = 1/2" in frame.caption
    lines = explorer.render(update=100, jump=0.5).axes[2].lines
    expected = np.sqrt(2) * 2 * np.array(DELTAS) / 16
    np.testing.assert_allclose(lines[1].get_ydata(), expected, atol=1e-5)


def test_one_snapshot_is_enough_and_the_page_refers_to_nothing_else():
    explorer = make(updates=(5,), shortcuts=[inconsistent(0.0)])
    page = explorer.to_html(show=False)
    assert page.count('"picture":') == 2
    assert "http" not in page


@pytest.mark.parametrize(
    "changes, said",
    [
        (dict(updates=()), "at least one"),
        (dict(updates=(0, 1)), "2 updates for 3 shortcuts"),
        (dict(updates=(0, 5, 5)), "must rise"),
        (dict(updates=(-1, 5, 6)), "must rise"),
        (dict(denoise_steps=6), "power of two"),
        (dict(samples=1), "at least 2"),
        (dict(samples=100), "100 are needed"),
        (dict(data=DATA[:, 0]), "expected"),
    ],
)
def test_bad_input_raises_an_error_that_says_why(changes, said):
    with pytest.raises(ConfigError, match=said):
        make(**changes)


def test_a_value_that_is_no_choice_raises_an_error_that_says_why(explorer):
    with pytest.raises(ConfigError, match="jump is 0.25"):
        explorer.render(jump=0.25)


def test_its_text_can_be_read_and_its_meanings_told_apart(explorer):
    figure = explorer.render(update=100, jump=0.5)
    assert figure.get_tightbbox().y1 < figure.get_size_inches()[1] - 0.05  # above the titles
    assert not too_faint(figure)
    assert not alike(figure)
