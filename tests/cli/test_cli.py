"""The command line from end to end on small input, and all that it refuses before any work."""

import re
import shlex
import subprocess
import sys
from dataclasses import replace

import jax
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from sorl_edu import cli, evaluation
from sorl_edu.agents import SORL
from sorl_edu.agents.presets import preset
from sorl_edu.cli import doctor
from sorl_edu.datasets import collect as collecting
from sorl_edu.datasets import ogbench
from sorl_edu.environments import rollout
from sorl_edu.evaluation import episodes as evaluations
from sorl_edu.experiments import benchmark
from sorl_edu.experiments.benchmark import Plan
from sorl_edu.training.checkpoints import (
    TRAINING_STATE,
    AgentInfo,
    load_agent,
    read_metadata,
    save_agent,
)

DATASET = "pointmaze-medium-navigate-v0"
TASK = "pointmaze-medium-navigate-singletask-v0"
SCENE = ogbench.shipped_data() / "robots" / "scene_task1.safetensors"
TINY = [
    *("--field.hidden", 8, "--batch-size", 16, "--log-every", 10, "--checkpoint-every", 10),
]
TINY_SORL = [*TINY, "--critic.hidden", 8, "--denoise-steps", 2, "--max-backprop-steps", 1]
TINY_BC = [*TINY, "--preset", "pointmaze-bc"]  # compiles in a fraction of the time


def run(*words):
    return cli.main([str(word) for word in words])


def files_in(folder):
    return {path.name for path in folder.iterdir() if path.is_file()}


def training_state(folder):
    """The state of the longest training in a folder."""
    files = folder.glob(f"trainings/*/*/*/{TRAINING_STATE}")
    return max(files, key=lambda file: read_metadata(file)["updates"])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    assert run("collect", DATASET, "--episodes", 1, "--workers", 1, "--out", folder) == 0
    return folder


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """Two training seeds, 20 updates."""
    folder = tmp_path_factory.mktemp("run") / "made" / "here"
    words = ["train", TASK, "--data", data, "--out", folder, "--updates", 20]
    assert run(*words, "--seeds", 2, "--seed", 5, *TINY_SORL) == 0
    return folder


@pytest.fixture(scope="module")
def agent_file(trained):
    return trained / "agent_seed5.safetensors"


def test_collect_writes_both_files_and_names_the_next_command(tmp_path, capsys):
    assert run("collect", DATASET, "--episodes", 1, "--workers", 1, "--out", tmp_path) == 0
    assert files_in(tmp_path) == {f"{DATASET}.npz", f"{DATASET}-val.npz"}
    first_line, *_, last_line = capsys.readouterr().out.strip().splitlines()
    for words in ("1 validation episodes of 1001", str(tmp_path), "MB in all", "the same command"):
        assert words in first_line
    command = cli.parse(shlex.split(last_line.removeprefix("Next: sorl-edu ")))
    assert (command.dataset, command.data) == (TASK, tmp_path)


def test_collect_uses_all_cores_by_default(tmp_path, monkeypatch):
    asked = []

    def collect(name, out, *, workers, **rest):
        asked.append(workers)
        return tmp_path / "train", tmp_path / "val"

    monkeypatch.setattr(collecting, "collect", collect)
    monkeypatch.setattr(doctor, "usable_cpus", lambda: 64)
    for words in ([], ["--workers", 3]):
        assert run("collect", "scene-play-v0", "--out", tmp_path, *words) == 0
    assert asked == [64, 3]


