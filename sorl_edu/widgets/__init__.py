"""The course's explorers: pictures with controls, live in a notebook or in a page of their own.

ActionDistributionExplorer    how actions sharpen with steps m and candidates N, and what it buys
ScalingExplorer               steps x N: success against what it costs
FlowExplorer                  samples and paths of flow and shortcut over the number of steps
SelfConsistencyExplorer       one jump of 2h against two of h, while it is learned
CriticExplorer                the Q landscape of a maze, while it is learned
"""

from importlib import import_module

_HOMES = {
    "ActionDistributionExplorer": "action_distribution",
    "CriticExplorer": "critic",
    "Explorer": "explorer",
    "FlowExplorer": "flow",
    "Parameter": "explorer",
    "ScalingExplorer": "scaling",
    "SelfConsistencyExplorer": "self_consistency",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'sorl_edu.widgets' has no attribute '{name}'")
    return getattr(import_module(f"sorl_edu.widgets.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
