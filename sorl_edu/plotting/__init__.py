"""Pictures, each a pure function to a matplotlib Figure."""

from sorl_edu.plotting.figures import *  # noqa: F403
