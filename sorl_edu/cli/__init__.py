"""The command line: `sorl-edu train | evaluate | sweep | benchmark | collect | ...`.

A command is a frozen dataclass (`command.Command`). JAX and MuJoCo take seconds to import, so a
command imports what it needs when it runs.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from typing import NoReturn

import tyro

from sorl_edu import programs
from sorl_edu.cli.agents import Benchmark, Evaluate, Playground, Sweep, Train, Video
from sorl_edu.cli.command import Command
from sorl_edu.cli.course import Build, Course, Grade, Gradescope, Image, Leaderboard
from sorl_edu.cli.data import Collect
from sorl_edu.cli.doctor import Doctor
from sorl_edu.cli.finetune import Finetune
from sorl_edu.errors import UnknownName

HELP = """\
usage: sorl-edu COMMAND ...

Offline reinforcement learning with shortcut models (SORL) on OGBench.

  sorl-edu collect    collect a PointMaze, cube or scene dataset on this machine
  sorl-edu train      train an agent, several seeds at once
  sorl-edu finetune   go on training an agent in its environment
  sorl-edu evaluate   run a trained agent in its environment
  sorl-edu sweep      evaluate a grid of inference steps x N, over training seeds
  sorl-edu video      film two settings of an agent side by side
  sorl-edu playground write a page on which an agent's networks run: drag a state, move m and N
  sorl-edu benchmark  train and evaluate on a suite, beside the published results
  sorl-edu course     write, check and execute the notebooks; `course build` writes versions to hand
                      out, `course grade` grades one submission or a folder of them (`course image`
                      and `course gradescope` for other machines), `course leaderboard` ranks them
                      (in a checkout of the repository)
  sorl-edu doctor     find what is wrong with this installation, and its remedy

sorl-edu COMMAND --help lists a command's flags and gives examples."""

COMMANDS: dict[str, type[Command]] = {
    "train": Train,
    "finetune": Finetune,
    "evaluate": Evaluate,
    "sweep": Sweep,
    "video": Video,
    "playground": Playground,
    "benchmark": Benchmark,
    "collect": Collect,
    "course": Course,
    "course build": Build,
    "course grade": Grade,
    "course gradescope": Gradescope,
    "course image": Image,
    "course leaderboard": Leaderboard,
    "doctor": Doctor,
}


def program() -> NoReturn:
    """The program `sorl-edu`."""
    programs.run(main)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code; messages for people are on stderr."""
    return programs.exit_code(lambda: parse(sys.argv[1:] if argv is None else argv).run())


def parse(argv: Sequence[str]) -> Command:
    """The command of a command line, ready to `run`.

    Raises:
        SystemExit: for --help (code 0), and for what tyro refuses (code 2).
        ConfigError: an unknown command, preset or dataset, or an impossible hyper-parameter.
    """
    argv = list(argv)
    if not argv or argv[0] in ("-h", "--help"):
        print(HELP, file=sys.stdout if argv else sys.stderr)
        raise SystemExit(0 if argv else 2)
    words = 2 if " ".join(argv[:2]) in COMMANDS else 1
    name, rest = " ".join(argv[:words]), argv[words:]
    if name not in COMMANDS:
        raise UnknownName("command", name, COMMANDS)
    command, about_flags = COMMANDS[name].with_all_flags(rest)
    about = inspect.cleandoc(COMMANDS[name].__doc__)
    description = "\n\n".join(filter(None, [about, about_flags, f"Examples:{command.examples}"]))
    return tyro.cli(command, prog=f"sorl-edu {name}", description=description, args=rest)