def test_train_writes_agents_history_and_curves(trained, data):
    assert files_in(trained) == {
        "agent_seed5.safetensors",
        "agent_seed6.safetensors",
        "history.csv",
        "learning_curves.png",
        "plan.json",
    }
    agent, _, info = load_agent(trained / "agent_seed6.safetensors", environment=TASK)
    assert agent.field.hidden == (8,) and agent.max_backprop_steps == 1
    assert agent.n_step == 5  # from the preset for the dataset
    assert (info.updates, info.seed, info.preset) == (20, 6, "pointmaze")
    assert info.dataset_sha256 == ogbench.load(TASK, folder=data).sha256
    history = pd.read_csv(trained / "history.csv")
    assert set(history.seed) == {5, 6} and set(history["update"]) == {10, 20}
    assert set(history.split) == {"train", "validation"}
    assert np.isfinite(history.value).all()


@pytest.fixture
def cloned(data, tmp_path):
    """A tiny agent that has learned nothing, as a file that says that it has."""
    dataset = ogbench.load(TASK, folder=data)
    agent = preset("bc/pointmaze", batch_size=16, **{"policy.hidden": (8,)})
    state = agent.init(jax.random.key(0), agent.prepare(dataset.train))
    info = AgentInfo(environment=TASK, updates=20, dataset_sha256=dataset.sha256)
    save_agent(tmp_path / "agent.safetensors", agent, state, info)
    return tmp_path / "agent.safetensors"


def test_finetune_goes_on_from_an_agent_and_keeps_its_place(cloned, data, tmp_path, capsys):
    words = ["finetune", cloned, "--data", data, "--worlds", 2, "--round-steps", 5]
    words += ["--warm-up", 10, "--capacity", 100, "--checkpoint-every", 1, "--action-noise", 0.1]
    out = tmp_path / "out"
    words += ["--out", out]
    assert run(*words, "--steps", 40, "--episodes", 1) == 0
    text = capsys.readouterr().out
    assert "40 environment steps" in text and text.index("before:") < text.index("after:")
    written = {"agent.safetensors", "history.csv", "episodes.csv", TRAINING_STATE}
    assert files_in(out) == written
    episodes = pd.read_csv(out / "episodes.csv")
    assert set(episodes.env_steps) == {0, 40} and set(episodes.candidates) == {1}
    agent, _, info = load_agent(out / "agent.safetensors", environment=TASK)
    assert agent == load_agent(cloned)[0]
    assert info.updates == 20 + (40 - 10) and info.notes["env_steps"] == 40
    start, tuned = (load_file(folder / "agent.safetensors") for folder in (tmp_path, out))
    assert any(not np.array_equal(tuned[name], start[name]) for name in start)
    assert run(*words, "--steps", 20, "--episodes", 0) == 1
    assert "40 environment steps already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("protocol", "env_steps", "updates"), [("course", 20, 0), ("published", 4, 4)]
)
def test_a_protocol_says_what_no_flag_says(protocol, env_steps, updates, cloned, data, tmp_path):
    """Steps come in rounds of all worlds: of ten in the course's, of one in the published one."""
    words = ["finetune", cloned, "--data", data, "--out", tmp_path / "out", "--episodes", 0]
    assert run(*words, "--protocol", protocol, "--steps", 4, "--round-steps", 2) == 0
    info = load_agent(tmp_path / "out" / "agent.safetensors")[2]
    assert (info.notes["env_steps"], info.updates - 20) == (env_steps, updates)


def test_finetune_wants_the_dataset_that_the_agent_learned_from(cloned, tmp_path, capsys):
    assert run("finetune", cloned, "--out", tmp_path / "out") == 1
    assert "learned from another file" in capsys.readouterr().err


