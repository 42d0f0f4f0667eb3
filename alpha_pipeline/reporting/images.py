"""Figures as text: inline SVG for the page, small PNGs in Markdown for an asset's page. The same figure gives the same bytes.

All three take a figure, or axes and mean the figure they are on, since the plot functions return axes.
"""

from __future__ import annotations

import base64
import io
import re

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alpha_pipeline.errors import InvalidSpec, sentence

_PATH = re.compile(r'( d=")([^"]*)(")')
_DIGITS = re.compile(r"(\.\d{2})\d+")


def figure_svg(fig: Figure | Axes, name: str) -> str:
    """The figure as one ``<svg>`` element to put into a page: no XML header, no namespace addresses, text kept as text.

    ``name`` must differ between the figures of a page: it makes their inner identifiers differ, so that one cannot clip another.
    Coordinates are cut to a hundredth of a point.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        _figure(fig).savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', rf'<svg viewBox="\1" role="img" aria-label="{_attribute(name)}">', svg, count=1
    )
    svg = _PATH.sub(lambda m: m[1] + _DIGITS.sub(r"\1", " ".join(m[2].split())) + m[3], svg)
    # Names of groups (figure_1, axes_1, …) repeat from figure to figure; only what is referred to keeps its identifier.
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    return re.sub(r' id="([^"]*)"', lambda m: m[0] if m[1] in used else "", svg).strip()


def figure_png(fig: Figure | Axes, max_kb: int = 100) -> bytes:
    """The figure as a PNG of at most ``max_kb`` kilobytes: the resolution falls from 110 dots an inch until it fits.

    Raises ``InvalidSpec`` when even 40 dots an inch are too many bytes.
    """
    for dpi in (110, 90, 72, 60, 50, 40):
        buffer = io.BytesIO()
        _figure(fig).savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
        if buffer.tell() <= max_kb * 1024:
            return buffer.getvalue()
    raise InvalidSpec(
        sentence(
            "picture too large at 40 dots an inch",
            got=f"{buffer.tell() / 1024:.0f} KB",
            expected=f"<= {max_kb} KB",
            next_step="Draw fewer points or allow more bytes.",
        )
    )


def thumbnail_markdown(fig: Figure | Axes, alt: str = "", max_kb: int = 72) -> str:
    """Markdown with the picture inline, the whole text below 100 KB: the form an asset's metadata can show.

    Base64 makes the PNG a third longer, hence the default of 72 KB.
    """
    data = base64.b64encode(figure_png(fig, max_kb)).decode("ascii")
    return f"![{alt}](data:image/png;base64,{data})"


def _figure(drawn: Figure | Axes) -> Figure:
    figure = drawn.get_figure() if isinstance(drawn, Axes) else drawn
    assert isinstance(figure, Figure), "axes must lie on a figure of their own, not in a subfigure"
    return figure


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
