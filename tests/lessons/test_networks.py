"""Networks against the same functions written in numpy, and the encoder against its formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from sorl_edu.flow_matching import velocity_target
from sorl_edu.networks import (
    MLP,
    CriticEnsemble,
    NoisePredictor,
    ObservationEncoder,
    ShortcutField,
    VelocityField,
)

KEY = jax.random.key(0)
OBS = jax.random.normal(jax.random.key(1), (4, 3))
ACTIONS = jax.random.normal(jax.random.key(2), (4, 2))
T = jnp.array([[0.0], [0.25], [0.5], [0.75]])
H = jnp.array([[1.0], [0.5], [0.25], [0.125]])


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


@pytest.mark.parametrize("layer_norm", [False, True])
def test_an_mlp_is_dense_then_gelu_then_layer_norm(layer_norm):
    network = MLP((5, 6), 2, layer_norm)
    params = jax.jit(network.init)(KEY, OBS)["params"]
    x = np.asarray(OBS, float)
    for i in range(2):
        layer = params[f"Dense_{i}"]
        x = gelu(x @ np.asarray(layer["kernel"], float) + np.asarray(layer["bias"]))
        if layer_norm:
            mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
            x = (x - mean) / np.sqrt(variance + 1e-6)
    x = x @ np.asarray(params["Dense_2"]["kernel"], float)
    np.testing.assert_allclose(network.apply({"params": params}, OBS), x, atol=1e-5)
    # 3 -> 5 -> 6 -> 2, and a scale and a shift for each normalised unit.
    numbers = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert numbers == (3 + 1) * 5 + (5 + 1) * 6 + (6 + 1) * 2 + 2 * 11 * layer_norm


def test_kernels_start_uniform_with_the_average_fan():
    kernel = MLP((), 300).init(KEY, jnp.zeros((1, 200)))["params"]["Dense_0"]["kernel"]
    bound = np.sqrt(3 / ((200 + 300) / 2))
    assert 0.999 * bound < np.abs(kernel).max() <= bound
    assert np.var(kernel) == pytest.approx(bound**2 / 3, rel=0.02)


# With no hidden layer a network is linear in its inputs, which shows what it is fed.


def linear(params, *inputs):
    layer = params["params"]["MLP_0"]["Dense_0"]
    return np.concatenate(inputs, -1) @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])


def test_a_shortcut_field_is_fed_the_level():
    network = ShortcutField((), 2)
    params = jax.jit(network.init)(KEY, OBS, ACTIONS, T, H)
    level = np.array([[0], [1], [2], [3]])
    np.testing.assert_allclose(
        network.apply(params, OBS, ACTIONS, T, H),
        linear(params, OBS, ACTIONS, T, level),
        atol=1e-6,
    )


def test_a_velocity_field_is_fed_the_time():
    network = VelocityField((), 2)
    params = jax.jit(network.init)(KEY, OBS, ACTIONS, T)
    velocity = network.apply(params, OBS, ACTIONS, T)
    np.testing.assert_allclose(velocity, linear(params, OBS, ACTIONS, T), atol=1e-6)


def mish(x):
    return x * np.tanh(np.log1p(np.exp(x)))


def normalised(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)


def test_a_noise_predictor_is_residual_blocks_and_features_of_time():
    network = NoisePredictor((5, 6), 2)  # the second block also changes the width
    params = jax.jit(network.init)(KEY, OBS, ACTIONS, T)["params"]
    layers = {name: jax.tree.map(lambda x: np.asarray(x, float), p) for name, p in params.items()}

    def dense(i, x):
        return x @ layers[f"Dense_{i}"]["kernel"] + layers[f"Dense_{i}"]["bias"]

    angles = 2 * np.pi * np.asarray(T) @ layers["frequencies"]
    time = dense(1, mish(dense(0, np.c_[np.cos(angles), np.sin(angles)])))
    x = dense(2, np.c_[np.asarray(ACTIONS), np.asarray(OBS), time])
    x = x + dense(4, mish(dense(3, normalised(x))))
    x = dense(7, x) + dense(6, mish(dense(5, normalised(x))))
    known = dense(8, mish(x))
    np.testing.assert_allclose(network.apply({"params": params}, OBS, ACTIONS, T), known, atol=1e-4)


def test_dropout_acts_in_training_and_never_else():
    network, inputs = NoisePredictor((64,), 2, dropout=0.5), (OBS, ACTIONS, T)
    params = jax.jit(network.init)(KEY, *inputs)
    steady = [NoisePredictor((64,), 2, dropout=d).apply(params, *inputs) for d in (0.0, 0.5)]
    np.testing.assert_array_equal(*steady)
    one, same, other = (
        network.apply(params, *inputs, training=True, rngs={"dropout": jax.random.key(i)})
        for i in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).min() > 1e-4 and np.abs(one - steady[0]).min() > 1e-4


@pytest.mark.parametrize("sees_steps", [True, False])
def test_critics_are_fed_the_raw_number_of_steps(sees_steps):
    network = CriticEnsemble((), ensemble=3)
    steps = jnp.array([[1.0], [2.0], [4.0], [8.0]])
    inputs = [OBS, ACTIONS, steps] if sees_steps else [OBS, ACTIONS]
    params = jax.jit(network.init)(KEY, *inputs)
    (layer,) = jax.tree.leaves(params, is_leaf=lambda x: "kernel" in x)
    known = np.einsum("bi,eio->eb", np.concatenate(inputs, -1), layer["kernel"]) + layer["bias"]
    np.testing.assert_allclose(network.apply(params, *inputs), known, atol=1e-5)


def test_critics_are_independent():
    network = CriticEnsemble((8, 8), ensemble=2)
    params = jax.jit(network.init)(KEY, OBS, ACTIONS, T)
    apply = jax.jit(network.apply)
    q = apply(params, OBS, ACTIONS, T)
    assert q.shape == (2, 4) and np.abs(q[0] - q[1]).min() > 1e-4
    changed = jax.tree.map(lambda leaf: leaf.at[0].add(0.1), params)
    after = apply(changed, OBS, ACTIONS, T)
    np.testing.assert_allclose(after[1], q[1], atol=1e-6)
    assert np.abs(after[0] - q[0]).min() > 1e-4


def encoder_of(values, *, normalize=True, fourier_features=0):
    return ObservationEncoder.create(
        jnp.asarray(values, jnp.float32),
        KEY,
        normalize=normalize,
        fourier_features=fourier_features,
    )


def test_normalised_observations_have_mean_zero_and_deviation_one():
    values = np.random.default_rng(0).normal([3, -100, 5], [0.01, 50, 0], (500, 3))
    x = np.asarray(encoder_of(values)(jnp.asarray(values, jnp.float32)))
    assert x.shape == (500, 3)
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(x.std(0), [1, 1, 0], atol=1e-3)  # a constant stays one


def feature_change(constant, rows, change):
    """How a column's feature changes with its value, where it was constant over the dataset."""
    encoder = encoder_of(np.full((rows, 1), constant, np.float32))
    seen, other = (encoder(jnp.full((1, 1), c, jnp.float32)) for c in (constant, constant + change))
    return float(seen[0, 0]), float(other[0, 0])


