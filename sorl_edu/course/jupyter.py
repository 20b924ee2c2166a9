"""A Jupyter server extension: opening and saving an unchanged lesson leaves its files unchanged.

JupyterLab writes the kernel's version of Python into every notebook that it opens. A lesson would
then differ from the repository's, and the next `git pull` would refuse. Installing this package
enables the extension (etc/jupyter/jupyter_server_config.d/sorl_edu.json).
"""

from __future__ import annotations

from typing import Any


def drop_version(*, model: dict[str, Any], **_: Any) -> None:
    """Before a save, removes the version of Python from a notebook that keeps no versions.

    The header of the course's notebooks keeps those of jupytext out of the text.
    """
    if model["type"] == "notebook":
        metadata = model["content"]["metadata"]
        filtered = metadata.get("jupytext", {}).get("notebook_metadata_filter", "")
        if "-jupytext.text_representation" in filtered:
            metadata.get("language_info", {}).pop("version", None)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "sorl_edu.course.jupyter"}]


def _load_jupyter_server_extension(server: Any) -> None:
    server.contents_manager.register_pre_save_hook(drop_version)
