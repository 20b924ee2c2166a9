from dataclasses import dataclass

import jax
from flax import struct

from sorl_edu import inference, networks
from sorl_edu.agents.agent import AgentState, Encoder, Learner, Optimizer


@struct.dataclass
class RegressionState(AgentState):
    mlp: Learner


@dataclass(frozen=True)
class Regression:
    batch_size: int = 256

    def prepare(self, data):
        return data

    def init(self, key, data):
        encoder, action_dim = Encoder().create(data.observations, key), data.actions.shape[1]
        params = networks.MLP((256,), action_dim).init(key, encoder(data.observations[:1]))
        return RegressionState(encoder, action_dim, Learner.create(params, Optimizer(1e-3)))

    def predict(self, state, obs):
        return networks.MLP((256,), state.action_dim).apply(state.mlp.params, state.encoder(obs))

    def losses(self, state, batch, key, shared_key):
        return {"loss": ((self.predict(state, batch.observations) - batch.actions) ** 2).mean()}

    def update(self, state, batch, key, shared_key):
        grads = jax.grad(lambda s: self.losses(s, batch, key, key)["loss"], allow_int=True)(state)
        mlp = state.mlp.descend(Optimizer(1e-3), grads.mlp.params)
        return state.replace(mlp=mlp), self.losses(state, batch, key, shared_key)

    def propose(self, state, obs, key, *, steps, candidates):
        noise = inference.candidate_noise(key, candidates, len(obs), state.action_dim)
        return inference.propose(lambda o, _: self.predict(state, o).clip(-1, 1), None, obs, noise)
