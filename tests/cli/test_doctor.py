"""The doctor on machines with something wrong: each wrong thing is found, and has a fix."""

import json
import sys
from importlib import metadata

import jax
import pytest

from sorl_edu import cli
from sorl_edu.cli import doctor
from sorl_edu.datasets import ogbench
from sorl_edu.files import MANIFEST, add_to_manifest


def only(findings):
    (finding,) = findings
    return finding


@pytest.mark.thorough
def test_here_nothing_essential_is_wrong(capsys):
    assert cli.main(["doctor", "--json"]) == 0
    findings = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert findings["jax"]["text"] == metadata.version("jax")
    assert findings["environment"]["status"] == "ok"
    assert findings["shipped data"]["status"] == "ok"
    names = {"python", "system", "jax devices", "learning", "rendering", "widgets", "ogbench cache"}
    assert names <= findings.keys()
    for name, entry in findings.items():
        assert bool(entry["fix"]) == (entry["status"] != "ok"), name


def test_a_wrong_thing_gives_exit_code_1_and_its_fix(monkeypatch, capsys):
    found = [doctor.Finding("a", "ok", "fine"), doctor.Finding("b", "wrong", "broken", "mend it")]
    monkeypatch.setattr(doctor, "examine", lambda: found)
    assert cli.main(["doctor"]) == 1
    output = capsys.readouterr().out
    assert "wrong  b  broken" in output and "fix: mend it" in output and "1 wrong" in output


def test_a_check_that_fails_is_a_finding():
    def broken():
        raise ImportError("libjax.so: cannot open shared object file")

    finding = only(doctor.guarded(broken))
    assert finding.status == "wrong" and "libjax.so" in finding.text and finding.fix


def test_an_old_python_is_wrong():
    assert only(doctor.python((3, 10, 14))).status == "wrong"
    assert only(doctor.python((3, 11, 0))).status == "ok"


@pytest.mark.parametrize(
    ("requirement", "status"),
    [
        ("pytest>=1", "ok"),
        ("pytest>=1,<2", "wrong"),
        ("pytest!=" + metadata.version("pytest"), "wrong"),
        ("no-such-package>=2", "wrong"),
        ("no-such-package>=2; extra == 'lab'", "warn"),
        ("pytest<2; extra == 'lab'", "warn"),
    ],
)
def test_packages_are_held_to_their_bounds(requirement, status):
    finding = only(doctor.packages([requirement]))
    assert finding.status == status
    if status != "ok":
        name_and_bounds = requirement.partition(";")[0]
        assert finding.fix.startswith(f"{doctor.PIP} '{finding.name}")
        assert set(finding.fix.split("'")[1]) == set(name_and_bounds)


def module_that(tmp_path, monkeypatch, name, code):
    """An installed package of one module."""
    (tmp_path / f"{name}.py").write_text(code)
    info = tmp_path / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "top_level.txt").write_text(name)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_module", "No module named 'no_such_module'"),
        ("raise SystemError('numpy.core failed\\nto import')", "numpy.core failed to import"),
        ("import sys; sys.exit()", "SystemExit"),
        ("import os; os._exit(9)", "exit code 9"),
    ],
)
def test_a_package_that_cannot_be_imported_is_wrong(code, reason, tmp_path, monkeypatch):
    module_that(tmp_path, monkeypatch, "brokenpackage", code)
    findings = doctor.packages(["pytest", "brokenpackage>=1"])
    broken = {finding.name: finding for finding in findings}["brokenpackage"]
    assert broken.status == "wrong" and broken.text.startswith("1.0, but importing it failed")
    assert reason in broken.text and "--force-reinstall" in broken.fix
    lab = only(doctor.packages(["brokenpackage; extra == 'lab'"]))
    assert lab.status == "warn"


def test_an_import_that_never_ends_is_found(tmp_path, monkeypatch):
    module_that(tmp_path, monkeypatch, "slowpackage", "import time; time.sleep(60)")
    assert "no answer" in doctor.import_errors({"x": "slowpackage"}, timeout=1)["x"]


def test_versions_that_do_not_work_together_are_wrong(monkeypatch):
    """jax 0.11 and flax 0.11.2, which fails in flax's first call of jax.core."""
    import flax.linen as nn

    def fails(*_, **__):
        raise AttributeError("module 'jax.core' has no attribute 'get_opaque_trace_state'")

    assert only(doctor.learning()).status == "ok"
    monkeypatch.setattr(nn.Module, "init", fails)
    monkeypatch.setattr(nn.Module, "apply", fails)
    jax.clear_caches()
    finding = only(doctor.learning())
    assert finding.status == "wrong" and finding.fix
    assert "get_opaque_trace_state" in finding.text and metadata.version("flax") in finding.text


@pytest.mark.parametrize(
    ("name", "status", "word"),
    [("linux", "ok", "Linux"), ("darwin", "ok", "macOS"), ("win32", "warn", "course grade")],
)
def test_the_system_has_a_finding(name, status, word):
    finding = only(doctor.system(name))
    assert finding.status == status and word in finding.text
    assert ("WSL" in finding.fix) == (status == "warn")


def test_packages_of_other_extras_and_machines_are_not_asked_for():
    assert doctor.packages(["no-such-package; extra == 'test'"]) == []
    assert doctor.packages(["no-such-package; python_version < '3'"]) == []


def test_devices_that_do_not_start_are_wrong(monkeypatch):
    def broken():
        raise RuntimeError("Unable to initialize backend 'tpu'")

    monkeypatch.setattr(jax, "devices", broken)
    finding = only(doctor.devices())
    assert finding.status == "wrong" and "tpu" in finding.text


