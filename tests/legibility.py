"""Whether people can read a figure: contrast of its text, colours that all eyes tell apart, words.

    assert not too_faint(figure)             # WCAG 2.2, 1.4.3
    assert not alike(figure)                 # under deuteranopia
    assert not without_words(figure.alt)     # WCAG 2.2, 1.1.1

READ, run in a notebook's kernel, asserts all three of every figure that the notebook has shown.
"""

import gc
import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from helpers import pixels
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from sorl_edu.plotting import DescribedFigure

LEAST, LEAST_OF_LARGE = 4.5, 3.0
LARGE, LARGE_BOLD = 18, 14  # points
LEAST_DISTANCE = 20  # in CIELAB: orange and vermilion have 13, matplotlib's red and green 7
LEAST_WORDS = 8

# Linear RGB as a person without the middle cones sees it: Machado, Oliveira and Fernandes, A
# physiologically-based model for simulation of color vision deficiency, 2009, severity 1.
DEUTERANOPIA = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)
# CSS hue-rotate(180deg), which a dark theme applies after invert(0.9): Filter Effects, level 1.
HUE_ROTATED = np.array([[-0.574, 1.430, 0.144], [0.426, 0.430, 0.144], [0.426, 1.430, -0.856]])
XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
WHITE = XYZ.sum(1)


def linear(srgb: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] without its gamma."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def in_the_dark(srgb: np.ndarray) -> np.ndarray:
    """Colours as a dark theme shows those of a picture."""
    inverted = 0.9 * (1 - srgb) + 0.1 * srgb
    return np.clip(inverted @ HUE_ROTATED.T, 0, 1)


