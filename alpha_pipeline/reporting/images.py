"""Figures as text: inline SVG for the page, small PNGs in Markdown for an asset's page. The same figure gives the same bytes."""

from __future__ import annotations

import base64
import io
import re

import matplotlib
from matplotlib.figure import Figure

from alpha_pipeline.errors import InvalidSpec, sentence

_PATH = re.compile(r'( d=")([^"]*)(")')
_DIGITS = re.compile(r"(\.\d{2})\d+")


def figure_svg(fig: Figure, name: str) -> str:
    """The figure as one ``<svg>`` element to put into a page: no XML header, no namespace addresses, text kept as text.

    ``name`` must differ between the figures of a page: it makes their inner identifiers differ, so that one cannot clip another.
    Coordinates are cut to a hundredth of a point.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        fig.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg"):]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', rf'<svg viewBox="\1" role="img" aria-label="{_attribute(name)}">', svg, count=1)
    return _PATH.sub(lambda m: m[1] + _DIGITS.sub(r"\1", " ".join(m[2].split())) + m[3], svg).strip()


def figure_png(fig: Figure, max_kb: int = 100) -> bytes:
    """The figure as a PNG of at most ``max_kb`` kilobytes: the resolution falls from 110 dots an inch until it fits.

    Raises ``InvalidSpec`` when even 40 dots an inch are too many bytes.
    """
    for dpi in (110, 90, 72, 60, 50, 40):
        buffer = io.BytesIO()
        fig.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
        if buffer.tell() <= max_kb * 1024:
            return buffer.getvalue()
    raise InvalidSpec(sentence("picture too large at 40 dots an inch", got=f"{buffer.tell() / 1024:.0f} KB", expected=f"<= {max_kb} KB",
                               next_step="Draw fewer points or allow more bytes."))


def thumbnail_markdown(fig: Figure, alt: str = "", max_kb: int = 96) -> str:
    """Markdown with the picture inline, below 100 KB in PNG bytes: the form an asset's metadata can show.

    Base64 makes it a third longer as text.
    """
    data = base64.b64encode(figure_png(fig, max_kb)).decode("ascii")
    return f"![{alt}](data:image/png;base64,{data})"


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
