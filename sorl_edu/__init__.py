"""sorl-edu: scalable offline RL via shortcut models, to learn from and to build on.

    import jax
    from sorl_edu import evaluate, load, preset, train

    name = "pointmaze-medium-navigate-singletask-v0"
    data, agent = load(name), preset("pointmaze")
    run = train(agent, data.train, updates=10_000, key=jax.random.key(0))
    episodes, _ = evaluate(agent, run.state, name, steps=8, candidates=32)

The modules are the lessons, in the order in which they are taught: flow_matching, shortcut,
temporal_difference, agents, inference.
"""

from importlib import import_module

__version__ = "0.1.0"

# A name is imported when it is first asked for, so that `sorl-edu --help` and `sorl-edu doctor`
# answer at once, the doctor also where JAX itself is broken.
_MODULES = {
    "agents": ("SORL", "Agent", "FlowBC"),
    "training.checkpoints": ("AgentInfo", "load_agent", "save_agent"),
    "datasets.ogbench": ("load",),
    "evaluation": ("evaluate", "paired_difference", "summarize", "sweep"),
    "agents.presets": ("preset",),
    "training": ("seed_state", "train", "train_seeds"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'sorl_edu' has no attribute '{name}'")
    return getattr(import_module(f"sorl_edu.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
