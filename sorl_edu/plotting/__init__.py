"""The course's figures: pure functions that return a matplotlib Figure.

    figure = plotting.action_distribution(agent, state, obs, key=key)   # a notebook displays it
    plotting.save_figure(figure, "sharpening.png")

All are drawn in one house style and leave nothing behind: no pyplot figure, no changed setting.
An argument that can't be drawn raises a ConfigError that says why. In a notebook each figure has
alternative text, its `alt`: `new_figure(width, height, alt="...")` makes a figure of one's own with
it. Videos are in `plotting.video`.
"""

from sorl_edu.plotting.actions import (
    action_distribution,
    action_values,
    chosen_actions,
    compare_actions,
    pull_and_hold,
)
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
from sorl_edu.plotting.learning import METRIC_LABELS, gradient_of_steps, learning_curves
from sorl_edu.plotting.lines import interval_panels, line_panels, lines, promises
from sorl_edu.plotting.mazes import (
    compare_landscapes,
    compare_paths,
    draw_maze,
    maze_trajectories,
    q_landscape,
    recorded_actions,
    recorded_walks,
    value_maps,
)
from sorl_edu.plotting.methods import compare_methods
from sorl_edu.plotting.scaling import SWEEP_LABELS, success_over, sweep_heatmap, sweep_lines
from sorl_edu.plotting.style import (
    BLACK,
    BLUE,
    COLORS,
    FAILED,
    GREEN,
    MARKERS,
    ORANGE,
    REACHED,
    RED,
    STYLE,
    WIDTH,
    DescribedFigure,
    new_figure,
    save_figure,
    styled,
)
from sorl_edu.plotting.tightrope import Walkers, tightrope_maps, tightrope_panels

__all__ = [
    "BLACK",
    "BLUE",
    "COLORS",
    "FAILED",
    "GREEN",
    "MARKERS",
    "METRIC_LABELS",
    "ORANGE",
    "REACHED",
    "RED",
    "STYLE",
    "SWEEP_LABELS",
    "WIDTH",
    "DescribedFigure",
    "Walkers",
    "action_distribution",
    "action_values",
    "chosen_actions",
    "compare_actions",
    "compare_landscapes",
    "compare_methods",
    "compare_paths",
    "crossing_paths",
    "distance_curves",
    "distance_floor",
    "distances_over_training",
    "distances_to_data",
    "draw_maze",
    "energy_distance",
    "flow_paths",
    "gradient_of_steps",
    "interval_panels",
    "learning_curves",
    "line_panels",
    "lines",
    "maze_trajectories",
    "method_diagram",
    "new_figure",
    "promises",
    "pull_and_hold",
    "q_landscape",
    "recorded_actions",
    "recorded_walks",
    "samples_2d",
    "save_figure",
    "styled",
    "success_over",
    "sweep_heatmap",
    "sweep_lines",
    "tightrope_maps",
    "tightrope_panels",
    "value_maps",
    "velocity_slices",
]