def test_train_resumes_from_its_checkpoint_and_ends_where_one_run_ends(data, tmp_path, capsys):
    words = ["train", TASK, "--data", data, *TINY_BC]
    two, one = tmp_path / "two", tmp_path / "one"
    assert run(*words, "--out", two, "--updates", 10) == 0
    assert "resuming" not in capsys.readouterr().out
    before = read_metadata(training_state(two))["seconds"]
    assert run(*words, "--out", two, "--updates", 20) == 0
    output = capsys.readouterr().out
    assert "first 10 updates of this run: resuming" in output
    assert run(*words, "--out", one, "--updates", 20) == 0
    agents = [folder / "agent_seed0.safetensors" for folder in (one, two)]
    for files in (agents, list(map(training_state, (one, two)))):
        first, second = map(read_metadata, files)
        if files is not agents:
            assert first.pop("seconds") > 0 and second.pop("seconds") > before
        assert first == second
        jax.tree.map(np.testing.assert_array_equal, *map(load_file, files))

    last_line = output.strip().splitlines()[-1]
    command = cli.parse(shlex.split(last_line.removeprefix("Next: sorl-edu ")))
    assert command == cli.Evaluate(two / "agent_seed0.safetensors", candidates=1)


def test_train_refuses_a_folder_with_another_run(data, tmp_path, capsys):
    words = ["train", TASK, "--data", data, *TINY_BC, "--out", tmp_path]
    assert run(*words, "--updates", 20) == 0
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert run(*words, "--updates", 10) == 2
    assert "holds a run of 20 updates" in capsys.readouterr().err
    for change, difference in (
        (("--batch-size", 8), "agent.batch_size was 16 and is 8"),
        (("--seeds", 2), "seeds was [0] and is [0, 1]"),
        (("--log-every", 5), "log_every was 10 and is 5"),
    ):
        assert run(*words, "--updates", 20, *change) == 1
        error = capsys.readouterr().err
        assert "another plan" in error and difference in error
    other = TASK.replace("singletask", "singletask-task2")
    assert run(*[other if word == TASK else word for word in words], "--updates", 20) == 1
    assert "tasks was [0] and is [2]" in capsys.readouterr().err
    assert kept == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_evaluate_prints_the_numbers_of_the_library(agent_file, capsys):
    words = ["--steps", 2, "--candidates", 4, "--episodes", 2, "--seed", 3]
    assert run("evaluate", agent_file, *words) == 0
    output = capsys.readouterr().out
    agent, state, _ = load_agent(agent_file)
    episodes, _ = evaluation.evaluate(agent, state, TASK, steps=2, candidates=4, episodes=2, seed=3)
    numbers = [float(word) for word in re.findall(r"-?\d+\.\d+", output.splitlines()[2])]
    for metric, value in zip(("success", "return", "length"), numbers[::3], strict=True):
        assert value == pytest.approx(episodes[metric].mean(), abs=0.051), metric
    assert "95% over 2 episodes of one seed" in output


def test_playground_writes_a_page_for_the_agent_s_environment(agent_file, tmp_path, capsys):
    words = ["--out", tmp_path / "new" / "page", "--candidates", 8, "--no-play"]
    assert run("playground", agent_file, *words) == 0
    assert files_in(tmp_path / "new" / "page") == {"index.html"}
    text = (tmp_path / "new" / "page" / "index.html").read_text()
    assert f"<h1>Playground: {TASK}</h1>" in text and '"candidates": 8' in text
    assert f"{TASK}, seed 5, 20 updates" in capsys.readouterr().out


