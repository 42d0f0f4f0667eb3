"""The page of characteristics, from the registry: ``python -m alpha_pipeline.features.characteristics.table > docs/characteristics.md``."""

from __future__ import annotations

from alpha_pipeline.features.characteristics.panels import CHARACTERISTIC_PANELS, absent_fields, lacks
from alpha_pipeline.features.characteristics.registry import CHARACTERISTICS, Characteristic
from alpha_pipeline.features.tensors import CLIP, TENSORS

_FAMILIES = {"price_volume": "Price and volume", "order_flow": "Order flow"}
_MINUTES = (1, 3, 5, 10, 15, 30)

_HEAD = f"""# Intraday characteristics

Written by `python -m alpha_pipeline.features.characteristics.table > docs/characteristics.md`; a test keeps it in step.

Each characteristic is a function of one stock's bars of a day, or of a step of the day, at whatever length the source has
(`alpha_pipeline/features/characteristics/`). r is a bar's log return; the day's first bar starts from the open, every other from the close
before it.
A day at one price or without volume gives no value (NaN) where a formula has nothing to divide by; nothing is put in its place. A characteristic
that needs more bars than there are is absent: NaN for every stock, and the step that builds the panel says which.

A tensor of characteristics is (x − mean) / std of each series over the window's values that are there, then the z-score over the stocks of a date per
step and field, clipped to ±{CLIP:g}. A value that is missing (a suspended day, an undefined or absent characteristic, a series without
spread) counts in neither and ends as 0. A stock without any value on more than a fifth of the window's days is left out.
"""


def markdown_page() -> str:
    """The page: panels and tensors, bar lengths, and one table of characteristics per family."""
    return "\n".join([_HEAD, *_panels(), "", *_lengths(), *(line for family, title in _FAMILIES.items() for line in _family(family, title))]) + "\n"


def _panels() -> list[str]:
    lines = ["| panel and tensor | steps a day | days in the tensor | fields |", "|---|---|---|---|"]
    for name, panel in CHARACTERISTIC_PANELS.items():
        lines.append(f"| `{name}` | {panel.steps} | {TENSORS[name].n_days} | {len(panel.fields)} |")
    return lines


def _lengths() -> list[str]:
    """What each panel is at each bar length."""
    lines = ["What a market of a bar length has of them (with order-flow columns):", "",
             "| panel | " + " | ".join(f"{m} min" for m in _MINUTES) + " |", "|---" * (len(_MINUTES) + 1) + "|"]
    for name, panel in CHARACTERISTIC_PANELS.items():
        cells = []
        for minutes in _MINUTES:
            if lacks(panel, ("intraday_bars",), minutes, {}):
                cells.append("lacks it")
            else:
                gone = absent_fields(panel, minutes)
                cells.append("all but " + ", ".join(gone) if gone else "all")
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _family(family: str, title: str) -> list[str]:
    lines = [f"## {title}", "", "| name | what it is | at least | in |", "|---|---|---|---|"]
    lines += [_row(c) for c in CHARACTERISTICS.values() if c.family == family]
    return [*lines, ""] if family != list(_FAMILIES)[-1] else lines


def _row(c: Characteristic) -> str:
    panels = ", ".join(f"`{name}`" for name, panel in CHARACTERISTIC_PANELS.items() if c.name in panel.fields)
    where = "" if c.part == "row" else " in a half hour"
    doc = c.doc.replace("|", "\\|")
    return f"| `{c.name}` | {doc} | {c.min_bars} bar{'s' if c.min_bars > 1 else ''}{where} | {panels} |"


if __name__ == "__main__":
    print(markdown_page(), end="")
