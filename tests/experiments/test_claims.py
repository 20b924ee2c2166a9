"""What the README says SORL buys follows from the shipped episodes, with statistics done anew."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sorl_edu.agents import SORL
from sorl_edu.datasets.ogbench import shipped_data
from sorl_edu.errors import UnknownName
from sorl_edu.experiments import claims
from sorl_edu.files import file_sha256
from sorl_edu.inference import Proposal

FOLDER = shipped_data() / "claims"


def test_the_shipped_episodes_are_those_of_the_manifest():
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    assert set(manifest) == {f"{name}.csv" for name in claims.STUDIES}
    for file, entry in manifest.items():
        assert file_sha256(FOLDER / file) == entry["sha256"]
        assert entry["command"].startswith("make claims")
        dataset = json.loads((shipped_data() / "manifest.json").read_text())
        assert entry["dataset_sha256"] == dataset[f"{claims.DATASET}.npz"]["sha256"]


@pytest.mark.parametrize("name", claims.STUDIES)
def test_every_arm_was_run_in_full(name):
    episodes = pd.read_csv(FOLDER / f"{name}.csv")
    for arm_name in claims.STUDIES[name].arms:
        arm = claims.ARMS[arm_name]
        rows = episodes[episodes.arm == arm_name]
        settings = len(arm.settings) + len(arm.shuffled)
        assert len(rows) == settings * arm.seeds * claims.EPISODES
        assert set(rows.groupby(["training_seed", "steps", "candidates", "verifier"]).size()) == {
            claims.EPISODES
        }
    assert episodes.success.isin([0, 1]).all()
    failed = episodes[episodes.success == 0]
    assert (failed.length == 1000).all()


def test_the_statistics_are_those_of_a_paired_t_test():
    table = claims.statistics(FOLDER).set_index(["study", "claim"])
    for name, study in claims.STUDIES.items():
        episodes = pd.read_csv(FOLDER / f"{name}.csv")
        for claim in study.claims:
            means = []
            for chosen in (claim.better, claim.worse):
                rows = episodes[episodes.training_seed < claim.seeds]
                for column, value in chosen.items():
                    rows = rows[rows[column] == value]
                means.append(rows.groupby("training_seed")[claim.metric].mean())
            interval = stats.ttest_rel(*means).confidence_interval(0.95)
            row = table.loc[name, claim.text]
            assert row.seeds == claim.seeds
            np.testing.assert_allclose(row.difference, np.mean(means[0] - means[1]), rtol=1e-9)
            if np.std(means[0] - means[1]) > 0:
                np.testing.assert_allclose(
                    [row.low, row.high], [interval.low, interval.high], rtol=1e-6
                )


# What the README reports as not found: a change here is news, and changes the README.
NOT_FOUND = {
    "8 steps of the course's agent take fewer steps to the goal than 1",
    "on narrow data, with little self-consistency, 8 steps succeed more often than 1",
    "at 8 step(s), best-of-32 succeeds more often than one candidate",
}


def test_the_claims_hold_but_for_those_that_are_reported_as_not_found():
    table = claims.statistics(FOLDER)
    assert set(table[~table.holds].claim) == NOT_FOUND, claims.describe(table)


def test_sequential_and_parallel_are_over_at_least_five_seeds():
    table = claims.statistics(FOLDER)
    gains = table[table.expected & table.study.isin(["sequential", "parallel"])]
    assert (gains[~gains.claim.str.startswith("why not")].seeds >= 5).all()
    parallel = gains[gains.study == "parallel"]
    assert parallel.holds.sum() == 3 and (parallel[parallel.holds].low > 0).all()


def test_sorl_gains_more_than_a_fifth_over_cloning():
    table = claims.statistics(FOLDER)
    (gain,) = table[(table.study == "cloning") & table.expected].itertuples()
    assert gain.metric == "success" and gain.difference > 0.2 and gain.low > 0


class KnownValues:
    """Candidate n has the action n / N and the value n."""

    def propose(self, state, obs, key, *, steps, candidates):
        n = jnp.arange(float(candidates))
        q = jnp.broadcast_to(n[:, None], (candidates, len(obs)))
        return Proposal(actions=q[..., None] / candidates, q=q, chosen=q.argmax(0))


def test_shuffled_values_choose_at_random():
    agent, obs = KnownValues(), jnp.zeros((4000, 1))
    key = jax.random.key(0)
    informed = agent.propose(None, obs, key, steps=1, candidates=4).action
    shuffled = claims.ShuffledValues(agent).act(None, obs, key, steps=1, candidates=4)
    assert (informed == 0.75).all()
    chosen, counts = np.unique(np.asarray(shuffled), return_counts=True)
    np.testing.assert_allclose(chosen, [0, 0.25, 0.5, 0.75])
    assert stats.chisquare(counts).pvalue > 1e-3


def test_data_without_rewards_pay_nothing_and_never_end(transitions):
    blank = claims.without_rewards(transitions)
    assert float(jnp.abs(blank.rewards).max()) == 0 and float(blank.masks.min()) == 1
    assert (blank.actions == transitions.actions).all()


def test_a_study_goes_on_where_it_was_stopped(tmp_path, monkeypatch, transitions):
    calls = []

    def evaluated(agent, states, steps, candidates):
        calls.append((steps, candidates))
        if len(calls) == 2:
            raise KeyboardInterrupt
        rows = {"episode": [0], "success": [1.0], "return": [0.0], "length": [5.0]}
        return pd.DataFrame(rows).assign(training_seed=0)

    agent = SORL(field_hidden=(4,), critic_hidden=(4,), denoise_steps=2, max_backprop_steps=1)
    arm = claims.Arm(agent, settings=((1, 1), (2, 1)), updates=20, seeds=1)
    monkeypatch.setitem(claims.ARMS, "tiny", arm)
    monkeypatch.setattr(claims, "evaluate_seeds", evaluated)
    monkeypatch.setattr(claims, "load", lambda *_, **__: type("Loaded", (), {"train": transitions}))
    with pytest.raises(KeyboardInterrupt):
        claims.run_arm("tiny", tmp_path)
    table = claims.run_arm("tiny", tmp_path)
    assert calls == [(1, 1), (2, 1), (2, 1)]
    assert list(table.steps) == [1, 2] and set(table.arm) == {"tiny"}


def test_the_program_runs_all_studies_or_those_named(tmp_path, monkeypatch, capsys):
    done = []
    monkeypatch.setattr(claims, "run_study", lambda name, runs, out: done.append(name))
    monkeypatch.setattr(claims, "statistics", lambda out: claims.pd.DataFrame())
    claims.main(["--out", str(tmp_path)])
    assert done == list(claims.STUDIES)
    claims.main(["parallel"])
    assert done[-1] == "parallel"
    with pytest.raises(UnknownName, match="parallel"):
        claims.main(["paralel"])
