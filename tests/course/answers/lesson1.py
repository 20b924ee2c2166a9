"""Answers to lesson 1's exercises."""

import jax
import jax.numpy as jnp
import numpy as np

from answers import right, wrong

# ------------------------------------------------------------------- 1.1 the path and its velocity


@right("1.1")
def as_in_the_lesson(noise, actions, t):
    return (1 - t) * noise + t * actions, actions - noise


@right("1.1")
def from_the_noise_on(noise, actions, t):
    velocity = actions - noise
    return noise + t * velocity, velocity


@right("1.1")
def with_numpy(noise, actions, t):
    noise, actions, t = map(np.asarray, (noise, actions, t))
    return (1 - t) * noise + t * actions, actions - noise


@right("1.1")
def by_differentiation(noise, actions, t):
    path = lambda t: (1 - t) * noise + t * actions  # noqa: E731
    return jax.jvp(path, (t,), (jnp.ones_like(t),))


@right("1.1")
def row_by_row(noise, actions, t):
    one = lambda a0, a1, t: ((1 - t) * a0 + t * a1, a1 - a0)  # noqa: E731
    return jax.vmap(one)(noise, actions, t[:, 0])


@right("1.1")
def as_a_list(noise, actions, t):
    return [noise - t * (noise - actions), -(noise - actions)]


@right("1.1")
def with_einsum(noise, actions, t):
    weights = jnp.concatenate([1 - t, t], axis=1)
    path = jnp.einsum("be,eba->ba", weights, jnp.stack([noise, actions]))
    return path, jnp.einsum("e,eba->ba", jnp.array([-1.0, 1.0]), jnp.stack([noise, actions]))


@right("1.1")
def as_one_array(noise, actions, t):
    return jnp.stack([(1 - t) * noise + t * actions, actions - noise])


@wrong("1.1", "time reversed")
def from_data_to_noise(noise, actions, t):
    return t * noise + (1 - t) * actions, noise - actions


@wrong("1.1", "path reversed")
def path_from_data_to_noise(noise, actions, t):
    return actions + t * (noise - actions), actions - noise


@wrong("1.1", "velocity reversed")
def velocity_to_the_noise(noise, actions, t):
    return noise + t * (actions - noise), noise - actions


@wrong("1.1", "velocity to the end from here")
def remaining_distance(noise, actions, t):
    a_t = (1 - t) * noise + t * actions
    return a_t, actions - a_t


@wrong("1.1", "velocity times t")
def distance_so_far(noise, actions, t):
    a_t = (1 - t) * noise + t * actions
    return a_t, a_t - noise


@wrong("1.1", "noise not faded out")
def noise_stays(noise, actions, t):
    return noise + t * actions, actions


@wrong("1.1", "velocity before path")
def in_the_wrong_order(noise, actions, t):
    return actions - noise, (1 - t) * noise + t * actions


@wrong("1.1", says="The path is right. The velocity is off by")
def velocity_over_the_time_left(noise, actions, t):
    return (1 - t) * noise + t * actions, (actions - noise) / (1 - t)


@wrong("1.1", says="The velocity is right. The path is off by")
def path_of_squared_time(noise, actions, t):
    return (1 - t**2) * noise + t**2 * actions, actions - noise


@wrong("1.1", says="The velocity should have the shape (5, 2), and has (5, 1), in case 1 of 2")
def velocity_summed(noise, actions, t):
    return (1 - t) * noise + t * actions, (actions - noise).sum(1, keepdims=True)


@wrong("1.1", says="should return the path and the velocity, and returns an array of shape (5, 2)")
def path_alone(noise, actions, t):
    return (1 - t) * noise + t * actions


@wrong("1.1", says="returns nothing, or None in a place: is a `return` missing?")
def without_return(noise, actions, t):
    a_t = (1 - t) * noise + t * actions
    a_t, actions - noise


@wrong("1.1", says="It stopped in the line `return (1 - t) * noise + t @ actions, actions - noise`")
def matrix_product(noise, actions, t):
    return (1 - t) * noise + t @ actions, actions - noise


# ------------------------------------------------------------------------- 1.2 the Euler sampler


