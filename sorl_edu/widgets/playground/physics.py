"""MuJoCo's WebAssembly build, which a page with physics has beside it.

It is fetched from the registry that npm is configured for, when a page is built, by exact version
and hash. Nothing of it is in this repository.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from sorl_edu.errors import ConfigError, brief, check
from sorl_edu.files import atomic_write

PACKAGE = "@mujoco/mujoco@3.14.0"
SHA256 = "f845a07ab81303cc6579fec07136818bed21d44a31c1911340f61e06f4d11eee"
"""The hash of the package's archive."""
FILES = ("package/mujoco.js", "package/mujoco.wasm")
TIMEOUT = 300  # seconds


def mujoco_archive() -> bytes:
    """The archive of MuJoCo's build for browsers, by npm, which keeps a copy.

    Raises:
        ConfigError: npm is not installed, or can't fetch it, or what it fetches has another hash.
    """
    npm = shutil.which("npm")
    check(npm is not None, "the physics are fetched with npm, which is not installed")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", PACKAGE, "--silent", "--ignore-scripts", "--prefer-offline"]
        command += ["--fetch-retries=1", "--fetch-timeout=60000"]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT
            )
        except subprocess.TimeoutExpired:
            raise ConfigError(f"npm did not fetch {PACKAGE} in {TIMEOUT} s") from None
        check(done.returncode == 0, f"npm can't fetch {PACKAGE}: {brief(done.stderr)}")
        (file,) = Path(folder).glob("*.tgz")
        content = file.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    check(found == SHA256, f"the archive of {PACKAGE} has the hash {found}, expected {SHA256}")
    return content


def mujoco_script(archive: bytes) -> str:
    """A script that gives a page the module and the WebAssembly of such an archive.

    A module or a WebAssembly file of its own could not be loaded by a page from a disk.
    """
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        module, wasm = (opened.extractfile(name).read() for name in FILES)
    content = {"module": module.decode(), "wasm": base64.b64encode(wasm).decode()}
    return f"globalThis.sorlMuJoCo = {json.dumps(content)};\n"


def write_script(file: str | Path) -> None:
    """Writes `mujoco_script` of `mujoco_archive`, atomically; nothing if it was written before.

    Raises:
        ConfigError: as `mujoco_archive`.
    """
    stamp = f"// {PACKAGE} {SHA256}\n"
    if Path(file).exists():
        with open(file, encoding="utf-8") as opened:
            if opened.readline() == stamp:
                return
    script = stamp + mujoco_script(mujoco_archive())
    with atomic_write(file) as beside:
        beside.write_text(script, encoding="utf-8")
