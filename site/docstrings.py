"""What the docstrings and annotations are in the API reference."""

import re
import textwrap

LITERAL = re.compile(r"(``.*?``|`[^`]+`)")
ARXIV = re.compile(r"\barXiv (\d{4}\.\d{5})")
SPECIAL = re.compile(r"([*|]|(?<=\w)_(?=\W|$))")  # what docutils takes for markup
KEY = re.compile(r"~jaxtyping\.Key\[Array, ''\](?: \| ~jaxtyping\.UInt32\[Array, '\d'\])+")


def as_restructured_text(app, what, name, thing, options, lines: list[str]) -> None:
    """Changes the lines of a docstring in place, as autodoc wants it.

    An indented block after an empty line is code or a table, and stays as it is. In all other lines
    docutils finds no markup but names in backquotes, and papers are links.
    """
    if what == "module":
        lines[:] = _paragraphs_of_code_indented(thing.__doc__ or "")
    changed, block = [], None
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if block is not None and line.strip() and indent < block:
            block = None
        if block is None and line.strip() and _begins_block(lines, number):
            block = indent
            changed += [" " * _indent_before(lines, number) + "::", ""]
        changed.append(line if block is not None else _prose(line))
    lines[:] = changed


def _paragraphs_of_code_indented(text: str) -> list[str]:
    """The lines of a module's docstring, where a paragraph that has indented lines is code.

    autodoc has taken the indentation of all lines but the first away, as ruff's formatter does.
    """
    paragraphs = text.split("\n\n")
    for i, paragraph in enumerate(paragraphs):
        first, *rest = paragraph.split("\n")
        if not first.startswith(" ") and any(line.startswith(" ") for line in rest):
            paragraphs[i] = textwrap.indent(paragraph, "    ")
    return [*"\n\n".join(paragraphs).split("\n"), ""]


def short_types(app, what, name, thing, options, signature: str | None, returned: str | None):
    """Names arrays and keys in a signature as the source does."""
    return _short(signature), _short(returned)


def _short(types: str | None) -> str | None:
    return types and KEY.sub("~jaxtyping.PRNGKeyArray", types.replace("jaxlib._jax.", ""))


def _begins_block(lines: list[str], number: int) -> bool:
    """Whether a line follows an empty one, and is indented more than the text before that."""
    indent = len(lines[number]) - len(lines[number].lstrip())
    return number > 0 and not lines[number - 1].strip() and indent > _indent_before(lines, number)


def _indent_before(lines: list[str], number: int) -> int:
    """The indentation of the last line before this one that has text; 0 without one."""
    before = next((line for line in reversed(lines[:number]) if line.strip()), "")
    return len(before) - len(before.lstrip())


def _prose(line: str) -> str:
    parts = LITERAL.split(line)
    for i in range(0, len(parts), 2):  # outside of backquotes
        parts[i] = ARXIV.sub(
            r"`\g<0> <https://arxiv.org/abs/\1>`__", SPECIAL.sub(r"\\\1", parts[i])
        )
    return "".join(parts)
