"""The settings of JAX under which tests run.

Most programs of a test are small and run once, so that they take most of their time to compile: XLA
then optimizes nothing, and makes no fused loops. What trains for longer is faster without, and what
is measured has the settings that users have. What one process has compiled, all others read.
"""

import os
from pathlib import Path

COMPILED = Path(__file__).resolve().parents[1] / ".pytest_cache" / "jax"
CACHE = "JAX_COMPILATION_CACHE_DIR"

SHARED = {
    CACHE: os.environ.get(CACHE, str(COMPILED)),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
QUICK = {
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false".strip(),
}


def as_users_have_it() -> dict[str, str]:
    """The environment of a program that trains for longer, as a lesson's kernel does."""
    return {name: value for name, value in os.environ.items() if name not in QUICK}