@right("1.2")
def loop(field, obs, noise, steps):
    a_t = noise
    for i in range(steps):
        t = jnp.full((len(noise), 1), i / steps)
        a_t = a_t + field(obs, a_t, t) / steps
    return a_t


@right("1.2")
def loop_with_named_arguments(field, obs, noise, steps):
    a, h = noise, 1 / steps
    for t in np.arange(steps) * h:
        a = a + h * field(obs=obs, a_t=a, t=jnp.full((len(a), 1), t))
    return a


@right("1.2")
def scan(field, obs, noise, steps):
    def step(a, i):
        return a + field(obs, a, jnp.full((len(a), 1), i / steps)) / steps, None

    return jax.lax.scan(step, noise, jnp.arange(steps))[0]


@right("1.2")
def fori_loop(field, obs, noise, steps):
    def step(i, a):
        return a + field(obs, a, jnp.ones((len(a), 1)) * i / steps) / steps

    return jax.lax.fori_loop(0, steps, step, noise)


@right("1.2")
def while_loop(field, obs, noise, steps):
    a, i = noise, 0
    while i < steps:
        a += field(obs, a, jnp.repeat(jnp.array([[i / steps]]), len(a), axis=0)) * (1 / steps)
        i += 1
    return a


@right("1.2")
def recursion(field, obs, noise, steps):
    def after(i):
        if i == 0:
            return noise
        a = after(i - 1)
        return a + field(obs, a, jnp.full((len(a), 1), (i - 1) / steps)) / steps

    return after(steps)


@right("1.2")
def loop_over_linspace(field, obs, noise, steps):
    a = noise
    for t in jnp.linspace(0, 1, steps + 1)[:-1]:
        a = a + field(obs, a, t * jnp.ones((len(a), 1))) / steps
    return a


@right("1.2")
def accumulated_time(field, obs, noise, steps):
    a, t = np.asarray(noise), np.zeros((len(noise), 1))
    for _ in range(steps):
        a = a + np.asarray(field(obs, jnp.asarray(a), jnp.asarray(t))) / steps
        t = t + 1 / steps
    return a


@wrong("1.2", "integrates backwards")
def subtracts(field, obs, noise, steps):
    a = noise
    for i in range(steps):
        a = a - field(obs, a, jnp.full((len(a), 1), i / steps)) / steps
    return a


@wrong("1.2", "time reversed")
def counts_down(field, obs, noise, steps):
    a = noise
    for i in range(steps):
        a = a + field(obs, a, jnp.full((len(a), 1), 1 - i / steps)) / steps
    return a


@wrong("1.2", "time reversed, from the end of the step")
def as_diffusion_does(field, obs, noise, steps):
    a = noise
    for i in reversed(range(steps)):
        a = a + field(obs, a, jnp.full((len(a), 1), i / steps)) / steps
    return a


@wrong("1.2", "forgets the step size")
def adds_the_whole_velocity(field, obs, noise, steps):
    a = noise
    for i in range(steps):
        a = a + field(obs, a, jnp.full((len(a), 1), i / steps))
    return a


@wrong("1.2", "evaluates at the end of the step")
def a_step_ahead(field, obs, noise, steps):
    a = noise
    for i in range(1, steps + 1):
        a = a + field(obs, a, jnp.full((len(a), 1), i / steps)) / steps
    return a


@wrong("1.2", "time counted in steps")
def time_in_steps(field, obs, noise, steps):
    a = noise
    for i in range(steps):
        a = a + field(obs, a, jnp.full((len(a), 1), i)) / steps
    return a


@wrong("1.2", "time stands still")
def always_at_zero(field, obs, noise, steps):
    a = noise
    for _ in range(steps):
        a = a + field(obs, a, jnp.zeros((len(a), 1))) / steps
    return a


@wrong("1.2", "starts again from the noise")
def from_the_noise_again(field, obs, noise, steps):
    a = noise
    for i in range(steps):
        a = noise + field(obs, a, jnp.full((len(a), 1), i / steps)) / steps
    return a


@right("1.2")
def list_of_rows(field, obs, noise, steps):
    a = noise
    for i in range(steps):
        a = a + field(obs, a, jnp.full((len(a), 1), i / steps)) / steps
    return list(a)


