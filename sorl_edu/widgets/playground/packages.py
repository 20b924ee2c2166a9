"""Packages of others that a page has beside it: MuJoCo's WebAssembly build, and three.js.

They are fetched from the registry that npm is configured for, when a page is built, by exact
version and hash. Nothing of them is in this repository.
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
from dataclasses import dataclass
from pathlib import Path

from sorl_edu.errors import ConfigError, brief, check
from sorl_edu.files import atomic_write

TIMEOUT = 300  # seconds


@dataclass(frozen=True)
class Package:
    """A package of npm's registry."""

    name: str
    version: str
    sha256: str
    """The hash of its archive."""
    files: tuple[str, ...]
    """Its files that a page needs."""
    script: str
    """The name of the script that has them, beside the page."""

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


MUJOCO = Package(
    name="@mujoco/mujoco",
    version="3.14.0",
    sha256="f845a07ab81303cc6579fec07136818bed21d44a31c1911340f61e06f4d11eee",
    files=("mujoco.js", "mujoco.wasm"),
    script="mujoco.js",
)
THREE = Package(
    name="three",
    version="0.187.0",
    sha256="ff540832ded0cfe919764d24a3d88f3e2a05f23303f876423e4f893841e90728",
    files=(
        "build/three.core.js",
        "build/three.module.js",
        "examples/jsm/controls/OrbitControls.js",
    ),
    script="three.js",
)


def archive(package: Package) -> bytes:
    """The archive of a package, by npm, which keeps a copy.

    Raises:
        ConfigError: npm is not installed, or can't fetch it, or what it fetches has another hash.
    """
    npm = shutil.which("npm")
    check(npm is not None, f"{package} is fetched with npm, which is not installed")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", str(package), "--silent", "--ignore-scripts", "--prefer-offline"]
        command += ["--fetch-retries=1", "--fetch-timeout=60000"]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT
            )
        except subprocess.TimeoutExpired:
            raise ConfigError(f"npm did not fetch {package} in {TIMEOUT} s") from None
        check(done.returncode == 0, f"npm can't fetch {package}: {brief(done.stderr)}")
        (file,) = Path(folder).glob("*.tgz")
        content = file.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    check(
        found == package.sha256,
        f"the archive of {package} has the hash {found}, expected {package.sha256}",
    )
    return content


def script(package: Package, content: bytes) -> str:
    """A script that gives a page the files of a package's archive, WebAssembly as base64.

    A module or a WebAssembly file of its own could not be loaded by a page from a disk.
    """
    files = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as opened:
        for name in package.files:
            data = opened.extractfile(f"package/{name}").read()
            is_text = name.endswith(".js")
            files[Path(name).name] = data.decode() if is_text else base64.b64encode(data).decode()
    packages = "globalThis.sorlPackages ??= {};\n"
    return f"{packages}sorlPackages[{json.dumps(package.name)}] = {json.dumps(files)};\n"


def write_script(package: Package, folder: str | Path) -> None:
    """Writes a package's `script` into a folder, atomically; nothing if it was written before.

    Raises:
        ConfigError: as `archive`.
    """
    file = Path(folder) / package.script
    stamp = f"// {package} {package.sha256}\n"
    if file.exists():
        with file.open(encoding="utf-8") as opened:
            if opened.readline() == stamp:
                return
    text = stamp + script(package, archive(package))
    with atomic_write(file) as beside:
        beside.write_text(text, encoding="utf-8")
