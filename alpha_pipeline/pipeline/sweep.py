"""A sweep: the same model with one setting at several values, each trained and scored as a model of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from alpha_pipeline.digest import combine
from alpha_pipeline.errors import BadInput, InvalidSpec, sentence, unknown_name
from alpha_pipeline.experiment import ExperimentSpec, ModelSpec, replace_field
from alpha_pipeline.factors.ic import rank_ic
from alpha_pipeline.features.labels import by_formation
from alpha_pipeline.pipeline.samples import network_config
from alpha_pipeline.pipeline.training import load, scores_table
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.store import Manifest

if TYPE_CHECKING:
    from alpha_pipeline.training.checkpoint import Checkpoint


def sweep_name(model: str, dotted: str) -> str:
    """Name of the bundle that holds a sweep's table."""
    return f"sweeps/{model}/{dotted}"


def sweep_variants(spec: ExperimentSpec, model: str, dotted: str, values: Sequence[str]) -> tuple[ExperimentSpec, dict[str, ModelSpec]]:
    """The experiment with the variants of ``model`` as its only models and nothing else, and the variants by value as it was written.

    Raises :class:`UnknownName` for a model or field that does not exist, :class:`BadInput` for a text that is no value of the field,
    :class:`InvalidSpec` for values that the field or the network refuses.
    """
    base = next((m for m in spec.models if m.name == model), None)
    if base is None:
        raise unknown_name("model", model, [m.name for m in spec.models])
    variants: dict[str, ModelSpec] = {}
    for text in values:
        changed = replace_field(base, dotted, parse_value(current_value(base, dotted), text, dotted))
        variants[text] = replace(changed, name=f"{base.name}_{_clean(dotted.rsplit('.', 1)[-1])}_{_clean(text)}")
        network_config(variants[text])
    if len({variant.name for variant in variants.values()}) != len(values):
        raise InvalidSpec(sentence("two values look alike", where=f"sweep of {dotted}", got=", ".join(values), next_step="Give each value once."))
    return replace(spec, models=tuple(variants.values()), signals=(), comparisons=(), portfolios=(), combinations=(), studies=()).validate(), variants


def current_value(spec: ModelSpec, dotted: str) -> Any:
    """The value of a model's setting; of ``settings.<name>`` that of the network's configuration, given or default."""
    name, _, rest = dotted.partition(".")
    if name == "settings" and rest:
        config = network_config(spec)
        known = [f.name for f in fields(config)]
        if rest not in known:
            raise unknown_name(f"setting of network '{spec.network}'", rest, known)
        return getattr(config, rest)
    value: Any = spec
    for part in dotted.split("."):
        if not hasattr(value, part):
            break  # replace_field says what exists
        value = getattr(value, part)
    return value


def parse_value(current: Any, text: str, dotted: str) -> Any:
    """``text`` as a value of the kind that the setting has now; ``none`` is None, and a list is written ``a+b``.

    >>> parse_value(1e-3, "3e-4", "lr"), parse_value((0, 1), "0+1+2", "seeds"), parse_value(1.0, "none", "grad_clip")
    (0.0003, (0, 1, 2), None)
    """
    if text.lower() == "none":
        return None
    if isinstance(current, tuple):
        return tuple(parse_value(current[0] if current else "", part, dotted) for part in text.split("+") if part)
    if isinstance(current, bool):
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise BadInput(sentence(f"'{text}' is no value of {dotted}", expected="true or false"))
    kinds: tuple[type, ...] = (int, float) if current is None else (type(current),) if isinstance(current, int | float) else ()
    for kind in kinds:
        try:
            return kind(text)
        except ValueError:
            continue
    if kinds:
        raise BadInput(sentence(f"'{text}' is no value of {dotted}", expected=f"a number such as {current if current is not None else 1}"))
    return text


def sweep_table(work: Workspace, variants: dict[str, ModelSpec], periods: Sequence[str]) -> pd.DataFrame:
    """One row per value and period: value, period, best validation IC and RankIC (last stage, mean over seeds), epochs and seconds of all seeds,
    parameters, and the RankIC on the period's scored dates whose labels are known (NaN if there are none), with their number."""
    rows = []
    for value, spec in variants.items():
        for period in periods:
            checkpoint = load(work, spec, period)
            out_of_sample = out_of_sample_rank_ic(work, spec, period)
            best = [_best_row(checkpoint, at) for at in range(len(checkpoint.manifest.seeds))]
            rows.append({
                "value": value, "period": period, "valid_ic": _mean([row.valid_ic for row in best]),
                "valid_rank_ic": _mean([row.valid_rank_ic for row in best]),
                "epochs": sum(len(history) for history in checkpoint.histories),
                "seconds": sum(row.seconds for history in checkpoint.histories for row in history),
                "parameters": sum(int(tensor.numel()) for name, tensor in checkpoint.weights[0].items() if _is_parameter(name)),
                "test_rank_ic": float(np.nanmean(out_of_sample)) if np.isfinite(out_of_sample).any() else float("nan"),
                "test_dates": int(np.isfinite(out_of_sample).sum()), "model": spec.name,
            })
    return pd.DataFrame(rows)


def out_of_sample_rank_ic(work: Workspace, spec: ModelSpec, period: str) -> np.ndarray:
    """RankIC of the stored scores of a period against the model's own label, one per date whose label the label panel knows."""
    panels = work.panels
    label = panels.label(spec.label.name)
    keys = [key for key in work.store.keys(scores_table(spec.name)) if spec.walk.period_of(key).name == period]
    formed = by_formation(label.field("return"), spec.label)
    scores = np.full((len(keys), len(panels.axis)), np.nan)
    for row, key in enumerate(keys):
        frame = work.store.read(scores_table(spec.name), key, ["symbol", "score"])
        scores[row, panels.axis.known_columns(frame["symbol"].tolist())] = frame["score"]
    return rank_ic(scores, formed[[label.index(key) for key in keys]]) if keys else np.array([])


def save_sweep(work: Workspace, model: str, dotted: str, table: pd.DataFrame) -> Manifest:
    """The table as a bundle: parquet, CSV and Markdown."""
    lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(formatted(value) for value in row) + " |" for row in table.itertuples(index=False)]
    files = {"table.csv": table.to_csv(index=False).encode(), "table.md": ("\n".join(lines) + "\n").encode()}
    return work.store.write_bundle(sweep_name(model, dotted), {"table": table}, source=combine(table["model"].tolist()), files=files)


def formatted(value: Any) -> str:
    """A cell for people."""
    return (f"{value:.4f}" if abs(value) < 1 else f"{value:,.1f}") if isinstance(value, float) else str(value)


def _best_row(checkpoint: Checkpoint, member: int) -> Any:
    """The epoch of a member's last stage whose weights were kept."""
    seed = str(checkpoint.manifest.seeds[member])
    stage = checkpoint.histories[member][-1].stage
    best = checkpoint.manifest.best_epochs[seed][stage]
    return next(row for row in checkpoint.histories[member] if row.stage == stage and row.epoch == best)


def _is_parameter(name: str) -> bool:
    return not name.endswith(("running_mean", "running_var", "num_batches_tracked"))


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")


def _clean(text: str) -> str:
    """Letters, digits and underscores: what names of assets consist of."""
    return re.sub(r"[^0-9A-Za-z]+", "_", text.replace("-", "m")).strip("_")
