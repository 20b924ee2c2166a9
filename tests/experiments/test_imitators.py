"""What imitation on the tightrope shows: who takes the road, from when on, and what it depends on.

J is exact here. Where nothing is drawn, a claim has no interval because it needs none.
"""

import functools

import numpy as np
import pytest

from sorl_edu.datasets.tightrope import Tightrope, empirical
from sorl_edu.evaluation import t_interval
from sorl_edu.experiments.imitators import LEARNERS, returns, summary
from sorl_edu.finite_mdp import expected_return, occupancies
from sorl_edu.imitation import (
    at_any_time,
    behaviour_cloning,
    completeness_error,
    filter_resets,
    guitar,
    imitate,
    moment_matching,
    psdp_error,
)

ROAD = (0.1, 0.3, 0.5)  # slips for which the road is better than the bridge by far


@functools.cache
def exact():
    """J / optimum by (slip, learner), and the same for the mixture of all rounds."""
    rows = returns(Tightrope(), slips=[0.0, *ROAD], rounds=30)
    rows = rows.assign(share=rows.j / rows.optimum, mixture=rows.j_mixture / rows.optimum)
    return rows.set_index(["slip", "learner"])


@pytest.mark.parametrize("slip", ROAD)
@pytest.mark.parametrize("of", ["share", "mixture"])
def test_guitar_is_near_the_optimum_of_its_class_where_filter_is_far_below(slip, of):
    share = exact()[of]
    assert share[slip, "GUITAR"] >= 0.95
    assert share[slip, "FILTER"] <= 0.70
    assert share[slip, "BC"] <= 0.70


def test_without_a_slip_all_are_as_good_as_the_expert():
    for name in LEARNERS:
        row = exact().loc[(0.0, name)]
        assert row.j == pytest.approx(row.expert_j) == row.optimum
        assert row.gap < 0.05


def test_the_bridge_is_worth_less_from_slip_to_slip():
    shares = [exact().share[slip, "FILTER"] for slip in (0.0, *ROAD)]
    assert shares == sorted(shares, reverse=True)


def growth(losses, horizons):
    """The exponents of H between consecutive horizons."""
    return np.diff(np.log(losses)) / np.diff(np.log(horizons))


def test_cloning_loses_more_than_linearly_in_the_horizon_and_guitar_does_not():
    """Worlds of the same shape: the bridge is two fifteenths of the horizon."""
    bridges = np.array([4, 8, 16])
    horizons = 15 * bridges // 2
    loss = {"BC": [], "GUITAR": []}
    for bridge, horizon in zip(bridges, horizons, strict=True):
        world = Tightrope(bridge=int(bridge), horizon=int(horizon))
        learners = {name: LEARNERS[name] for name in loss}
        rows = returns(world, slips=[0.05], learners=learners, rounds=30).set_index("learner")
        for name in loss:
            loss[name].append(rows.expert_j[name] - rows.j[name])
    assert min(growth(loss["BC"], horizons)) > 1.5
    assert max(growth(loss["GUITAR"], horizons)) < 1


def test_few_expert_episodes_leave_filter_without_practice_where_it_starts():
    """Without a slip, one episode shows one of the three starts; offline data show them all."""
    rows = returns(
        Tightrope(),
        slips=[0.0],
        learners={"FILTER": filter_resets(), "GUITAR": guitar()},
        expert_episodes=1,
        rounds=5,
        seeds=range(5),
    )
    j = rows.pivot_table("j", index="seed", columns="learner")
    low, _ = t_interval(j.GUITAR - j.FILTER)
    assert low > 0


def test_practice_near_the_bridge_does_not_show_the_road():
    """After cloning, a hundred states per step of one's own or of the expert's lead nowhere."""
    methods = {"MM": moment_matching(), "FILTER": filter_resets(0.5), "GUITAR": guitar()}
    rows = returns(
        Tightrope(),
        slips=[0.1],
        learners=methods,
        warm_start=True,
        practice=100,
        rounds=30,
        seeds=range(3),
    )
    table = summary(rows).set_index("learner")
    assert table.low["GUITAR"] > 0.8
    assert table.high[["MM", "FILTER"]].max() < 0.7


def test_filter_searches_perfectly_and_loses_what_its_class_lacks():
    """The bound H (eps + eps_PSDP) for the true reward is all but tight where FILTER ends."""
    world, slip = Tightrope(), 0.2
    learner, expert = world.learner(slip), occupancies(world.mdp, world.expert)
    laws = {"expert": expert.sum(-1), "offline": world.offline(slip).sum(-1)}
    laws = {name: at_any_time(law) for name, law in laws.items()}
    incomplete = {}
    for name, mixture in {"FILTER": filter_resets(), "GUITAR": guitar()}.items():
        offline = world.offline(slip)
        game = imitate(world.mdp, learner, expert, offline, mixture, rounds=20)
        policy, reward = learner.policy(game.best), game.rewards[game.gaps.argmin()]
        law = mixture.law(0 * laws["expert"], laws["expert"], laws["offline"])
        incomplete[name] = completeness_error(world.mdp, learner, policy, reward, law)
        assert psdp_error(world.mdp, learner, policy, reward, law) == pytest.approx(0, abs=1e-9)
        if name == "FILTER":
            lost = np.sum(expert * world.reward)
            lost -= expected_return(world.mdp, policy, world.reward)
            exact = world.mdp, learner, policy, world.reward, expert.sum(-1)
            bound = world.horizon * (completeness_error(*exact) + psdp_error(*exact))
            assert 0.95 * bound <= lost <= bound
    assert incomplete["GUITAR"] < incomplete["FILTER"] / 3


def test_rows_are_those_of_the_game():
    world, seed = Tightrope(), 3
    rows = returns(
        world, slips=[0.2], expert_episodes=2, practice=20, rounds=4, seeds=[seed]
    ).set_index("learner")
    shown = world.seen(empirical(world.mdp, world.expert, 2, seed))
    body = world.learner(0.2)
    game = imitate(
        world.mdp, body, shown, world.offline(0.2), guitar(), rounds=4, practice=20, seed=seed
    )
    j = [expected_return(world.mdp, body.policy(one), world.reward) for one in game.decisions]
    assert rows.j["GUITAR"] == j[int(game.gaps.argmin())]
    assert rows.j_mixture["GUITAR"] == pytest.approx(np.mean(j))
    cloned = body.policy(behaviour_cloning(body, shown))
    assert rows.j["BC"] == expected_return(world.mdp, cloned, world.reward) == rows.j_mixture["BC"]
    assert list(rows.index) == list(LEARNERS)


def test_a_summary_has_an_interval_over_seeds_and_none_of_one():
    rows = returns(
        Tightrope(), slips=[0.2], learners={"BC": None}, expert_episodes=1, seeds=range(6)
    )
    table = summary(rows).iloc[0]
    shares = (rows.j / rows.optimum).to_numpy()
    assert (table.low, table.high) == pytest.approx(t_interval(shares))
    assert table.share == pytest.approx(shares.mean()) and table.seeds == 6
    assert np.isnan(summary(rows[:1]).low).all()
