"""Group ``studies``: further tables and pictures of an experiment, each a section of its report."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from alpha_pipeline.assets.common import OWNERS, DateRange, frame_table, running
from alpha_pipeline.experiment import ExperimentSpec, StudySpec
from alpha_pipeline.pipeline.studies import study_kind
from alpha_pipeline.pipeline.studies.study import run_study, study_name, study_section
from alpha_pipeline.pipeline.workspace import CODE_VERSION
from alpha_pipeline.reporting.exhibits import Exhibit, TableExhibit
from alpha_pipeline.resources.market import MarketResource

_MAX_SHOWN = 8  # exhibits on the asset's page; the report has all


def study_asset(experiment: ExperimentSpec, spec: StudySpec) -> dg.AssetsDefinition:
    """One study of an experiment."""
    kind = study_kind(spec.kind)
    *prefix, name = study_name(experiment.name, spec.name).split("/")

    @dg.asset(name=name, key_prefix=prefix, group_name="studies", owners=OWNERS, kinds={"pandas"}, code_version=CODE_VERSION,
              deps=[dg.AssetDep(dg.AssetKey(key.split("/")), partition_mapping=dg.AllPartitionMapping()) for key in kind.needs(experiment, spec)],
              description=f"{kind.title}, for {experiment.title}.")
    def study(context: dg.AssetExecutionContext, config: DateRange, market: MarketResource) -> dg.MaterializeResult:
        with running(context):
            work = market.workspace()
            manifest = run_study(work, kind, experiment, spec, config.start, config.end)
            shown = study_section(work, kind, experiment, spec, None).exhibits
            return dg.MaterializeResult(data_version=dg.DataVersion(manifest.content), metadata={
                "range": f"{manifest.meta['start']} … {manifest.meta['end']}", **_metadata([e for e in shown if not e.is_empty][:_MAX_SHOWN])})

    return study


def _metadata(exhibits: Sequence[Exhibit]) -> dict[str, Any]:
    """The exhibits as tables and small pictures."""
    from alpha_pipeline.reporting.exhibit_plots import DRAW
    from alpha_pipeline.reporting.images import thumbnail_markdown

    shown: dict[str, Any] = {}
    for exhibit in exhibits:
        if isinstance(exhibit, TableExhibit):
            shown[exhibit.title] = frame_table(exhibit.frame)
        else:
            axes = DRAW[exhibit.kind](exhibit.frame, exhibit.title, percent=exhibit.percent, x_label=exhibit.x_label, y_label=exhibit.y_label)
            shown[exhibit.title] = dg.MetadataValue.md(thumbnail_markdown(axes, alt=exhibit.title, max_kb=40))
    return shown
