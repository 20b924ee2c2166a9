"""What importing the package loads, and what it does without."""

import subprocess
import sys
import textwrap


def test_importing_the_package_loads_nothing_slow_and_needs_no_jupyter():
    program = """
        import importlib.util, pkgutil, sys
        for name in ("ipywidgets", "anywidget", "IPython", "jupyter", "jupyter_core"):
            sys.modules[name] = None  # as if it were not installed
        import sorl_edu
        for module in pkgutil.walk_packages(sorl_edu.__path__, "sorl_edu."):
            if not module.name.startswith("sorl_edu.widgets") or not module.name.endswith(".live"):
                importlib.import_module(module.name)
        slow = {"mujoco", "ogbench", "seaborn", "scipy.stats", "jupytext", "rfc3987_syntax"}
        assert not slow & set(sys.modules), slow & set(sys.modules)
        if importlib.util.find_spec("jupytext"):
            from sorl_edu.course import notebooks
            assert notebooks.parsed("# %%\\n1").cells
            assert "rfc3987_syntax" not in sys.modules
        print(sum(name.startswith("sorl_edu.") for name in sys.modules))
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) >= 18  # modules that were looked at
