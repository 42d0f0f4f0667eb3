"""The graph as a whole: it loads, and nothing in it moved unnoticed.

When assets, dependencies or partitions change on purpose, rewrite the snapshot and read its difference like code::

    python -m alpha_pipeline_tests.test_definitions
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from alpha_pipeline.assets.risk import RISK_ASSETS
from alpha_pipeline.definitions import build_definitions, listed_experiments
from alpha_pipeline.errors import UnknownName
from alpha_pipeline.experiment import ExperimentSpec
from alpha_pipeline.experiments import EXPERIMENTS
from alpha_pipeline.experiments.demo import DEMO
from alpha_pipeline.market.schema import TABLES
from alpha_pipeline.markets import MARKETS
from alpha_pipeline_tests.conftest import TINY
from alpha_pipeline_tests.helpers_process import facts_of_another_process

SNAPSHOT = Path(__file__).parent / "golden" / "asset_graph.json"
UPDATE = "python -m alpha_pipeline_tests.test_definitions"

# The method from left to right; an asset depends on its own group and on those before it.
GROUPS = ("market", "features", "risk", "training", "scores", "combinations", "factors",
          "factor_tests", "portfolios", "backtests", "attribution", "studies", "reports")


def graph_of(market: str, experiments: list[ExperimentSpec] | None = None) -> dg.AssetGraph:
    return build_definitions(market, experiments).resolve_asset_graph()


def partition_kind(partitions: dg.PartitionsDefinition | None) -> str:
    """``trade_date``, ``half_year``, ``week`` or ``none``; the keys themselves belong to the market and are tested elsewhere."""
    if partitions is None:
        return "none"
    key = partitions.get_partition_keys()[0]
    if len(key) == len("2017-01"):
        return "half_year"
    return "trade_date" if isinstance(partitions, dg.DailyPartitionsDefinition) else "week"


def snapshot(graph: dg.AssetGraph) -> dict[str, dict[str, object]]:
    """What is frozen of every asset."""
    return {
        node.key.to_user_string(): {
            "group": node.group_name,
            "partitions": partition_kind(node.partitions_def),
            "depends_on": sorted(key.to_user_string() for key in node.parent_keys),
            "checks": sorted(key.name for key in graph.get_check_keys_for_assets({node.key})),
        }
        for node in sorted(graph.asset_nodes, key=lambda node: node.key.to_user_string())
    }


@pytest.fixture(scope="module")
def graph() -> dg.AssetGraph:
    return graph_of("demo", list(EXPERIMENTS.values()))


class TestLoads:
    def test_small_market_has_the_same_graph(self, graph):
        assert snapshot(graph_of("ci")) == snapshot(graph)

    def test_no_check_judges_partitions_one_by_one(self, graph):
        """The event log keeps one planned row per check and run, which would lose those of a check that did."""
        specs = [graph.get_check_spec(key) for key in graph.asset_check_keys]
        assert specs
        assert [spec.key.to_user_string() for spec in specs if spec.partitions_def is not None] == []

    def test_a_market_that_lists_experiments_holds_these_alone(self):
        keys = {key.to_user_string() for key in graph_of("demo").get_all_asset_keys()}
        assert {key for key in keys if key.startswith("reports/")} == {"reports/demo", "reports/index"}
        kinds = ("training_set", "checkpoint", "scores")
        assert {key for key in keys if key.startswith("models/")} == {f"models/demo_incremental/{kind}" for kind in kinds}

    def test_an_unknown_listed_experiment_is_named(self):
        with pytest.raises(UnknownName, match="unknown experiment 'demoo'"):
            listed_experiments(replace(MARKETS["demo"], experiments=("demoo",)))

    @pytest.mark.parametrize(("market", "absent"), [("demo", {"attention", "attention_small"}), ("small", set())])
    def test_every_experiment_is_in_it(self, market, absent):
        """ATTENTION needs bars that make ten minutes; those of the demo have fifteen."""
        keys = {key.to_user_string() for key in graph_of(market, list(EXPERIMENTS.values())).get_all_asset_keys()}
        assert not {f"reports/{name}" for name in absent} & keys
        for spec in [spec for name, spec in EXPERIMENTS.items() if name not in absent]:
            assert f"reports/{spec.name}" in keys
            assert {f"models/{model.name}/checkpoint" for model in spec.models} <= keys
            assert {f"portfolios/{portfolio.name}/weights" for portfolio in spec.portfolios} <= keys
            assert {f"signals/{signal.name}/factor_test" for signal in spec.all_signals()} <= keys

    def test_a_market_without_experiments_still_ingests(self):
        keys = {key.to_user_string() for key in graph_of("ci", []).get_all_asset_keys()}
        assert keys == {*TABLES, "universe", "daily_panel", "intraday_15m_panel", *RISK_ASSETS}

    def test_jobs_and_schedules(self):
        repository = build_definitions("ci", [DEMO]).get_repository_def()
        assert {"daily", "weekly_rebalance", "half_yearly_retrain", "checks"} <= {job.name for job in repository.get_all_jobs()}
        assert {schedule.job_name for schedule in repository.schedule_defs} == {"daily", "weekly_rebalance", "half_yearly_retrain"}

    def test_definitions_load_without_torch(self):
        """It takes a second and 220 MB, in every process that only lists assets."""
        facts = facts_of_another_process()
        assert "dagster" in facts["modules"]
        assert "torch" not in facts["modules"]

    def test_the_default_market_is_the_demo(self):
        assert facts_of_another_process()["n_assets"] == len(graph_of("demo").get_all_asset_keys())


class TestSnapshot:
    def test_nothing_moved(self, graph):
        frozen, now = json.loads(SNAPSHOT.read_text()), snapshot(graph)
        difference = [
            *(f"new: {name}" for name in sorted(now.keys() - frozen.keys())),
            *(f"gone: {name}" for name in sorted(frozen.keys() - now.keys())),
            *(
                f"{name}.{part}: {frozen[name][part]} -> {now[name][part]}"
                for name in sorted(now.keys() & frozen.keys())
                for part in now[name]
                if now[name][part] != frozen[name].get(part)
            ),
        ]
        assert not difference, f"the graph differs from {SNAPSHOT.name}; if that is meant: {UPDATE}\n" + "\n".join(difference)


class TestEveryAsset:
    def test_is_described_owned_and_placed(self, graph):
        for node in graph.asset_nodes:
            name = node.key.to_user_string()
            assert node.description, f"{name} has no description"
            assert len(node.description) > 40, f"{name}: '{node.description}' does not say what it is"
            assert node.owners == ["team:quant-research"], name
            assert node.kinds, f"{name} has no kind"
            assert node.group_name in GROUPS, name

    def test_can_be_materialized_here(self, graph):
        assert all(node.is_executable for node in graph.asset_nodes)

    def test_groups_run_from_left_to_right(self, graph):
        place = {group: at for at, group in enumerate(GROUPS)}
        for node in graph.asset_nodes:
            for parent in node.parent_keys:
                assert place[graph.get(parent).group_name] <= place[node.group_name], (
                    f"{node.key.to_user_string()} depends on {parent.to_user_string()}"
                )

    def test_every_group_is_used(self, graph):
        nodes = [*graph.asset_nodes, *graph_of("ci", [TINY]).asset_nodes]
        assert {node.group_name for node in nodes} == set(GROUPS)

    def test_a_combination_stands_between_its_inputs_and_its_signal(self):
        found = snapshot(graph_of("ci", [TINY]))
        assert found["combinations/tiny_trees/fit"]["partitions"] == "half_year"
        assert {"labels/r10", "daily_panel", "fundamentals"} <= set(found["combinations/tiny_trees/fit"]["depends_on"])
        assert "combinations/tiny_trees/fit" in found["combinations/tiny_trees/scores"]["depends_on"]
        assert {"models/tiny/scores", "combinations/tiny_trees/scores"} <= set(found["combinations/tiny_combined/scores"]["depends_on"])
        assert "combinations/tiny_combined/scores" in found["signals/tiny_combined/factor"]["depends_on"]
        daily = build_definitions("ci", [TINY]).get_repository_def().get_job("daily").asset_layer.selected_asset_keys
        assert dg.AssetKey(["combinations", "tiny_combined", "scores"]) in daily

    def test_training_runs_in_the_pool_of_the_accelerator(self, graph):
        for node in graph.asset_nodes:
            assert node.pools == ({"gpu"} if node.key.path[-1] == "checkpoint" else set())

    def test_blocking_checks_stand_on_raw_tables(self, graph):
        blocking = {key.asset_key.to_user_string() for key in graph.asset_check_keys if graph.get(key).blocking}
        assert blocking == set(TABLES)


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(snapshot(graph_of("demo", list(EXPERIMENTS.values()))), indent=1, ensure_ascii=False) + "\n")
    print(SNAPSHOT)