def contrast(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """WCAG's contrast ratio of sRGB colours, from 1 to 21."""
    luminance = [linear(color) @ XYZ[1] + 0.05 for color in (one, other)]
    return np.maximum(*luminance) / np.minimum(*luminance)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB of linear RGB."""
    xyz = XYZ @ rgb / WHITE
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


def deutan_distance(one: str, other: str) -> float:
    """How far apart two colours are for a person with deuteranopia, in CIELAB."""
    seen = [
        lab(np.clip(DEUTERANOPIA @ linear(np.array(to_rgba(color)[:3])), 0, 1))
        for color in (one, other)
    ]
    return float(np.linalg.norm(seen[0] - seen[1]))


def texts_of(figure: Figure) -> list[Text]:
    """The visible texts, ticks' and legends' among them."""
    figure.draw_without_rendering()  # matplotlib creates ticks only when it draws them
    frame = figure.bbox
    return [
        text
        for text in figure.findobj(Text)
        if text.get_visible()
        and text.get_text().strip()
        and text.get_window_extent().overlaps(frame)
    ]


def too_faint(figure: Figure, *, inverted: bool = True) -> list[str]:
    """The texts that can't be read: each with its least contrast.

    A text is compared with what is drawn behind it; a twentieth of those pixels may be worse.

    Args:
        figure: a figure with a background of its own.
        inverted: also as a dark theme shows it, unless it has photographs.
    """
    themes = (np.asarray, in_the_dark) if inverted else (np.asarray,)
    texts = texts_of(figure)
    colors = [np.array(to_rgba(text.get_color(), text.get_alpha())) for text in texts]
    before = [text.get_color() for text in texts]
    for text in texts:
        text.set_color("none")
    behind = pixels(figure)[..., :3] / 255
    for text, color in zip(texts, before, strict=True):
        text.set_color(color)
    height, width, _ = behind.shape
    found = []
    for text, color in zip(texts, colors, strict=True):
        box = text.get_window_extent()
        x0, x1 = np.clip([int(box.x0), int(box.x1) + 1], 0, width)
        y0, y1 = np.clip([int(box.y0), int(box.y1) + 1], 0, height)
        area = behind[height - y1 : height - y0, x0:x1].reshape(-1, 3)
        if not len(area):
            continue
        ink = color[3] * color[:3] + (1 - color[3]) * area
        least = min(np.quantile(contrast(theme(ink), theme(area)), 0.05) for theme in themes)
        bold = text.get_weight() in ("bold", "semibold", "heavy") or text.get_weight() == 700
        large = text.get_fontsize() >= (LARGE_BOLD if bold else LARGE)
        if least < (LEAST_OF_LARGE if large else LEAST):
            found.append(f"{text.get_text()!r}: {least:.1f}")
    return found


def look_of(handle) -> tuple | None:
    """Everything that a legend's entry looks like but its colour, and its colour."""
    if isinstance(handle, matplotlib.container.ErrorbarContainer):
        handle = handle[0]
    if isinstance(handle, Line2D):
        marked = handle.get_marker() not in ("None", None, "")
        line = handle.get_linestyle() not in ("None", "")
        dashes = handle._dash_pattern if line else None
        ring = to_hex(handle.get_markerfacecolor()) == "#ffffff" if marked else None
        return ("line", str(handle.get_marker()), str(dashes), ring), handle.get_color()
    if isinstance(handle, matplotlib.collections.Collection):
        colors = [*handle.get_facecolor(), *handle.get_edgecolor()]
        return (type(handle).__name__,), to_hex(colors[0]) if colors else None
    if isinstance(handle, matplotlib.patches.Patch):
        return ("patch", handle.get_hatch()), to_hex(handle.get_facecolor())
    return None


def alike(figure: Figure) -> list[str]:
    """The pairs of entries of one legend that a person with deuteranopia can't tell apart."""
    found = []
    legends = [*figure.findobj(matplotlib.legend.Legend)]
    for legend in legends:
        names = [text.get_text() for text in legend.get_texts()]
        looks = [look_of(handle) for handle in legend.legend_handles]
        entries = [entry for entry in zip(names, looks, strict=True) if entry[1] is not None]
        for (name, (look, color)), (other, (other_look, other_color)) in itertools.combinations(
            entries, 2
        ):
            if look == other_look and deutan_distance(color, other_color) < LEAST_DISTANCE:
                found.append(f"{name!r} ({color}) and {other!r} ({other_color})")
    return found


def without_words(alt: str) -> str:
    """Why an alternative text is of no use; "" if it may be of use."""
    words = re.findall(r"[A-Za-z]{2,}", alt)
    if len(words) < LEAST_WORDS:
        return f"only {len(words)} words: {alt!r}"
    if re.match(r"(?i)^(figure|image|picture|plot|chart)\b", alt):
        return f"says that it is a picture: {alt!r}"
    if "$" in alt:
        return f"has the marks of TeX: {alt!r}"
    if "nan" in alt.lower().split() or "None" in alt:
        return f"says nan or None: {alt!r}"
    return ""


READ = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import legibility
legibility.read_all()
"""


def read_all() -> None:
    """Raises AssertionError unless people can read every figure that is alive."""
    found = {}
    for figure in gc.get_objects():
        if type(figure) is not DescribedFigure:
            continue
        wrong = [without_words(figure.alt), *too_faint(figure), *alike(figure)]
        if any(wrong):
            found[figure.alt[:60]] = [fault for fault in wrong if fault]
    assert not found, found


def pictures_without_words(cells: Sequence[dict]) -> list[str]:
    """The pictures among a notebook's outputs that no alternative text describes."""
    found = []
    for number, cell in enumerate(cells):
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            page = "".join(data.get("text/html", ""))
            for image in re.findall(r"<img\b[^>]*>", page):
                alt = re.search(r'alt="([^"]*)"', image)
                if why := without_words(alt[1] if alt else ""):
                    found.append(f"cell {number}: {why}")
            for film in re.findall(r"<video\b[^>]*>", page):
                label = re.search(r'aria-label="([^"]*)"', film)
                if why := without_words(label[1] if label else ""):
                    found.append(f"cell {number}: {why}")
            if any(kind.startswith("image/") for kind in data) and "<img" not in page:
                found.append(f"cell {number}: a picture without HTML: {cell['source'][:60]!r}")
    return found
