"""What all pictures in files share: colours, fonts that hold the labels, and how a figure is written.

Matplotlib is imported when a picture is made, and its global state is left alone: figures are made without pyplot.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from katamuki import messages
from katamuki.errors import spoken
from katamuki.report.layout import wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DATA, CURVE, BAND, QUIET = "#1f2a44", "#c8442f", "#e8a598", "#6b7280"
WIDE_FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans JP",
    "IPAexGothic",
    "IPAGothic",
    "TakaoGothic",
    "Yu Gothic",
    "Hiragino Sans",
)
LINE = 78  # cells of a line above a picture


def plain(axes: Axes) -> None:
    """No frame above and to the right, small tick labels."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)


def heading(*lines: str) -> str:
    """Lines above a picture, broken where they are too long."""
    return "\n".join(part for line in lines if line for part in wrapped(line, LINE))


def is_wide(text: str) -> bool:
    """Whether a text holds East Asian characters, which matplotlib's own font lacks."""
    return any(ord(one) >= 0x2E80 for one in text)


def wide_fonts() -> list[str]:
    """The installed fonts that hold such characters."""
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    return [name for name in WIDE_FONTS if name in installed]


def language(lang: str) -> str:
    """The language that labels are drawn in: English, and a warning, where no installed font has its characters."""
    spoken(lang)
    if not is_wide(messages.sentence("plot.data", lang)) or wide_fonts():
        return lang
    warnings.warn(messages.sentence("plot.no_font.labels", lang), UserWarning, stacklevel=3)
    return "en"


def fonts(text: str) -> Any:
    """Fonts that hold the text: for East Asian characters the first such font that is installed."""
    import matplotlib

    if not is_wide(text):
        return matplotlib.rc_context()
    # By name: a family such as "sans-serif" would be looked up again when the figure is drawn, outside this context.
    return matplotlib.rc_context({"font.family": ["DejaVu Sans", *wide_fonts()]})


def write(drawn: Figure, path: str | Path, text: str = "", lang: str = "en") -> None:
    """Write a figure into a file; its suffix says the kind, and the same figure makes the same bytes.

    Parameters
    ----------
    drawn : matplotlib.figure.Figure
        A figure of this package.
    path : str or path
        Such as ``fit.svg`` or ``fit.png``.
    text : str
        The names that the figure shows: if no installed font has their characters, a warning says so.
    lang : str
        The language of that warning.
    """
    import matplotlib

    kind = Path(path).suffix.lower().lstrip(".")
    # no date, and identifiers that do not change
    date = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    settings: Any = {"svg.hashsalt": "katamuki", "svg.fonttype": "none"}
    with warnings.catch_warnings(), matplotlib.rc_context(settings):
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # said better below
        drawn.savefig(path, dpi=150, metadata=date)
    if kind != "svg" and is_wide(text) and not wide_fonts():  # an SVG holds text; its reader has fonts
        warnings.warn(messages.sentence("plot.no_font", lang), UserWarning, stacklevel=3)