@right("1.2")
def sum_of_the_steps(field, obs, noise, steps):
    moves = []
    for i in range(steps):
        t = jnp.broadcast_to(jnp.asarray(i / steps), (len(noise), 1))
        moves.append(field(t=t, obs=obs, a_t=noise + sum(moves)) / steps)
    return noise + sum(moves)


@wrong("1.2", "velocity at the noise")
def field_at_the_noise(field, obs, noise, steps):
    a = noise
    for i in range(steps):
        t = i * (1 / steps)
        column = t * jnp.ones((len(noise), 1))
        a = a + field(obs, noise, column) / steps
    return a


@wrong("1.2", "step in place of the position")
def replaces_instead_of_adding(field, obs, noise, steps):
    a = noise
    for i in range(steps):
        t = i * (1 / steps)
        column = t * jnp.ones((len(noise), 1))
        a = field(obs, a, column) / steps
    return a


@wrong("1.2", "times up to 1")
def linspace_with_its_end(field, obs, noise, steps):
    a = noise
    for t in jnp.linspace(0, 1, steps):
        a = a + field(obs, a, t * jnp.ones((len(noise), 1))) / steps
    return a


@wrong("1.2", "one step only")
def returns_in_the_loop(field, obs, noise, steps):
    a = noise
    for i in range(steps):
        t = i * (1 / steps)
        column = t * jnp.ones((len(noise), 1))
        a = a + field(obs, a, column) / steps
        return a


@wrong("1.2", says="The sample is off by up to")
def a_step_too_few(field, obs, noise, steps):
    a = noise
    for i in range(steps - 1):
        a = a + field(obs, a, jnp.full((len(a), 1), i / steps)) / steps
    return a


@wrong("1.2", says="in case 1 of 3 (steps = 4), and in the other")
def a_step_too_many(field, obs, noise, steps):
    a = noise
    for i in range(steps + 1):
        a = a + field(obs, a, jnp.full((len(a), 1), i / steps)) / steps
    return a


@wrong("1.2", says="; 1 of 3 cases")
def time_times_the_steps(field, obs, noise, steps):
    a = noise
    for i in range(steps):
        a = a + field(obs, a, jnp.full((len(a), 1), i * steps)) / steps
    return a


@wrong("1.2", says="; 1 of 3 cases")
def time_set_instead_of_added(field, obs, noise, steps):
    a, t = noise, 0
    for _ in range(steps):
        a = a + field(obs, a, jnp.full((len(a), 1), t)) / steps
        t = 1 / steps
    return a


@wrong("1.2", says="The sample is off by up to")
def position_and_observation_exchanged(field, obs, noise, steps):
    a = noise
    for i in range(steps):
        a = a + field(a, obs, jnp.full((len(a), 1), i / steps)) / steps
    return a


@wrong("1.2", says="the field takes t as a column, (batch, 1) = (5, 1), and got the shape (5,)")
def flat_times(field, obs, noise, steps):
    a = noise
    for i in range(steps):
        a = a + field(obs, a, jnp.full(len(a), i / steps)) / steps
    return a


@wrong("1.2", says="the field takes t as a column, (batch, 1) = (5, 1), and got the shape ()")
def time_as_a_number(field, obs, noise, steps):
    a = noise
    for i in range(steps):
        a = a + field(obs, a, i / steps) / steps
    return a


@wrong("1.2", says="field(a, jnp.full((len(a), 1), i / steps)) / steps` with TypeError")
def forgets_the_observation(field, obs, noise, steps):
    a = noise
    for i in range(steps):
        a = a + field(a, jnp.full((len(a), 1), i / steps)) / steps
    return a


@wrong("1.2", says="The sample should have the shape (5, 2), and has (4, 5, 2), in case 1 of 3")
def returns_the_whole_path(field, obs, noise, steps):
    def step(a, i):
        a = a + field(obs, a, jnp.full((len(a), 1), i / steps)) / steps
        return a, a

    return jax.lax.scan(step, noise, jnp.arange(steps))[1]


@wrong("1.2", says="It should return the sample, and returns 2 arrays")
def returns_all_of_the_scan(field, obs, noise, steps):
    def step(a, i):
        a = a + field(obs, a, jnp.full((len(a), 1), i / steps)) / steps
        return a, i

    return jax.lax.scan(step, noise, jnp.arange(steps))