def test_sweep_writes_tables_and_picture(trained, tmp_path, capsys):
    agents = sorted(trained.glob("agent_*.safetensors"))
    words = ["--steps", 1, 2, "--candidates", 1, "--episodes", 2, "--out", tmp_path / "out"]
    assert run("sweep", *agents, *words) == 0
    assert files_in(tmp_path / "out") == {"episodes.csv", "sweep.csv", "sweep.png"}
    episodes = pd.read_csv(tmp_path / "out" / "episodes.csv")
    assert set(episodes.training_seed) == {5, 6} and len(episodes) == 2 * 2 * 2
    summary = pd.read_csv(tmp_path / "out" / "sweep.csv")
    assert {"steps", "candidates", "success", "length", "episodes"} <= set(summary.columns)
    assert list(summary.steps) == [1, 2] and set(summary.seeds) == {2}
    assert "95% over 2 training seeds" in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_gives_one_message(data, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run("collect", DATASET, "--episodes", 1, "--out", tmp_path / "file" / "data") == 2
    assert "is a file" in capsys.readouterr().err
    assert run("collect", DATASET, "--episodes", 1, "--out", data) == 2
    assert "exists already" in capsys.readouterr().err


def test_a_loss_that_turns_nan_gives_one_message(data, tmp_path, capsys):
    words = ["train", TASK, "--data", data, "--out", tmp_path, "--updates", 20, *TINY_BC]
    assert run(*words, "--optimizer.learning-rate", "1e30", "--optimizer.grad-clip-norm", 0) == 1
    error = capsys.readouterr().err
    assert "became NaN or infinite at update" in error and "Traceback" not in error
    assert files_in(tmp_path) == {"plan.json"}
    assert read_metadata(training_state(tmp_path))["updates"] == 0


NOWHERE = "no-such-folder"
# A command line (OUT and AGENT stand for paths), and a part of the refusal.
REFUSED = [
    ("", "usage: sorl-edu COMMAND"),
    ("trian", "Did you mean train"),
    ("--steps 8", "unknown command"),
    (f"train {TASK}", "--out"),
    (f"train {TASK} --out OUT --q-wieght 500", "--q-weight"),
    (f"train {TASK} --out OUT --q-weight much", "--q-weight"),
    (f"train {TASK} --out OUT --q-weight -1", "q_weight must not be negative"),
    (f"train {TASK} --out OUT --updates 0", "--updates must be at least 1"),
    (f"train {TASK} --out OUT --seeds 0", "--seeds must be at least 1"),
    (f"train {TASK} --out OUT --seed -1", "--seed must lie in"),
    (f"train {TASK} --out OUT --log-every 7", "must be a multiple"),
    (f"train {TASK} --out OUT --denoise-steps 6", "power of two"),
    (f"train {TASK} --out OUT --denoise-steps 1", "power of two and at least 2"),
    (f"train {TASK} --out OUT --max-backprop-steps 16", "power of two and at most denoise_steps"),
    (f"train {TASK} --out OUT --field.hidden 8 0", "hidden must name at least one width"),
    (f"train {TASK} --out OUT --field.hiden 8", "--field.hidden"),
    (f"train {TASK} --out OUT --encoder.fourier-features -1", "must be 0 or more"),
    (f"train {TASK} --out OUT --optimizer.learning-rate 0", "learning_rate must be positive"),
    (f"train {TASK} --out OUT --preset pointmase", "Did you mean pointmaze"),
    (f"train {TASK} --out OUT --preset=pointmaze-bc --q-weight 3", "--q-weight"),
    (f"train {TASK} --out OUT --data {NOWHERE}", f"no folder '{NOWHERE}'"),
    (f"train {DATASET} --out OUT", TASK),
    (f"train {TASK.replace('maze', 'mase')} --out OUT", f"Did you mean {TASK}"),
    ("train puzzle-3x3-play-singletask-v0 --out OUT", "choose one with --preset"),
    ("evaluate missing.safetensors", "there is no checkpoint missing.safetensors"),
    (f"evaluate {__file__}", "damaged or no safetensors file"),
    ("evaluate AGENT --steps 3", "power of two"),
    ("evaluate AGENT --steps 2048", "at most 1024"),
    ("evaluate AGENT --candidates 0", "at least 1"),
    ("evaluate AGENT --candidates 1000000000", "fit in memory"),
    ("evaluate AGENT --episodes 0", "--episodes must be at least 1"),
    ("evaluate AGENT --seed -5", "--seed must lie in"),
    ("evaluate AGENT --candidate 3", "--candidates"),
    ("sweep --out OUT", "at least one agent"),
    ("sweep AGENT", "--out"),
    ("sweep AGENT --out OUT --steps 1 2 3", "power of two"),
    ("sweep AGENT --out OUT --steps", "at least one value"),
    ("sweep AGENT AGENT --out OUT", "give each once"),
    ("sweep AGENT missing.safetensors --out OUT", "there is no checkpoint"),
    ("playground AGENT", "--out"),
    ("playground missing.safetensors --out OUT", "there is no checkpoint missing.safetensors"),
    ("playground AGENT --out OUT --steps 3", "m is 3; it can be 1, 2, 4, 8, 16, 32"),
    ("playground AGENT --out OUT --candidates 500", "N is 500; it can be 1, 2, 3"),
    (f"playground {SCENE} --out OUT", "is not a maze"),
    ("benchmark", "--out"),
    ("benchmark --out OUT --suite pointmase", "Did you mean pointmaze"),
    ("benchmark --out OUT --tasks cube-singel-play", "Did you mean cube-single-play"),
    ("benchmark --out OUT --updates 7", "multiple of 10"),
    ("benchmark --out OUT --presets robots-smal-bc", "Did you mean robots-small-bc"),
    ("benchmark --out OUT --agents sorl sorel", "Did you mean sorl"),
    ("benchmark --out OUT --agents evor --dials tau_R 1", "EVOR 'tau_R'. Known: choice_temp"),
    ("benchmark --out OUT --dials return_temperature 1", "SORL has no dials but steps"),
    ("benchmark --out OUT --agents evor --dials return_temperature", "--dials"),
    ("benchmark --out OUT --tune --presets pointmaze", "presets are taken as they are"),
    ("benchmark --out OUT --suite pointmaze --presets pointmaze-bc --candidates 8", "no critic"),
    (f"benchmark --out OUT --data {NOWHERE}", f"no folder '{NOWHERE}'"),
    ("collect pointmaze-medum-navigate-v0 --out OUT", f"Did you mean {DATASET}"),
    (f"collect {DATASET} --out OUT --episodes 0", "at least 1"),
    (f"collect {DATASET} --out OUT --noise -1", "at least 0"),
    (f"collect {DATASET} --out OUT --workers 0", "workers is 0"),
    ("collect cube-singel-play-v0 --out OUT", "Did you mean cube-single-play-v0"),
    ("collect antmaze-large-navigate-v0 --out OUT", "is downloaded when it is first loaded"),
    (f"collect {DATASET} --out OUT --sede 1", "--seed"),
    (f"collect {DATASET}", "--out"),
    ("doctor --jsn", "--json"),
]


def refused_words(line, out, agent):
    return line.replace("OUT", str(out)).replace("AGENT", str(agent)).split()


@pytest.mark.parametrize(("line", "message"), REFUSED, ids=[line for line, _ in REFUSED])
def test_bad_input_is_refused_before_any_work(
    line, message, agent_file, tmp_path, capsys, monkeypatch
):
    def work(*_, **__):
        raise AssertionError("work was begun")

    monkeypatch.setattr(ogbench, "load", work)
    monkeypatch.setattr(benchmark, "estimate", work)
    monkeypatch.setattr(evaluations, "make_environments", work)
    monkeypatch.setattr(rollout, "make_environments", work)
    monkeypatch.setattr(collecting, "make_collector", work)
    monkeypatch.chdir(tmp_path)
    code = run(*refused_words(line, tmp_path / "out", agent_file))
    captured = capsys.readouterr()
    refusal = " ".join(captured.err.replace("│", " ").split())
    assert code in (1, 2)
    assert message in refusal and "Traceback" not in refusal
    assert captured.out == ""
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left == []


def test_agents_that_are_not_seeds_of_one_experiment_are_refused(agent_file, tmp_path, capsys):
    agent, state, info = load_agent(agent_file)
    other = tmp_path / "other.safetensors"
    save_agent(other, replace(agent, tau=0.3), state, replace(info, updates=10, seed=9))
    assert run("sweep", agent_file, other, "--out", tmp_path / "sweep") == 2
    assert "differ in updates, hyper-parameters" in capsys.readouterr().err
    assert not (tmp_path / "sweep").exists()


def test_an_agent_without_a_critic_is_refused_candidates(data, tmp_path, capsys):
    words = ["train", TASK, "--data", data, "--out", tmp_path, "--updates", 10]
    assert run(*words, *TINY_BC) == 0
    assert "--candidates 1" in capsys.readouterr().out.splitlines()[-1]
    assert run("evaluate", tmp_path / "agent_seed0.safetensors", "--candidates", 8) == 2
    assert "has no critic" in capsys.readouterr().err


def examples(help_text):
    joined = help_text.replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.startswith("    sorl-edu ")]


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_has_examples_that_parse(name, capsys):
    assert run(*name.split(), "--help") == 0
    help_text = capsys.readouterr().out
    found = examples(help_text)
    assert len(found) >= 2
    for example in found:
        program, *words = shlex.split(example)
        assert program == "sorl-edu" and words[: len(name.split())] == name.split()
        assert isinstance(cli.parse(words), cli.COMMANDS[name])


