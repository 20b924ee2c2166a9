"""sorl-edu: scalable offline RL via shortcut models, to learn from and to build on.

    import jax
    from sorl_edu import evaluate, load, preset, train

    name = "pointmaze-medium-navigate-singletask-v0"
    data, agent = load(name), preset("pointmaze")
    run = train(agent, data.train, updates=10_000, key=jax.random.key(0))
    episodes, _ = evaluate(agent, run.state, name, steps=1, candidates=8)

The modules are the lessons, in the order in which they are taught: flow_matching, shortcut,
temporal_difference, agents, inference.
"""

from sorl_edu.agents import SORL, Agent, FlowBC
from sorl_edu.checkpoints import AgentInfo, load_agent, save_agent
from sorl_edu.datasets import load
from sorl_edu.evaluation import evaluate, paired_difference, summarize, sweep
from sorl_edu.presets import preset
from sorl_edu.training import seed_state, train, train_seeds

__version__ = "0.1.0"

__all__ = [
    "SORL",
    "Agent",
    "AgentInfo",
    "FlowBC",
    "evaluate",
    "load",
    "load_agent",
    "paired_difference",
    "preset",
    "save_agent",
    "seed_state",
    "summarize",
    "sweep",
    "train",
    "train_seeds",
]
