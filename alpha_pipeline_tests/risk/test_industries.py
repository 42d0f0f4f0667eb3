"""Industry codes and dummies."""

from __future__ import annotations

import numpy as np
import pytest

from alpha_pipeline.errors import BadInput
from alpha_pipeline.risk.industries import encode_industries, industry_dummies


class TestExamples:
    def test_names_are_sorted_and_unknown_is_minus_one(self):
        codes, names = encode_industries([["Steel", None], ["Banks", float("nan")]])
        assert names == ("Banks", "Steel") and codes.tolist() == [[1, -1], [0, -1]]

    def test_known_names_fix_the_order(self):
        codes, names = encode_industries(["Steel", ""], known=("Steel", "Banks"))
        assert names == ("Steel", "Banks") and codes.tolist() == [0, -1]

    def test_dummies(self):
        assert industry_dummies([[1, -1]], 2).tolist() == [[[0, 1], [0, 0]]]


class TestProperties:
    def test_decoding_gives_the_names_back(self):
        labels = np.random.default_rng(0).choice(["a", "b", "c"], size=(4, 9)).astype(object)
        codes, names = encode_industries(labels)
        assert (np.array(names, dtype=object)[codes] == labels).all() and (industry_dummies(codes, 3).sum(axis=-1) == 1).all()


class TestErrors:
    def test_stranger(self):
        with pytest.raises(BadInput, match=r"not in the scheme \(got Banks, expected one of Steel\)"):
            encode_industries(["Banks"], known=("Steel",))

    def test_code_outside(self):
        with pytest.raises(BadInput, match=r"got 0 to 2, expected -1 to 1"):
            industry_dummies([0, 2], 2)
