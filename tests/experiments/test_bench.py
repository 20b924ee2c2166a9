"""The bench's arithmetic is checked against XLA's own count of operations."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import jax
import pandas as pd
import pytest

from sorl_edu.agents import EVOR, SORL
from sorl_edu.agents.agent import Network, encode
from sorl_edu.experiments import bench
from sorl_edu.widgets.draw_your_own.draw_your_own import UPDATES


def test_operations_are_those_that_xla_counts():
    field, critic = Network((96, 96)), Network((64, 64), layer_norm=True)
    agent = SORL(field=field, critic=critic, batch_size=64)
    data = bench.random_transitions(7, 3, rows=200)
    state = agent.init(jax.random.key(0), data)
    batch = encode(state.encoder, data.sample(jax.random.key(1), agent.batch_size))

    def counted(loss, parameters, steps):
        gradient = jax.grad(partial(loss, steps=steps), has_aux=True)
        compiled = jax.jit(gradient).lower(parameters, state, batch, jax.random.key(2)).compile()
        return compiled.cost_analysis()["flops"]

    drawn = (1, 2, 4, 8)
    total = sum(
        counted(agent.critic_loss, state.critic.params, m)
        + counted(agent.policy_loss, state.field.params, m)
        for m in drawn
    )
    computed = bench.operations_per_update(agent, 7, 3)
    # XLA also counts what is no matrix product: activations, noise, norms.
    assert 0.8 < computed / (total / len(drawn)) <= 1.02


def test_a_promise_that_is_not_kept_is_marked():
    rows = pd.DataFrame(
        [
            bench.row("fast", 12.0, "1/s", 11.0, "at least"),
            bench.row("slow", 10.0, "1/s", 11.0, "at least"),
            bench.row("short", 10.0, "s", 11.0, "at most"),
            bench.row("long", 12.0, "s", 11.0, "at most"),
        ]
    )
    assert list(rows.kept) == ["yes", "NO", "yes", "NO"]
    assert bench.row("no promise", 1.0, "s")["kept"] == ""


def test_several_seeds_are_measured_against_one(monkeypatch):
    class Timed:
        def __init__(self, agent, obs_dim, action_dim, seeds):
            self.seeds = seeds

        def seconds_per_chunk(self):
            return float(self.seeds**0.75)

    monkeypatch.setattr(bench, "TimedTraining", Timed)
    rows = pd.DataFrame(bench.bench_seeds())
    assert list(rows.measured.round(2)) == [2.83, 4.76] and list(rows.kept) == ["yes", "NO"]
    assert list(rows.promise) == ["at most 3.2", "at most 4.5"]


@pytest.mark.parametrize(
    ("milliseconds", "share", "kept"), [(2.9, 0.6, ["yes", "yes"]), (3.1, 0.4, ["NO", "NO"])]
)
def test_evor_is_measured_at_the_issues_setting_and_beside_sorl(
    monkeypatch, milliseconds, share, kept
):
    decisions = []

    class Timed:
        chunk = 100

        def __init__(self, agent, obs_dim, action_dim):
            field = agent.field if isinstance(agent, SORL) else agent.policy
            assert field.hidden == agent.critic.hidden == (128, 128, 128)
            self.rate = 200.0 if isinstance(agent, SORL) else 200.0 * share

        def seconds_per_chunk(self):
            return self.chunk / self.rate

    def act(agent, state, obs, key, *, steps, candidates):
        decisions.append((type(agent), len(obs), steps, candidates, agent.return_samples))
        return obs

    def seconds(call, repeats):
        call()
        return milliseconds / 1000

    monkeypatch.setattr(bench, "TimedTraining", Timed)
    monkeypatch.setattr(bench, "act", act)
    monkeypatch.setattr(bench, "seconds", seconds)
    rows = pd.DataFrame(bench.bench_evor())
    assert set(decisions) == {(EVOR, 1, 8, 8, 8)}
    assert rows.measured.tolist() == pytest.approx([milliseconds, 200 * share, 200, share])
    assert rows.promise.tolist() == ["at most 3", "", "", "at least 0.5"]
    assert rows.kept[rows.promise != ""].tolist() == kept


@pytest.mark.parametrize(("seconds", "kept"), [(8.0, "yes"), (12.0, "NO")])
def test_practice_is_timed_without_compilation_in_steps_of_the_environment(
    monkeypatch, seconds, kept
):
    def practise(run, shown, folder):
        assert (run.learner, run.sizes.steps, run.sizes.repeat) == ("GUITAR", 4000, 5)
        return SimpleNamespace(env_steps=4000, seconds=100.0 if run.seed == 0 else seconds)

    monkeypatch.setattr(bench.lesser_points, "expert", lambda *_: None)
    monkeypatch.setattr(bench.lesser_points, "practise", practise)
    updates, steps = bench.bench_practice()
    assert updates["measured"] == pytest.approx(4000 / seconds)
    assert steps["measured"] == pytest.approx(5 * 4000 / seconds) and steps["kept"] == kept


def test_the_bench_writes_the_rows_of_every_part(monkeypatch, tmp_path, capsys):
    parts = "updates", "seeds", "act", "evor", "practice", "robots"
    parts = tuple(f"bench_{part}" for part in parts)
    for part in parts:
        monkeypatch.setattr(bench, part, lambda *_, part=part: [bench.row(part, 1.0, "s")])
    monkeypatch.setattr(bench, "ceiling", lambda: 1e9)
    monkeypatch.setattr(bench, "use_all_cores", lambda: None)
    bench.main(tmp_path)
    assert pd.read_csv(tmp_path / "speed.csv").what.tolist()[1:] == list(parts)
    assert "bench_evor" in capsys.readouterr().out


def test_what_the_browser_measures_comes_with_its_promise(monkeypatch, tmp_path):
    def run(command, cwd):
        file = Path(command[command.index("--measured") + 1])
        file.write_text("what,measured,unit\nlesson,100,s\nslider,120,ms\npage,3.5,MB\n")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    rows = pd.DataFrame(bench.bench_course(tmp_path))
    assert list(rows.kept) == ["yes", "NO", ""] and list(rows.measured) == [100, 120, 3.5]
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1))
    assert bench.bench_course(tmp_path) == []


def test_pages_have_promises_of_their_own():
    drag = "playground, drag to picture, m = 8, N = 32"
    assert bench.course_promise(drag, "ms") == (50.0, "at most")
    play = "playground, Play at four settings"
    assert bench.course_promise(play, "environment steps/s") == (60.0, "at least")
    assert bench.course_promise("playground, one draw, m = 8, N = 32", "ms") == (None, "at most")
    learned = f"drawing, time to learn a shortcut in {UPDATES} updates"
    assert bench.course_promise(learned, "s") == (20.0, "at most")
    assert bench.course_promise("drawing, another", "s") == (None, "at most")
    assert bench.course_promise("a lesson", "s") == (180.0, "at most")


def test_pytest_writes_what_is_measured(tmp_path):
    test = tmp_path / "test_one.py"
    test.write_text("def test_one(measured):\n    measured('one', 1.5, 'ms')\n")
    tests = Path(__file__).parents[1]
    (tmp_path / "conftest.py").write_text((tests / "conftest.py").read_text())
    command = [sys.executable, "-m", "pytest", "-q", str(test), "--measured", "out.csv"]
    env = os.environ | {"PYTHONPATH": str(tests)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert "one: 1.5 ms" in done.stdout, done.stdout
    assert (tmp_path / "out.csv").read_text() == "what,measured,unit\none,1.5,ms\n"
