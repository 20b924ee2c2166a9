"""The course's explorers: pictures with controls, live in a notebook or on a page of their own.

ActionDistributionExplorer    how actions sharpen with steps m and candidates N, and what it buys
RobotActionsExplorer          the same at moments of a robot, whose actions have more dimensions
ScalingExplorer               steps x N: success against its cost
FlowExplorer                  samples and paths of flows and shortcuts over the number of steps
SelfConsistencyExplorer       one jump of 2h against two of h, during training
PolicyExtractionExplorer      two methods with their knobs: actions over Q, and where they lead
ReturnDistributionExplorer    candidates by their return's distribution, and where the choice leads
TightropeExplorer             four imitators on the tightrope, by slip and by where they practise
CriticExplorer                the Q landscape of a maze, during training
Playground                    an agent's own networks in the browser, at a state that is dragged
RobotPlayground               the same of a robot arm, which acts
DrawYourOwn                   a distribution that the reader draws, learned in the browser
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "action_distribution": ["ActionDistributionExplorer"],
        "critic": ["CriticExplorer"],
        "draw_your_own.draw_your_own": ["DrawYourOwn"],
        "explorer": ["Explorer"],
        "flow": ["FlowExplorer"],
        "frame": ["Parameter"],
        "playground.playground": ["Playground"],
        "playground.robot": ["RobotPlayground"],
        "policy_extraction": ["KnobValue", "PolicyExtractionExplorer"],
        "return_distribution": ["ReturnDistributionExplorer"],
        "robot_actions": ["RobotActionsExplorer"],
        "scaling": ["ScalingExplorer"],
        "self_consistency": ["SelfConsistencyExplorer"],
        "tightrope": ["TightropeExplorer"],
    },
)
