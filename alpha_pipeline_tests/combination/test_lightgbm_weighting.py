"""Trees on factors: LightGBM's own interface as the second implementation, early stopping by hand, the same bits on any number of threads."""

from __future__ import annotations

from dataclasses import replace

import lightgbm
import numpy as np
import pytest

from alpha_pipeline.combination.lightgbm_weighting import FittedTrees, Rows, TreeSettings, fit_trees, mean_ic, predict_trees, stored_trees
from alpha_pipeline.errors import InvalidSpec, Misaligned, NotEnoughData

SETTINGS = TreeSettings(max_rounds=40, n_leaves=8, min_leaf=30, patience=8)
NAMES = ("gru:0", "gru:1", "lstm:0", "size")


def rows(seed: int, n_dates: int = 12, n_stocks: int = 100) -> Rows:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_dates * n_stocks, 4)).astype(np.float32)
    y = 0.5 * x[:, 0] + 0.3 * np.abs(x[:, 2]) + rng.normal(size=len(x))
    x[rng.random(x.shape) < 0.05] = np.nan
    return Rows(x, y, np.repeat(np.arange(n_dates), n_stocks))


@pytest.fixture(scope="module")
def fitted() -> FittedTrees:
    return fit_trees(rows(0), rows(1, 4), NAMES, SETTINGS)


class TestExamples:
    def test_lightgbms_own_interface_gives_the_same_trees(self, fitted):
        train, valid = rows(0), rows(1, 4)
        parameters = {
            "objective": "regression", "learning_rate": 0.05, "num_leaves": 8, "min_child_samples": 30, "colsample_bytree": 0.5, "reg_lambda": 1.0,
            "max_bin": 63, "seed": 0, "deterministic": True, "verbosity": -1,
        }
        own = lightgbm.train(parameters, lightgbm.Dataset(train.x, train.y), fitted.best_round)
        np.testing.assert_array_equal(predict_trees(stored_trees(fitted.text), valid.x), own.predict(valid.x))

    def test_it_stops_where_the_validation_ic_is_best(self, fitted):
        assert fitted.best_round == int(np.argmax(fitted.valid_ic)) + 1
        assert len(fitted.valid_ic) <= min(SETTINGS.max_rounds, fitted.best_round + SETTINGS.patience)
        valid = rows(1, 4)
        assert mean_ic(predict_trees(stored_trees(fitted.text), valid.x), valid.y, valid.dates) == pytest.approx(fitted.valid_ic.max(), abs=1e-12)

    def test_planted_factors_have_the_gain(self, fitted):
        assert set(np.argsort(fitted.gain)[-2:]) == {0, 2}

    def test_missing_factors_are_scored_too(self, fitted):
        assert np.isfinite(predict_trees(stored_trees(fitted.text), np.full((2, 4), np.nan, dtype=np.float32))).all()
        assert predict_trees(stored_trees(fitted.text), np.zeros((0, 4), dtype=np.float32)).shape == (0,)

    def test_mean_ic_by_hand(self):
        assert mean_ic([1.0, 2.0, 3.0, 1.0], [1.0, 2.0, 5.0, 7.0], np.array([0, 0, 1, 1])) == 0.0


class TestProperties:
    @pytest.mark.parametrize("n_threads", [1, 2, 3])
    def test_the_number_of_threads_changes_no_bit(self, fitted, n_threads):
        again = fit_trees(rows(0), rows(1, 4), NAMES, SETTINGS, n_threads=n_threads)
        x = rows(2).x
        assert predict_trees(stored_trees(again.text), x, n_threads).tobytes() == predict_trees(stored_trees(fitted.text), x).tobytes()
        assert again.valid_ic.tobytes() == fitted.valid_ic.tobytes()
        trees = [text.text.split("\nparameters:")[0] for text in (again, fitted)]
        assert trees[0] == trees[1]

    def test_the_stored_text_names_no_number_of_threads(self, fitted):
        assert fit_trees(rows(0), rows(1, 4), NAMES, SETTINGS, n_threads=3).text == fitted.text

    def test_another_run_is_another_model(self, fitted):
        assert fit_trees(rows(0), rows(1, 4), NAMES, SETTINGS, run=1).text != fitted.text
        seeded = fit_trees(rows(0), rows(1, 4), NAMES, replace(SETTINGS, seed=1))
        assert seeded.text == fit_trees(rows(0), rows(1, 4), NAMES, SETTINGS, run=1).text


class TestErrors:
    def test_settings(self):
        with pytest.raises(InvalidSpec, match=r"TreeSettings: n_leaves is too small \(got 1, expected >= 2\)"):
            TreeSettings(n_leaves=1)
        with pytest.raises(InvalidSpec, match="no such trees"):
            TreeSettings(learning_rate=0.0)

    def test_rows(self):
        with pytest.raises(Misaligned, match="rows do not fit together"):
            Rows(np.zeros((3, 1), dtype=np.float32), np.zeros(2), np.zeros(3, dtype=np.int64))
        with pytest.raises(NotEnoughData, match=r"too few rows for a tree \(got 50 to train, 400 to validate, expected at least 60 and 1\)"):
            fit_trees(rows(0, 1, 50), rows(1, 4), NAMES, SETTINGS)
