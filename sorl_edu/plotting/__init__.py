"""Pictures, each a pure function to a matplotlib Figure."""

from sorl_edu.plotting.mazes import *  # noqa: F403
