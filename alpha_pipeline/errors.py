"""The exceptions that a user of the pipeline can meet.

Every message is one sentence that says what, where, got, expected, and what to do next; :func:`sentence`
puts it together so that no part is forgotten. Errors of ours (bugs) are plain ``assert``.
"""

from __future__ import annotations


class AlphaPipelineError(Exception):
    """Base of all errors that a user can mend. The command line prints its text without a traceback."""


class BadInput(AlphaPipelineError):
    """Data that break a rule of their table: duplicate key, high below low, wrong dtype, …"""


class MissingData(AlphaPipelineError):
    """Something that was asked for is not in the source or not in the store."""


class CorruptPartition(AlphaPipelineError):
    """Bytes on disk do not match their manifest."""


class Misaligned(AlphaPipelineError):
    """Two arrays or tables whose axes should be equal are not."""


class UnknownName(AlphaPipelineError):
    """A name (experiment, model, field, constraint, market, …) that is not registered."""


class InvalidSpec(AlphaPipelineError):
    """A setting that contradicts another or lies outside its range."""


class ManifestMismatch(AlphaPipelineError):
    """A checkpoint that belongs to another spec, data version or period."""


class NotEnoughData(AlphaPipelineError):
    """Too few dates or stocks for what was asked."""


class Infeasible(AlphaPipelineError):
    """An optimisation that no relaxation allowed by its settings can solve."""


def sentence(what: str, *, where: str = "", got: object = None, expected: object = None, next_step: str = "") -> str:
    """One message in the house form.

    >>> sentence("high below low", where="daily_bars 2024-01-05 600519.SH", got=9.5, expected=">= 10.0",
    ...          next_step="Correct the row at the source and ingest the date again.")
    'daily_bars 2024-01-05 600519.SH: high below low (got 9.5, expected >= 10.0). Correct the row at the source and ingest the date again.'
    """
    text = f"{where}: {what}" if where else what
    facts = []
    if got is not None:
        facts.append(f"got {got}")
    if expected is not None:
        facts.append(f"expected {expected}")
    if facts:
        text += f" ({', '.join(facts)})"
    text += "."
    return f"{text} {next_step}" if next_step else text


def unknown_name(kind: str, name: str, known: list[str] | tuple[str, ...]) -> UnknownName:
    """An :class:`UnknownName` that lists what is known and suggests the nearest."""
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), n=1)
    hint = f"Did you mean '{near[0]}'?" if near else ""
    return UnknownName(sentence(f"unknown {kind} '{name}'", expected=f"one of {', '.join(known)}", next_step=hint).rstrip())
