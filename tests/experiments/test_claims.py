"""The claims of data/claims/README.md follow from the shipped episodes, computed anew."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from counting import Counting, quick_episodes
from scipy import stats

from sorl_edu import evaluation
from sorl_edu.agents import AGENTS
from sorl_edu.agents.agent import Agent
from sorl_edu.datasets.ogbench import shipped_data
from sorl_edu.errors import UnknownName
from sorl_edu.experiments import claims, course
from sorl_edu.experiments.experiment import Experiment
from sorl_edu.files import file_sha256
from sorl_edu.inference import Proposal

FOLDER = shipped_data() / "claims"


def test_the_shipped_episodes_are_those_of_the_manifest():
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    assert set(manifest) == {f"{name}.csv" for name in claims.STUDIES}
    for file, entry in manifest.items():
        assert file_sha256(FOLDER / file) == entry["sha256"]
        assert entry["command"].startswith("make claims")


@pytest.mark.parametrize("name", claims.STUDIES)
def test_the_shipped_arms_have_the_agents_of_the_study(name):
    entry = json.loads((FOLDER / "manifest.json").read_text())[f"{name}.csv"]
    declared = [arm.facts() for key in claims.STUDIES[name].arms for arm in claims.ARMS[key]]
    assert entry["experiments"] == json.loads(json.dumps(declared))


@pytest.mark.parametrize("name", claims.STUDIES)
def test_every_arm_was_run_in_full(name):
    episodes = pd.read_csv(FOLDER / f"{name}.csv")
    for arm_name in claims.STUDIES[name].arms:
        rows, expected = episodes[episodes.arm == arm_name], []
        for declared in claims.ARMS[arm_name]:
            assert declared.episodes == 50
            expected += [
                (seed, *setting) for seed in declared.seeds for setting in declared.settings
            ]
        cells = rows.groupby(["training_seed", "steps", "candidates"]).size()
        assert sorted(cells.index) == sorted(expected) and set(cells) == {50}
    assert episodes.success.isin([0, 1]).all()
    failed = episodes[episodes.success == 0]
    assert (failed.length == 1000).all()


def test_the_statistics_are_those_of_the_episodes():
    table = claims.statistics(FOLDER).set_index(["study", "claim"])
    for name, study in claims.STUDIES.items():
        episodes = pd.read_csv(FOLDER / f"{name}.csv")
        for claim in study.claims:
            means = []
            for chosen in (claim.better, claim.worse):
                rows = episodes[episodes.training_seed < claim.seeds]
                for column, value in chosen.items():
                    rows = rows[rows[column] == value]
                means.append(rows.groupby("training_seed").success.mean())
            differences, row = means[0] - means[1], table.loc[name, claim.text]
            assert row.seeds == claim.seeds >= 8
            np.testing.assert_allclose(row.difference, differences.mean(), rtol=1e-9)
            assert (row.low, row.high) == evaluation.bounded_interval(differences, -1, 1)


def test_every_claim_holds():
    """What data/claims/README.md reports: a change here changes that page."""
    table = claims.statistics(FOLDER)
    assert table.holds.all(), claims.describe(table)
    assert (table[table.expected].low > 0).all() and len(table) == 9


class KnownValues(Counting):
    """Candidate n has the action n / N and the value n."""

    def propose(self, state, obs, key, *, steps, candidates):
        n = jnp.arange(float(candidates))
        q = jnp.broadcast_to(n[:, None], (candidates, len(obs)))
        return Proposal(actions=q[..., None] / candidates, q=q, chosen=q.argmax(0))


def test_shuffled_values_choose_at_random():
    agent, obs = KnownValues(), jnp.zeros((4000, 1))
    key = jax.random.key(0)
    informed = agent.propose(None, obs, key, steps=1, candidates=4).action
    guessing = claims.ShuffledValues(agent)
    assert isinstance(guessing, Agent) and guessing.batch_size == agent.batch_size
    shuffled = guessing.propose(None, obs, key, steps=1, candidates=4).action
    assert (informed == 0.75).all()
    chosen, counts = np.unique(np.asarray(shuffled), return_counts=True)
    np.testing.assert_allclose(chosen, [0, 0.25, 0.5, 0.75])
    assert stats.chisquare(counts).pvalue > 1e-3


def test_data_without_rewards_pay_nothing_and_never_end(transitions):
    blank = claims.without_rewards(transitions)
    assert float(jnp.abs(blank.rewards).max()) == 0 and float(blank.masks.min()) == 1
    assert (blank.actions == transitions.actions).all()


def test_a_study_resumes_and_writes_its_table(tmp_path, monkeypatch):
    calls = []

    def evaluated(agent, *arguments, **options):
        calls.append((type(agent).__name__, options["steps"]))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return quick_episodes(agent, *arguments, **options)

    one = Experiment(
        name="tiny",
        agent=Counting(),
        dataset=course.DATASET,
        updates=20,
        settings=((1, 1), (2, 1)),
        episodes=3,
    )
    two = claims.replace(
        one, name="tiny, shuffled", settings=((1, 1),), verifier=claims.ShuffledValues
    )
    monkeypatch.setitem(AGENTS, "counting", Counting)
    monkeypatch.setattr(claims, "ARMS", {"tiny": (one, two)})
    monkeypatch.setattr(claims, "STUDIES", {"small": claims.Study("Why?", ("tiny",), ())})
    monkeypatch.setattr(evaluation, "evaluate", evaluated)
    with pytest.raises(KeyboardInterrupt):
        claims.run_study("small", tmp_path / "runs", tmp_path / "out")
    claims.run_study("small", tmp_path / "runs", tmp_path / "out")
    assert calls == [*([("Counting", 1)] + 2 * [("Counting", 2)]), ("ShuffledValues", 1)]
    table = pd.read_csv(tmp_path / "out" / "small.csv")
    assert list(table) == list(pd.read_csv(FOLDER / "dials.csv"))
    assert set(table.arm) == {"tiny"} and len(table) == 9
    assert table.steps.value_counts().to_dict() == {1: 6, 2: 3}
    entry = json.loads((tmp_path / "out" / "manifest.json").read_text())["small.csv"]
    assert [facts["name"] for facts in entry["experiments"]] == ["tiny", "tiny, shuffled"]


def test_the_program_runs_all_studies_or_those_named(tmp_path, monkeypatch, capsys):
    done = []
    monkeypatch.setattr(claims, "run_study", lambda name, runs, out: done.append(name))
    monkeypatch.setattr(claims, "statistics", lambda out: claims.pd.DataFrame())
    claims.main(["--out", str(tmp_path)])
    assert done == list(claims.STUDIES)
    claims.main(["dials"])
    assert done[-1] == "dials"
    with pytest.raises(UnknownName, match="dials"):
        claims.main(["dial"])
