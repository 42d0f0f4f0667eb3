"""The list of recipes and how one is made from a TOML table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from alpha_pipeline.errors import InvalidSpec, sentence, unknown_name
from alpha_pipeline.sources.files import bar_recipes, recipes, report_recipes, status_recipes
from alpha_pipeline.sources.files.recipes import Recipe
from alpha_pipeline.sources.files.toml_values import record

RECIPES: dict[str, type[Recipe]] = {
    kind.name: kind
    for kind in (
        recipes.Lookup,
        recipes.Constant,
        recipes.SameAs,
        bar_recipes.AmountOverVolume,
        bar_recipes.TypicalPrice,
        bar_recipes.VwapTimesVolume,
        bar_recipes.FromAdjFactor,
        bar_recipes.StatusFromVolume,
        status_recipes.SuspendedFromStatus,
        status_recipes.BoardOfSymbol,
        status_recipes.LimitsFromRules,
        status_recipes.IndustryHistory,
        status_recipes.ListedDays,
        status_recipes.SharesFromMarketValue,
        report_recipes.Ratio,
        report_recipes.FromDebtRatio,
        report_recipes.StatutoryDate,
    )
}


def build_recipe(column: str, raw: Mapping[str, Any], where: str) -> Recipe:
    """The recipe that a TOML table names for ``column``.

    Raises
    ------
    UnknownName
        No such recipe, or a key that it does not have.
    InvalidSpec
        The recipe cannot fill that column, or a key is absent or of the wrong kind.
    """
    name = raw.get("recipe")
    if name not in RECIPES:
        raise unknown_name(f"recipe in {where}:", str(name), sorted(RECIPES))
    kind = RECIPES[name]
    if column not in kind.for_columns:
        able = ", ".join(kind.for_columns)
        raise InvalidSpec(sentence(f"recipe '{name}' cannot fill {column}", where=where, expected=f"one of {able}"))
    return cast(Recipe, record(kind, {key: value for key, value in raw.items() if key != "recipe"}, where))