@wrong("1.2", says="`forgets_the_return` returns nothing")
def forgets_the_return(field, obs, noise, steps):
    a = noise
    for i in range(steps):
        a = a + field(obs, a, jnp.full((len(a), 1), i / steps)) / steps


@wrong("1.2", says="Use jnp there")
def numpy_in_a_scan(field, obs, noise, steps):
    def step(a, i):
        return a + field(obs, a, jnp.asarray(np.full((len(a), 1), i / steps))) / steps, None

    return jax.lax.scan(step, noise, jnp.arange(steps))[0]


# --------------------------------------------------------------------------- 1.3 the marginal field


@right("1.3")
def with_softmax(data, a_t, t):
    squared = ((a_t[:, None] - t[:, None] * data) ** 2).sum(-1)
    weights = jax.nn.softmax(-squared / (2 * (1 - t) ** 2), axis=1)
    return (weights @ data - a_t) / (1 - t)


@right("1.3")
def likelihoods_over_their_sum(data, a_t, t):
    apart = jnp.expand_dims(a_t, 1) - jnp.einsum("bi,na->bna", t, data)
    likelihood = jnp.exp(-0.5 * (jnp.linalg.norm(apart, axis=-1) / (1 - t)) ** 2)
    return (likelihood / likelihood.sum(axis=1, keepdims=True) @ data - a_t) / (1 - t)


@right("1.3")
def average_of_velocities(data, a_t, t):
    velocities = (data[None] - a_t[:, None]) / (1 - t[:, None])
    squared = jnp.sum(jnp.square(a_t[:, None] - t[:, None] * data), axis=2)
    weights = jax.nn.softmax(-squared / (2 * (1 - t) ** 2))
    return jnp.sum(weights[..., None] * velocities, axis=1)


@right("1.3")
def all_in_numpy(data, a_t, t):
    data, a_t, t = (np.asarray(x, np.float64) for x in (data, a_t, t))
    squared = ((a_t[:, None] - t[:, None] * data) ** 2).sum(-1)
    weights = np.exp(-squared / (2 * (1 - t) ** 2))
    weights /= weights.sum(1, keepdims=True)
    return (weights @ data - a_t) / (1 - t)


@right("1.3")
def position_by_position(data, a_t, t):
    def one(a, t):
        weights = jax.nn.softmax(-jnp.sum((a - t * data) ** 2, axis=1) / (2 * (1 - t) ** 2))
        return jnp.average((data - a) / (1 - t), axis=0, weights=weights)

    return jax.vmap(one)(a_t, t)


@right("1.3")
def rows_in_python(data, a_t, t):
    rows = []
    for a, time in zip(np.asarray(a_t), np.asarray(t)[:, 0], strict=True):
        likelihood = [np.exp(-np.sum((a - time * p) ** 2) / 2 / (1 - time) ** 2) for p in data]
        total = sum(
            weight * (np.asarray(point) - a) for weight, point in zip(likelihood, data, strict=True)
        )
        rows.append(total / sum(likelihood) / (1 - time))
    return rows


@right("1.3")
def squares_multiplied_out(data, a_t, t):
    # |a|^2 is the same for all points, so that softmax does not see it.
    logits = (t * (a_t @ data.T) - 0.5 * t**2 * (data**2).sum(1)) / (1 - t) ** 2
    return (jax.nn.softmax(logits, axis=-1) @ data - a_t) / (1 - t)


@right("1.3")
def by_the_score(data, a_t, t):
    def log_density(a, t):
        normal = jax.scipy.stats.norm.logpdf(a, t * data, 1 - t).sum(-1)
        return jax.nn.logsumexp(normal)

    score = jax.vmap(jax.grad(log_density))(a_t, t)
    mean = (a_t + (1 - t) ** 2 * score) / t  # Tweedie's formula
    return (mean - a_t) / (1 - t)


@right("1.3")
def bayes_rule_in_logarithms(data, a_t, t):
    def logits(point):
        return jax.scipy.stats.norm.logpdf(a_t, loc=t * point, scale=1 - t).sum(1)

    joint = jnp.stack([logits(point) for point in data])  # (n, batch)
    posterior = jnp.exp(joint - jax.nn.logsumexp(joint, axis=0))
    return (jnp.tensordot(posterior, data, axes=(0, 0)) - a_t) / (1 - t)


