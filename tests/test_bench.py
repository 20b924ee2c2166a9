"""The bench's arithmetic is checked against XLA's own count of operations."""

from functools import partial

import jax
import pandas as pd

from sorl_edu.agents import SORL
from sorl_edu.studies import bench


def test_operations_are_those_that_xla_counts():
    agent = SORL(field_hidden=(96, 96), critic_hidden=(64, 64), batch_size=64)
    data = bench.random_transitions(7, 3, rows=200)
    state = agent.init(jax.random.key(0), data)
    batch = data.sample(jax.random.key(1), agent.batch_size)

    def counted(loss, parameters, steps):
        gradient = jax.grad(partial(loss, steps=steps), has_aux=True)
        compiled = jax.jit(gradient).lower(parameters, state, batch, jax.random.key(2)).compile()
        return compiled.cost_analysis()["flops"]

    drawn = (1, 2, 4, 8)
    total = sum(
        counted(agent._critic_loss, state.critic, m) + counted(agent._policy_loss, state.field, m)
        for m in drawn
    )
    ours = bench.operations_per_update(agent, 7, 3)
    # XLA also counts what is no matrix product: activations, noise, norms.
    assert 0.8 < ours / (total / len(drawn)) <= 1.02


def test_a_promise_that_is_not_kept_is_marked():
    rows = pd.DataFrame(
        [
            bench.row("fast", 12.0, "1/s", 11.0, "at least"),
            bench.row("slow", 10.0, "1/s", 11.0, "at least"),
            bench.row("short", 10.0, "s", 11.0, "at most"),
            bench.row("long", 12.0, "s", 11.0, "at most"),
        ]
    )
    assert list(rows.kept) == ["yes", "NO", "yes", "NO"]
    assert bench.row("no promise", 1.0, "s")["kept"] == ""