def test_a_gpu_that_jax_does_not_use_is_found(monkeypatch):
    import jax

    monkeypatch.setattr(jax, "devices", lambda: jax.local_devices(backend="cpu"))
    monkeypatch.setattr(doctor.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    finding = only(doctor.devices())
    assert finding.status == "warn" and "cuda" in finding.fix


def test_an_ogbench_that_pip_left_out_is_wrong(monkeypatch):
    monkeypatch.setitem(sys.modules, "ogbench", None)  # importing it raises ModuleNotFoundError
    finding = only(doctor.environment())
    assert finding.status == "wrong" and "--no-deps ogbench" in finding.fix


def test_rendering_that_fails_or_hangs_is_found_with_its_fix(monkeypatch):
    monkeypatch.setattr(doctor, "RENDER", "raise ImportError('no libEGL.so.1')")
    finding = only(doctor.rendering())
    assert finding.status == "warn" and "no libEGL.so.1" in finding.text
    assert "libegl1" in finding.fix and "MUJOCO_GL=egl" in finding.fix
    monkeypatch.setattr(doctor, "RENDER", "import time; time.sleep(60)")
    assert "no answer" in only(doctor.rendering(timeout=0.2)).text


@pytest.mark.parametrize("name", ["win32", "darwin"])
def test_no_advice_for_debian_on_other_systems(name, monkeypatch):
    monkeypatch.setattr(doctor, "RENDER", "raise ImportError('no OpenGL')")
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    finding = only(doctor.rendering(name=name))
    assert "no OpenGL" in finding.text and "egl" not in finding.text
    assert "apt-get" not in finding.fix and "graphics driver" in finding.fix


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="signals of Linux")
def test_rendering_that_kills_its_process_is_found(monkeypatch):
    monkeypatch.setattr(doctor, "RENDER", "import os; os.kill(os.getpid(), 11)")
    assert "exit code -11" in only(doctor.rendering()).text


@pytest.mark.parametrize(
    ("ipywidgets", "jupyterlab_widgets", "status"),
    [("8.1.5", "3.0.13", "ok"), ("7.7.1", "1.1.7", "ok"), ("8.1.5", "1.1.7", "warn")],
)
def test_the_halves_of_the_widgets_must_match(ipywidgets, jupyterlab_widgets, status, monkeypatch):
    monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)
    versions = {
        "ipywidgets": ipywidgets,
        "jupyterlab-widgets": jupyterlab_widgets,
        "jupyterlab": "4.4.1",
    }
    finding = only(doctor.widgets(versions.__getitem__))
    assert finding.status == status and ipywidgets in finding.text


def test_missing_widgets_are_found(monkeypatch):
    monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)

    def installed(package):
        raise metadata.PackageNotFoundError(package)

    finding = only(doctor.widgets(installed))
    assert finding.status == "warn" and "ipywidgets" in finding.fix


def test_the_shipped_data_is_as_it_was_shipped():
    finding = only(doctor.shipped_data())
    assert finding.status == "ok" and str(ogbench.shipped_data()) in finding.text


def test_changed_and_missing_data_are_wrong(tmp_path):
    assert "there is no manifest.json" in only(doctor.shipped_data(tmp_path)).text
    for name in ("a.npz", "b.npz"):
        (tmp_path / name).write_bytes(b"as shipped")
        add_to_manifest(tmp_path, name, "by hand")
    assert only(doctor.shipped_data(tmp_path)).status == "ok"
    (tmp_path / "a.npz").write_bytes(b"as changed")
    (tmp_path / "b.npz").unlink()
    finding = only(doctor.shipped_data(tmp_path))
    assert finding.status == "wrong" and finding.fix
    assert "a.npz is not the file that was shipped" in finding.text
    assert "b.npz is missing" in finding.text


@pytest.mark.parametrize("part", doctor.SHIPPED)
def test_every_shipped_manifest_is_checked(part, tmp_path, monkeypatch):
    monkeypatch.setattr(ogbench, "shipped_data", lambda: tmp_path)
    for name in doctor.SHIPPED:
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "agent.safetensors").write_bytes(b"as shipped")
        add_to_manifest(tmp_path / name, "agent.safetensors", "by hand")
    finding = only(doctor.shipped_data())
    assert finding.status == "ok" and f"{len(doctor.SHIPPED)} files" in finding.text
    (tmp_path / part / "agent.safetensors").write_bytes(b"as ship")
    finding = only(doctor.shipped_data())
    file = tmp_path / part / "agent.safetensors"
    assert finding.status == "wrong" and f"{file} is not the file" in finding.text
    (tmp_path / part / MANIFEST).unlink()
    assert f"no manifest.json in {tmp_path / part}" in only(doctor.shipped_data()).text


def test_the_shipped_manifests_are_all_that_there_are():
    root = ogbench.shipped_data()
    assert {root / name for name in doctor.SHIPPED} == {m.parent for m in root.rglob(MANIFEST)}


def test_a_download_that_was_cut_is_found(tmp_path):
    assert only(doctor.cache(tmp_path / "not there yet")).status == "ok"
    (tmp_path / "scene-play-v0.npz").write_bytes(bytes(2**20))
    assert "1 files (1 MiB)" in only(doctor.cache(tmp_path)).text
    (tmp_path / "cube-single-play-v0.npz.part").write_bytes(b"")
    finding = only(doctor.cache(tmp_path))
    assert finding.status == "warn" and "cube-single-play-v0.npz" in finding.text
