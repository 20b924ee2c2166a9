"""The course's figures: pure functions that return a matplotlib Figure.

    figure = plotting.action_distribution(agent, state, obs, key=key)   # a notebook displays it
    plotting.save_figure(figure, "sharpening.png")

All are drawn in one house style and leave nothing behind: no pyplot figure, no changed setting.
An argument that can't be drawn raises a ConfigError that says why. Videos are in `plotting.video`.
"""

from sorl_edu.plotting.actions import action_distribution, action_values, chosen_actions
from sorl_edu.plotting.clouds import (
    crossing_paths,
    distance_curves,
    distance_floor,
    distances_over_training,
    distances_to_data,
    energy_distance,
    flow_paths,
    samples_2d,
    velocity_slices,
)
from sorl_edu.plotting.diagram import method_diagram
from sorl_edu.plotting.learning import METRIC_LABELS, learning_curves
from sorl_edu.plotting.mazes import (
    compare_landscapes,
    draw_maze,
    maze_trajectories,
    q_landscape,
)
from sorl_edu.plotting.scaling import SWEEP_LABELS, sweep_heatmap, sweep_lines
from sorl_edu.plotting.style import BLUE, GREEN, ORANGE, RED, STYLE, WIDTH, save_figure, styled

__all__ = [
    "BLUE",
    "GREEN",
    "METRIC_LABELS",
    "ORANGE",
    "RED",
    "STYLE",
    "SWEEP_LABELS",
    "WIDTH",
    "action_distribution",
    "action_values",
    "chosen_actions",
    "compare_landscapes",
    "crossing_paths",
    "distance_curves",
    "distance_floor",
    "distances_over_training",
    "distances_to_data",
    "draw_maze",
    "energy_distance",
    "flow_paths",
    "learning_curves",
    "maze_trajectories",
    "method_diagram",
    "q_landscape",
    "samples_2d",
    "save_figure",
    "styled",
    "sweep_heatmap",
    "sweep_lines",
    "velocity_slices",
]
