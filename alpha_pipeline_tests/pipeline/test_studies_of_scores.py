"""The studies of ALPHANET and MULTIMODEL: frames in, tables with the published rows out; parts of them by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.experiments.published_alphanet import ALPHANET_PUBLISHED
from alpha_pipeline.experiments.published_multimodel import COMBINED, MULTIMODEL_PUBLISHED, UNITS
from alpha_pipeline.pipeline.studies import STUDIES
from alpha_pipeline.pipeline.studies.model_styles import style_share
from alpha_pipeline.pipeline.studies.weighting_importances import by_data_set
from alpha_pipeline.reporting.exhibits import PictureExhibit, StudySection, TableExhibit, study_blocks

SIGNALS = (*UNITS, *COMBINED)


def tables(kind: str, frames: dict[str, pd.DataFrame], published=MULTIMODEL_PUBLISHED) -> dict[str, TableExhibit]:
    """The exhibits of a study, after drawing all of them."""
    found = STUDIES[kind].exhibits(frames, published)
    assert len(study_blocks(StudySection(kind, STUDIES[kind].title, "layers", tuple(found)))) > 0
    assert not any(e.is_empty for e in found)
    return {e.key: e for e in found if not isinstance(e, PictureExhibit)}


class TestExamples:
    def test_coverage(self):
        frames = {"coverage": pd.DataFrame([{"n_drawn": 8, "n_pairs": 28, "simulated": 0.955, "closed form": 0.955, "closed form, our members": 0.6,
                                             "members": 3, "published": 0.9552}])}
        said = tables("pair_coverage", frames, ALPHANET_PUBLISHED)["pair-coverage"].published
        assert said is not None and said["simulated"].tolist() == [0.9552] and said["closed form"].isna().all()

    def test_horizons_stand_beside_the_published_ones(self):
        summary = pd.DataFrame([{"signal": s, "horizon": h, "gap": g, "rank_ic_mean": 0.1, "icir": 1.0, "t_nw": 3.0, "n_dates": 50}
                                for s in SIGNALS for h in (5, 10, 20) for g in (0, 1)])
        found = tables("rank_ic_horizons", {"summary": summary, "rank_ic": pd.DataFrame()})
        mean = found["horizon-mean"]
        assert mean.published is not None and mean.published.set_index("score").loc["RCTv1", "10 days, gap 0"] == 0.165
        assert mean.frame["score"].tolist() == ["GRU", "AGRU", "LSTM", "RESTCN", "Transformer", "RNNv0", "RNNv1", "RCTv0", "RCTv1"]
        assert found["horizon-icir"].published is not None and found["horizon-t"].published is None

    @pytest.mark.parametrize(("n_groups", "has_published"), [(20, True), (10, False)])
    def test_groups_stand_beside_the_published_ones(self, n_groups, has_published):
        groups = pd.DataFrame([
            {"group": k, "annual_hedged": (n_groups - k) / 100, "turnover_one_sided": 0.5, "signal": s, "part": part, "since": "2023-07-03"}
            for s in SIGNALS for part in ("start", "last part") for k in range(1, n_groups + 1)])
        found = tables("hedged_groups", {"groups": groups})["groups-start"]
        assert len(found.frame) == n_groups + 1 and found.frame.iloc[0].tolist() == ["Top", *[(n_groups - 1) / 100] * 9]
        assert found.frame.iloc[-1].tolist() == ["Top, turnover a week", *[0.5] * 9]
        assert (found.published is not None) == has_published
        if found.published is not None:
            assert found.published.iloc[0]["RCTv1"] == 0.457 and found.published.iloc[-1]["RESTCN"] == 0.61

    def test_paired(self):
        row = {"signal": "a", "baseline": "b", "measure": "RankIC", "first": 0.1, "baseline's": 0.08, "difference": 0.02, "low": 0.01, "high": 0.03,
               "n_dates": 9, "lags": 1}
        by_date = pd.DataFrame({"trade_date": pd.to_datetime(["2024-01-02", "2024-01-16"]), "signal": "a", "difference": [0.01, 0.03]})
        training = pd.DataFrame([{"signal": "b", "seconds an epoch": 2.0, "epochs": 3, "seconds": 6.0, "against the baseline": np.nan}])
        found = tables("paired_signals", {"differences": pd.DataFrame([row]), "by_date": by_date, "training": training})
        assert found["paired"].frame["pair"].tolist() == ["a − b"] and "training-cost" in found
        assert "training-cost" not in tables("paired_signals", {"differences": pd.DataFrame([row]), "by_date": by_date, "training": training[:0]})

    def test_correlations_and_averages(self):
        square = pd.DataFrame([{"score": a} | {b: 0.8 for b in UNITS} for a in UNITS])
        identity = pd.DataFrame([{"first": "gru", "second": "agru", "single": 0.8, "by_date": 0.94, "predicted": 0.94, "realized": 0.95,
                                  "difference": -0.01, "low": -0.02, "high": 0.0}])
        ic = pd.DataFrame([{"score": "rct_v1", "n_scores": 5, "mean_ic": 0.1, "correlation": 0.9, "predicted": 0.105, "realized": 0.104,
                            "gain_predicted": 1.05, "gain_realized": 1.04}])
        frames = {"single": square, "averaged": square, "identity": identity, "ic": ic, "facts": pd.DataFrame([{"n_runs": 2, "n_dates": 50}])}
        found = tables("score_averaging", frames)
        assert found["correlation-single"].published is not None and found["correlation-single"].published.iloc[0, 1] == 0.863
        assert found["identity"].frame["pair"].tolist() == ["gru and agru"]

    def test_yearly_portfolios_have_the_reports_years_too(self):
        rows = [{"group": group, "delta": 0.10, "turnover": 0.11, "basis": basis, "metric": metric, "annual": 0.1, "2024": 0.05}
                for group in ("top100", "csi300_members") for basis in ("absolute", "hedged") for metric in ("return", "volatility", "max_drawdown")]
        found = tables("yearly_portfolios", {"yearly": pd.DataFrame(rows)})
        hedged = found["csi300_members-hedged"]
        assert hedged.published is not None and list(hedged.frame.columns) == list(hedged.published.columns)
        said = hedged.published.set_index("portfolio")
        assert said.loc["delta 0.10, turnover 0.11: return", "2022"] == 0.026 and "2021 or 2022" not in said
        top = found["top100-hedged"].published
        assert top is not None and top.set_index("portfolio").loc["delta 0.20, turnover 0.22: return", "2018"] == 0.521

    def test_importances_add_up(self):
        gains = pd.DataFrame([
            {"combination": "gru", "period": period, "input": f"gru_{data}", "data_set": data, "mean": share, "std": 0.0}
            for period, shares in (("2023H2", (0.5, 0.3, 0.2)), ("2024H1", (0.3, 0.3, 0.4)))
            for data, share in zip(("rawbar", "mschars", "l2chars"), shares, strict=True)])
        found = by_data_set(gains)
        assert found.set_index("combination").loc["gru"].to_dict() == pytest.approx({"rawbar": 0.4, "mschars": 0.3, "l2chars": 0.3})
        assert "data-sets" in tables("weighting_importances", {"gains": gains})
        assert STUDIES["weighting_importances"].exhibits({"gains": gains[:0]}, None) == []

    def test_styles(self):
        daily = pd.DataFrame([{"trade_date": day, "size": 0.2, "beta": -0.1, "explained": 0.05, "signal": s}
                              for s in ("alphanet_v2", "alphanet_v2_2") for day in pd.to_datetime(["2024-01-02", "2024-01-09"])])
        daily.loc[3, "explained"] = 0.01
        exhibits = tables("model_styles", {"styles": daily}, ALPHANET_PUBLISHED)
        found, against = exhibits["styles"].frame, exhibits["style-differences"].frame
        assert against["score"].tolist() == ["AlphaNet-v2.2"] and against.loc[0, "difference"] == pytest.approx(-0.02)
        assert against.loc[0, "low"] < -0.02 < against.loc[0, "high"]
        assert found["score"].tolist() == ["AlphaNet-v2", "AlphaNet-v2.2"] and found["mean of |correlation|"].tolist() == pytest.approx([0.15, 0.15])


class TestProperties:
    def test_share_of_styles(self):
        """All of a score that is a style, none of one that is orthogonal to it, half of a half-half mix; nothing for too few names."""
        style = np.tile(np.array([1.0, 1.0, -1.0, -1.0]), 10)[None, :, None]
        other = np.tile(np.array([1.0, -1.0, 1.0, -1.0]), 10)[None, :]
        mask = np.ones((1, 40), dtype=bool)
        scores = np.concatenate([style[:, :, 0], other, style[:, :, 0] + other])
        found = style_share(scores, np.repeat(style, 3, axis=0), np.repeat(mask, 3, axis=0))
        assert found == pytest.approx([1.0, 0.0, 0.5])
        assert np.isnan(style_share(scores[:1], style, np.arange(40)[None] < 2)).all()
