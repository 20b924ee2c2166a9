"""`make mutation`: does the suite notice a fault? Each of these is put into a copy, and tests run.

A fault is one line of the library, wrong in a way that people get it wrong. One that no test
notices survives: then the table says so, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Fault:
    """A line of a module, a wrong one in its place, and the tests that should notice."""

    name: str
    module: str
    right: str
    wrong: str
    tests: str

    @property
    def file(self) -> Path:
        return Path("sorl_edu") / self.module

    def problem(self) -> str | None:
        """Why the fault can't be put in; None if it can."""
        times = (ROOT / self.file).read_text().count(self.right)
        if times != 1:
            return f"{self.module} has `{self.right}` {times} times, and not once"
        if not (ROOT / "tests" / self.tests).is_file():
            return f"there is no tests/{self.tests}"
        return None


FAULTS = (
    Fault(
        "time reversed",
        "flow_matching.py",
        "return (1 - (1 - epsilon) * t) * noise + t * actions",
        "return (1 - (1 - epsilon) * t) * actions + t * noise",
        "test_flow_matching.py",
    ),
    Fault(
        "velocity of the wrong sign",
        "flow_matching.py",
        "return actions - (1 - epsilon) * noise",
        "return (1 - epsilon) * noise - actions",
        "test_flow_matching.py",
    ),
    Fault(
        "no stop-gradient in the consistency target",
        "shortcut.py",
        "return jax.lax.stop_gradient((v1 + v2) / 2)",
        "return (v1 + v2) / 2",
        "test_shortcut.py",
    ),
    Fault(
        "no stop-gradient in the TD target",
        "temporal_difference.py",
        "return jax.lax.stop_gradient(batch.rewards + bootstrap * next_q)",
        "return batch.rewards + bootstrap * next_q",
        "test_temporal_difference.py",
    ),
    Fault(
        "the second half-step made from where the first began",
        "shortcut.py",
        "v2 = target_field(obs, a_t + h * v1, t + h, h)",
        "v2 = target_field(obs, a_t, t + h, h)",
        "test_shortcut.py",
    ),
    Fault(
        "wrong step size fed to the field",
        "shortcut.py",
        "loss = jnp.mean((field(obs, a_t, t, 2 * h) - target) ** 2)",
        "loss = jnp.mean((field(obs, a_t, t, h) - target) ** 2)",
        "test_shortcut.py",
    ),
    Fault(
        "wrong step size fed to the field when sampling",
        "shortcut.py",
        "step_size=1 / min(steps, denoise_steps))",
        "step_size=1 / denoise_steps)",
        "test_shortcut.py",
    ),
    Fault(
        "bootstrapping through terminals",
        "temporal_difference.py",
        "bootstrap = discount**batch.horizons * batch.masks",
        "bootstrap = discount**batch.horizons",
        "test_temporal_difference.py",
    ),
    Fault(
        "mask inverted",
        "temporal_difference.py",
        "bootstrap = discount**batch.horizons * batch.masks",
        "bootstrap = discount**batch.horizons * (1 - batch.masks)",
        "test_temporal_difference.py",
    ),
    Fault(
        "n-step sum across a trajectory's end",
        "temporal_difference.py",
        "alive = alive & ~data.last[row]",
        "alive = alive & (rows + k < len(rows))",
        "test_temporal_difference.py",
    ),
    Fault(
        "n-step sum across success",
        "temporal_difference.py",
        "alive = alive & (data.masks[row] > 0)",
        "alive = alive",
        "test_temporal_difference.py",
    ),
    Fault(
        "moving average never updated",
        "temporal_difference.py",
        "lambda old, new: old + tau * (new - old), target, online)",
        "lambda old, new: old, target, online)",
        "test_temporal_difference.py",
    ),
    Fault(
        "target network aliased instead of copied",
        "agents/sorl.py",
        "target_critic=jax.tree.map(jnp.copy, critic),",
        "target_critic=critic,",
        "test_sorl.py",
    ),
    Fault(
        "target critic left out of the update",
        "agents/sorl.py",
        "target_critic=polyak_average(state.target_critic, state.critic, self.tau),",
        "target_critic=state.target_critic,",
        "test_sorl.py",
    ),
    Fault(
        "critic told the wrong number of steps",
        "agents/sorl.py",
        "steps_column(steps, len(obs))).mean(0)",
        "steps_column(self.denoise_steps, len(obs))).mean(0)",
        "test_sorl.py",
    ),
    Fault(
        "critic told of steps that it never saw",
        "inference.py",
        "steps=min(steps, max_backprop_steps), aggregation",
        "steps=steps, aggregation",
        "test_inference.py",
    ),
    Fault(
        "Q minimised by the policy",
        "agents/sorl.py",
        "q_loss = -q.mean() / scale",
        "q_loss = q.mean() / scale",
        "test_sorl.py",
    ),
    Fault(
        "random key used twice",
        "agents/sorl.py",
        "q_key, flow_key, consistency_key = jax.random.split(key, 3)",
        "q_key = flow_key = consistency_key = key",
        "test_sorl.py",
    ),
    Fault(
        "argmin for argmax",
        "inference.py",
        "return jnp.argmax(q, axis=0)",
        "return jnp.argmin(q, axis=0)",
        "test_inference.py",
    ),
    Fault(
        "candidates paired with another observation",
        "inference.py",
        "    flat = noise.reshape(n * batch, action_dim)\n    return sample_from(field, repeated,",
        "    flat = noise.reshape(n * batch, action_dim)\n"
        "    repeated = jnp.repeat(obs, n, axis=0)\n    return sample_from(field, repeated,",
        "test_inference.py",
    ),
    Fault(
        "values paired with another observation",
        "inference.py",
        "    q = critic(repeated, flat,",
        "    repeated = jnp.repeat(obs, n, axis=0)\n    q = critic(repeated, flat,",
        "test_inference.py",
    ),
    Fault(
        "a submission outlives its grader",
        "coursework/worker.py",
        'sandbox.end_with(request["grader"])',
        "pass",
        "test_coursework.py",
    ),
)


def survives(fault: Fault) -> bool:
    """Whether all its tests pass with the fault in a copy of the library."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for path in ROOT.iterdir():
            if path.name not in ("sorl_edu", "runs") and not path.name.startswith("."):
                (copy / path.name).symlink_to(path)
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "sorl_edu", copy / "sorl_edu", ignore=skip)
        module = copy / fault.file
        module.write_text(module.read_text().replace(fault.right, fault.wrong))
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"),
                *("--rootdir", str(copy), f"tests/{fault.tests}"),
            ],
            cwd=copy,
            env=os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
        )
    if done.returncode not in (0, 1):  # 1: a test failed; else pytest itself did
        raise RuntimeError(f"pytest stopped with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="only faults whose name has one of these words")
    words = parser.parse_args(arguments).words
    chosen = [f for f in FAULTS if not words or re.search("|".join(map(re.escape, words)), f.name)]
    stale = [problem for fault in FAULTS if (problem := fault.problem())]
    if stale or not chosen:
        print("\n".join(stale or [f"no fault has {' or '.join(words)} in its name"]))
        return 2
    survived = 0
    width = max(len(fault.name) for fault in chosen)
    for fault in chosen:
        start = time.perf_counter()
        alive = survives(fault)
        survived += alive
        print(
            f"{fault.name:{width}}  {'SURVIVED' if alive else 'noticed '}  "
            f"tests/{fault.tests}, {time.perf_counter() - start:.0f} s",
            flush=True,
        )
    print(f"{len(chosen)} faults, {survived} survived")
    return int(survived > 0)


if __name__ == "__main__":
    sys.exit(main())
