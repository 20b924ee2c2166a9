"""What the page trains with, beside the library: losses, gradients, updates and samples."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import NODE, node, run_node_tests

from sorl_edu.flow_matching import flow_matching_loss, integrate
from sorl_edu.networks import ShortcutField, VelocityField
from sorl_edu.shortcut import at_step_size, self_consistency_loss

FOLDER = Path(__file__).with_name("draw_your_own")
ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(NODE is None, reason="it takes node.js on the path")

M, BATCH, RATE, TAU = 8, 50, 5e-3, 0.1
NETWORKS = {
    "flow": VelocityField((64, 64, 64), action_dim=2),
    "shortcut": ShortcutField((64, 64, 64), action_dim=2),
}


def test_the_tests_of_its_own_pass():
    run_node_tests(FOLDER, least=2)


def test_its_settings_are_the_lessons():
    settings = node(FOLDER / "settings.mjs", None)
    assert settings.pop("batch") == 128
    width = settings["hidden"][0]
    assert settings == {"hidden": [width] * 3, "learningRate": 5e-3, "M": 8, "tau": 0.005}
    for name, field in (("01_flow_matching", "Velocity"), ("02_shortcut_models", "Shortcut")):
        lesson = (ROOT / "notebooks" / f"{name}.py").read_text()
        assert f"{field}Field(({width}, {width}, {width}), action_dim=2)" in lesson
        assert "optax.adam" in lesson and "cosine_decay_schedule(5e-3, updates)" in lesson
    assert "M, network = 8," in lesson and "weight=1.0, tau=0.005" in lesson


def layers_of(params):
    """Kernel and bias of each layer."""
    dense = params["params"]["MLP_0"]
    return [(dense[f"Dense_{i}"]["kernel"], dense[f"Dense_{i}"]["bias"]) for i in range(4)]


def random_params(network, key):
    """With biases that are not zero, as they are before training."""
    inputs = [jnp.zeros((1, width)) for width in (1, 2, 1)]
    if isinstance(network, ShortcutField):
        inputs.append(jnp.ones((1, 1)))
    params = network.init(key, *inputs)
    return jax.tree.map(lambda leaf: leaf + 0.1 * jax.random.normal(key, leaf.shape), params)


class Case:
    """Random parameters, a batch, and the library's losses of them with their gradients."""

    def __init__(self, model):
        self.model, self.network = model, NETWORKS[model]
        keys = jax.random.split(jax.random.key(3), 5)
        self.params = random_params(self.network, keys[0])
        self.average = random_params(self.network, keys[1])
        self.a_1 = 0.7 * jax.random.normal(keys[2], (BATCH, 2))
        self.key, self.noise = keys[3], jax.random.normal(keys[4], (9, 2))
        self.obs = jnp.zeros((BATCH, 1))
        self.gradients = [random_params(self.network, jax.random.key(i)) for i in range(6)]

    def given(self):
        """What the page's modules get: the numbers that the losses draw from the key."""
        noise_key, time_key = jax.random.split(self.key)
        lists = partial(jax.tree.map, lambda leaf: np.asarray(leaf, np.float64).tolist())
        times = jax.random.uniform(time_key, (BATCH, 1))
        return {
            "model": self.model,
            "layers": lists(layers_of(self.params)),
            "average": lists(layers_of(self.average)),
            "updates": [lists(layers_of(gradient)) for gradient in self.gradients],
            "a_1": lists(self.a_1),
            "a_0": lists(jax.random.normal(noise_key, self.a_1.shape)),
            "t": lists(times[:, 0]),
            "uniforms": lists(times[:, 0]),
            "h": 1 / M if self.model == "shortcut" else None,
            "noise": lists(self.noise),
            **{"M": M, "rate": RATE, "tau": TAU},
        }

    def field(self, params, h=1 / M):
        apply = partial(self.network.apply, params)
        return apply if self.model == "flow" else at_step_size(apply, h)

    def flow_loss(self, params):
        return flow_matching_loss(self.field(params), self.obs, self.a_1, self.key)[0]

    def consistency_loss(self, params):
        apply = self.network.apply
        s, average = partial(apply, params), partial(apply, self.average)
        return self_consistency_loss(s, average, self.obs, self.a_1, self.key, M)[0]

    def updated(self):
        """The parameters and the moving average after updates with given gradients, by optax."""
        params, average = self.params, self.average
        for params in self.descend(lambda i, _: self.gradients[i], len(self.gradients)):
            average = jax.tree.map(lambda ema, new: ema + TAU * (new - ema), average, params)
        return params, average

    def descend(self, gradient, updates):
        """The parameters after each update of Adam with gradient(i, params)."""
        optimizer = optax.adam(optax.cosine_decay_schedule(RATE, updates))
        update = jax.jit(optimizer.update)
        params, state = self.params, optimizer.init(self.params)
        for i in range(updates):
            change, state = update(gradient(i, params), state)
            params = optax.apply_updates(params, change)
            yield params

    def check(self, found):
        losses = {"flow": self.flow_loss}
        if self.model == "shortcut":
            losses["consistency"] = self.consistency_loss
        assert found["losses"].keys() == losses.keys()
        for name, loss in losses.items():
            value, gradient = jax.jit(jax.value_and_grad(loss))(self.params)
            assert found["losses"][name]["loss"] == pytest.approx(float(value), rel=1e-5)
            self.close(found["losses"][name]["gradients"], gradient)
        for m, samples in zip((1, 2, 16), found["samples"], strict=True):
            field = self.field(self.params, 1 / min(m, M))
            expected = integrate(field, jnp.zeros((9, 1)), self.noise, m)
            np.testing.assert_allclose(np.reshape(samples, (9, 2)), expected, rtol=1e-5, atol=1e-5)
        params, average = self.updated()
        self.close(found["updated"], params)
        self.close(found["average"], average)
        value, gradient = jax.jit(self.flow_loss), jax.jit(jax.grad(self.flow_loss))
        learned = [self.params, *self.descend(lambda _, params: gradient(params), 10)]
        losses = [float(value(params)) for params in learned[:10]]
        assert losses[-1] < 0.95 * losses[0]
        np.testing.assert_allclose(found["trained"], losses, rtol=1e-5)

    def close(self, found, expected):
        """Every array to 1e-5 of its largest number."""
        arrays = [np.ravel(array) for layer in layers_of(expected) for array in layer]
        assert len(found) == len(arrays) == 8
        for one, other in zip(found, arrays, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("model", NETWORKS)
def test_losses_gradients_updates_and_samples_are_those_of_the_library(model):
    case = Case(model)
    case.check(node(FOLDER / "losses_and_updates.mjs", case.given()))
