"""sorl-edu: scalable offline RL via shortcut models, to learn from and to build on.

    import jax
    from sorl_edu import evaluate, load, preset, train

    name = "pointmaze-medium-navigate-singletask-v0"
    data, agent = load(name), preset("pointmaze")
    run = train(agent, data.train, updates=10_000, key=jax.random.key(0))
    episodes, _ = evaluate(agent, run.state, name, steps=8, candidates=32)

The modules are the lessons: flow_matching, shortcut, temporal_difference, inference, and the
networks behind them. The packages, from the lowest to the highest, are environments, datasets,
agents, training, evaluation, plotting, experiments, widgets, course and cli.
"""

import lazy_loader

__version__ = "0.1.0"

# A name is imported when it is first used: `sorl-edu --help` answers at once, and `sorl-edu doctor`
# runs where JAX itself is broken.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "agents": ["SORL", "Agent", "FlowBC"],
        "agents.presets": ["preset"],
        "datasets.ogbench": ["load"],
        "evaluation": ["evaluate", "paired_difference", "summarize", "sweep"],
        "training": ["seed_state", "train", "train_seeds"],
        "training.checkpoints": ["AgentInfo", "load_agent", "save_agent"],
    },
)
