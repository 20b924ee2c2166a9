"""OGBench's environments, without the noise that other libraries make about them."""

from __future__ import annotations

import warnings


def make_env(env_id: str, **options):
    """`gymnasium.make` of an environment of OGBench's.

    Gymnasium warns of the precision of a robot's spaces, also each time that it is asked for one
    later, and glfw that there is no screen: neither matters here, so these warnings are not shown.
    """
    warnings.filterwarnings("ignore", ".*precision lowered by casting", UserWarning)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import gymnasium
        import ogbench  # noqa: F401  (registers the environments)

        return gymnasium.make(env_id, **options)