def test_the_example_of_a_preset_changes_the_hyper_parameters():
    command = cli.parse(["train", "cube-single-play-singletask-v0", "--out", "x"])
    assert command.agent == SORL(q_weight=10.0)
    command = cli.parse(["train", "--out", "x", "--tau", "0.5", "scene-play-singletask-task2-v0"])
    assert command.agent == SORL(q_weight=100.0, tau=0.5)


def test_settings_of_a_part_are_dotted_flags():
    words = ["--field.hidden", "8", "9", "--encoder.normalize", "--optimizer.grad-clip-norm", "0"]
    command = cli.parse(["train", "scene-play-singletask-v0", "--out", "x", *words])
    changes = {"field.hidden": (8, 9), "encoder.normalize": True, "optimizer.grad_clip_norm": 0.0}
    assert command.agent == preset("scene-play", **changes)


def test_a_benchmark_has_the_flags_of_its_plan():
    words = ["--suite", "pointmaze", "--agents", "sorl", "--presets", "pointmaze-bc", "--per-task"]
    command = cli.parse(["benchmark", "--out", "x", *words, "--seeds", "2"])
    plan = Plan(suite="pointmaze", agents=("sorl",), presets=("pointmaze-bc",), seeds=2)
    assert command.plan == replace(plan, per_task=True)
    assert cli.parse(["benchmark", "--out", "x", "--tune"]).plan == Plan(tune=True)
    dials = ["--dials", "return_temperature", "inf", "return_temperature", "0.1"]
    command = cli.parse(["benchmark", "--out", "x", "--agents", "evor", *dials])
    pairs = (("return_temperature", float("inf")), ("return_temperature", 0.1))
    assert command.plan == Plan(agents=("evor",), dials=pairs)


def test_root_help_names_every_command(capsys):
    assert run("--help") == 0
    help_text = capsys.readouterr().out
    assert all(name in help_text for name in cli.COMMANDS)


def test_a_process_refuses_with_exit_code_2_and_without_mujoco():
    script = (
        "import sys\n"
        "from sorl_edu.cli import main\n"
        f"assert main(['train', '{TASK}x', '--out', 'out']) == 2\n"
        "assert main(['evaluate', 'x', '--steps', '0']) == 2\n"
        "assert 'mujoco' not in sys.modules and 'matplotlib' not in sys.modules\n"
        "sys.exit(main(['collect', 'nothing-like-it', '--out', 'out']))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stdout == "" and "Traceback" not in done.stderr


def test_help_imports_no_mujoco_and_no_matplotlib():
    script = (
        "import sys\n"
        "from sorl_edu.cli import main\n"
        "assert [main([*name, '--help']) for name in ([], ['sweep'], ['train'])] == [0, 0, 0]\n"
        "assert 'mujoco' not in sys.modules and 'matplotlib' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