@wrong("1.3", "unweighted average")
def towards_the_mean_of_the_data(data, a_t, t):
    return (data.mean(0) - a_t) / (1 - t)


@wrong("1.3", "wrong axis of softmax")
def softmax_over_the_batch(data, a_t, t):
    squared = ((a_t[:, None] - t[:, None] * data) ** 2).sum(-1)
    weights = jax.nn.softmax(-squared / (2 * (1 - t) ** 2), axis=0)
    return (weights @ data - a_t) / (1 - t)


@wrong("1.3", "variance not squared")
def standard_deviation_for_the_variance(data, a_t, t):
    sigma = 1 - t
    squared = ((a_t[:, None] - t[:, None] * data) ** 2).sum(-1)
    weights = jax.nn.softmax(-squared / (2 * sigma), axis=1)
    return (weights @ data - a_t) / (1 - t)


@wrong("1.3", "sign of the exponent")
def no_minus(data, a_t, t):
    squared = ((a_t[:, None] - t[:, None] * data) ** 2).sum(-1)
    weights = jnp.exp(squared / (2 * (1 - t) ** 2))
    weights = weights / weights.sum(1, keepdims=True)
    return (weights @ data - a_t) / (1 - t)


@wrong("1.3", "not normalised")
def likelihoods_as_they_are(data, a_t, t):
    squared = ((a_t[:, None] - t[:, None] * data) ** 2).sum(-1)
    weights = jnp.exp(-squared / (2 * (1 - t) ** 2))
    return (weights @ data - a_t) / (1 - t)


@wrong("1.3", "nearest path only")
def to_the_most_likely_point(data, a_t, t):
    squared = ((a_t[:, None] - t[:, None] * data) ** 2).sum(-1)
    return (data[jnp.argmin(squared, axis=1)] - a_t) / (1 - t)


@wrong("1.3", "distance to the data, not to its path")
def distance_to_the_data(data, a_t, t):
    squared = ((a_t[:, None] - data) ** 2).sum(-1)
    weights = jax.nn.softmax(-squared / (2 * (1 - t) ** 2), axis=1)
    return (weights @ data - a_t) / (1 - t)


@wrong("1.3", "the half is missing")
def exponent_without_its_two(data, a_t, t):
    squared = ((a_t[:, None] - t[:, None] * data) ** 2).sum(-1)
    weights = jax.nn.softmax(-squared / (1 - t) ** 2, axis=1)
    return (weights @ data - a_t) / (1 - t)


@wrong("1.3", "distance not squared")
def norm_for_its_square(data, a_t, t):
    squared = jnp.linalg.norm(a_t[:, None] - t[:, None] * data, axis=-1)
    weights = jax.nn.softmax(-squared / (2 * (1 - t) ** 2), axis=1)
    return (weights @ data - a_t) / (1 - t)


@wrong("1.3", "mean over the coordinates")
def mean_of_squares(data, a_t, t):
    squared = ((a_t[:, None] - t[:, None] * data) ** 2).mean(-1)
    weights = jax.nn.softmax(-squared / (2 * (1 - t) ** 2), axis=1)
    return (weights @ data - a_t) / (1 - t)


@wrong("1.3", says="The field is off by up to")
def spread_of_one(data, a_t, t):
    squared = ((a_t[:, None] - t[:, None] * data) ** 2).sum(-1)
    weights = jax.nn.softmax(-squared / 2, axis=1)
    return (weights @ data - a_t) / (1 - t)


@wrong("1.3", says="The field is off by up to")
def spread_of_t(data, a_t, t):
    squared = ((a_t[:, None] - t[:, None] * data) ** 2).sum(-1)
    weights = jax.nn.softmax(-squared / (2 * t**2), axis=1)
    return (weights @ data - a_t) / (1 - t)


@wrong("1.3", says="and in the other")
def softmax_over_everything(data, a_t, t):
    squared = ((a_t[:, None] - t[:, None] * data) ** 2).sum(-1)
    weights = jax.nn.softmax(-squared / (2 * (1 - t) ** 2), axis=None)
    return (weights @ data - a_t) / (1 - t)