@pytest.mark.parametrize(
    ("constant", "rows"),
    [
        *[(25.1, 200_000), (-25.1, 200_000), (0.0, 1000), (1e-8, 1000), (3e8, 1000)],
        *[(c, 200_000) for c in np.arange(8.1, 16, 0.6).round(1).tolist()],
    ],
)
def test_a_column_that_does_not_vary_is_not_magnified(constant, rows):
    # float32 rounds the mean of 200,000 rows, which looks like a deviation: 1.9e-6 at 25.1, and
    # 9.5e-7, more than 1e-7 of the value, at 8.1.
    change = 1e-3 * max(1.0, abs(constant))
    seen, other = feature_change(constant, rows, change)
    assert abs(seen) <= 1e-2 * max(1.0, abs(constant))
    assert other - seen == pytest.approx(change, rel=0.05)


@pytest.mark.parametrize(("mean", "deviation"), [(1000.0, 0.5), (-25.1, 0.01), (0.0, 1e-3)])
def test_a_column_that_varies_little_about_a_large_mean_is_still_normalised(mean, deviation):
    values = np.random.default_rng(0).normal(mean, deviation, (10_000, 1))
    x = np.asarray(encoder_of(values)(jnp.asarray(values, jnp.float32)))
    assert x.std() == pytest.approx(1, rel=0.02) and abs(x.mean()) < 0.05


def test_without_normalisation_and_features_the_encoder_changes_nothing():
    encoder = encoder_of(np.random.default_rng(0).normal(5, 3, (50, 3)), normalize=False)
    np.testing.assert_array_equal(encoder(OBS), OBS)


def test_fourier_features():
    values = np.random.default_rng(0).normal(2, 3, (50, 3))
    encoder = encoder_of(values, fourier_features=400)
    assert encoder.frequencies.shape == (3, 400)
    assert encoder.frequencies.std() == pytest.approx(1, rel=0.1)
    features = np.asarray(encoder(OBS), float)
    x = (np.asarray(OBS) - encoder.mean) / encoder.std
    sine, cosine = features[:, 3:403], features[:, 403:]
    np.testing.assert_allclose(features[:, :3], x, atol=1e-6)
    np.testing.assert_allclose(sine**2 + cosine**2, 1, atol=1e-5)
    angle = 2 * np.pi * np.asarray(x, float) @ np.asarray(encoder.frequencies, float)
    np.testing.assert_allclose(sine, np.sin(angle), atol=1e-4)
    np.testing.assert_allclose(cosine, np.cos(angle), atol=1e-4)


def test_the_annotated_shapes_are_enforced_here():
    with pytest.raises(TypeCheckError):
        velocity_target(jnp.zeros((4, 2)), jnp.zeros((4, 3)))
    with pytest.raises(TypeCheckError):
        ShortcutField((8,), 2).init(KEY, OBS, ACTIONS, T[:, 0], H)