@wrong("1.3", says="in case 1 of 2 (data (4, 2), a_t (5, 2), t (5, 1))")
def logarithms_of_the_weights(data, a_t, t):
    squared = ((a_t[:, None] - t[:, None] * data) ** 2).sum(-1)
    weights = jax.nn.log_softmax(-squared / (2 * (1 - t) ** 2), axis=1)
    return (weights @ data - a_t) / (1 - t)


@wrong("1.3", says="The field is off by up to")
def distance_that_is_left(data, a_t, t):
    squared = ((a_t[:, None] - t[:, None] * data) ** 2).sum(-1)
    weights = jax.nn.softmax(-squared / (2 * (1 - t) ** 2), axis=1)
    return weights @ data - a_t


@wrong("1.3", says="The field is off by up to")
def weights_for_each_coordinate(data, a_t, t):
    squared = (a_t[:, None] - t[:, None] * data) ** 2
    weights = jax.nn.softmax(-squared / (2 * (1 - t[:, None]) ** 2), axis=1)
    return ((weights * data).sum(1) - a_t) / (1 - t)


@wrong("1.3", says="The field should have the shape (5, 2), and has (5, 4, 2), in case 1 of 2")
def velocities_not_summed(data, a_t, t):
    squared = ((a_t[:, None] - t[:, None] * data) ** 2).sum(-1)
    weights = jax.nn.softmax(-squared / (2 * (1 - t) ** 2), axis=1)
    return weights[..., None] * (data - a_t[:, None]) / (1 - t[:, None])


@wrong("1.3", says="It should return the field, and returns 2 arrays")
def weights_and_field(data, a_t, t):
    squared = ((a_t[:, None] - t[:, None] * data) ** 2).sum(-1)
    weights = jax.nn.softmax(-squared / (2 * (1 - t) ** 2), axis=1)
    return weights, (weights @ data - a_t) / (1 - t)


@wrong("1.3", says="The field has numbers that are NaN or infinite, in case 1 of 2")
def logarithm_of_a_negative_number(data, a_t, t):
    squared = ((a_t[:, None] - t[:, None] * data) ** 2).sum(-1)
    weights = jax.nn.softmax(jnp.log(-squared / (2 * (1 - t) ** 2)), axis=1)
    return (weights @ data - a_t) / (1 - t)


@wrong(
    "1.3", says="It stopped in the line `squared = ((a_t - t * data) ** 2).sum(-1)` with TypeError"
)
def no_axis_for_the_points(data, a_t, t):
    squared = ((a_t - t * data) ** 2).sum(-1)
    weights = jax.nn.softmax(-squared / (2 * (1 - t) ** 2), axis=1)
    return (weights @ data - a_t) / (1 - t)


@wrong("1.3", says="It stopped in the line `weights = weights / weights.sum(1)` with")
def sum_without_keepdims(data, a_t, t):
    squared = ((a_t[:, None] - t[:, None] * data) ** 2).sum(-1)
    weights = jnp.exp(-squared / (2 * (1 - t) ** 2))
    weights = weights / weights.sum(1)
    return (weights @ data - a_t) / (1 - t)


@wrong("1.3", says="It stopped in the line `return (weights @ data - a_t) / (1 - t)` with")
def squares_not_summed(data, a_t, t):
    squared = (a_t[:, None] - t[:, None] * data) ** 2
    weights = jax.nn.softmax(-squared / (2 * (1 - t[:, None]) ** 2), axis=1)
    return (weights @ data - a_t) / (1 - t)


@wrong("1.3", says="`keeps_the_field_to_itself` returns nothing")
def keeps_the_field_to_itself(data, a_t, t):
    squared = ((a_t[:, None] - t[:, None] * data) ** 2).sum(-1)
    weights = jax.nn.softmax(-squared / (2 * (1 - t) ** 2), axis=1)
    velocity = (weights @ data - a_t) / (1 - t)
    print(velocity.shape)


@wrong("1.3", says="Use jnp there")
def numpy_in_a_vmap(data, a_t, t):
    def one(a, t):
        weights = jax.nn.softmax(-np.sum((np.asarray(a) - t * data) ** 2, axis=1))
        return (weights @ data - a) / (1 - t)

    return jax.vmap(one)(a_t, t)
