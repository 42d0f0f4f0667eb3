"""Every table and figure of the published reports has its place on the page of the system."""

from __future__ import annotations

import pytest

from alpha_pipeline.experiments import EXPERIMENTS
from alpha_pipeline.experiments.contents import CONTENTS
from alpha_pipeline.reporting.inputs import SECTIONS


class TestContents:
    def test_each_system_in_its_full_and_small_form(self):
        assert set(CONTENTS) <= set(EXPERIMENTS)
        assert {EXPERIMENTS[name].system for name in CONTENTS} == {"ALPHANET", "MULTIFREQ", "MULTIMODEL", "RISKCONTROL", "ATTENTION"}
        assert {name for name in EXPERIMENTS if f"{name}_small" in EXPERIMENTS} == {n for n in CONTENTS if not n.endswith("_small")}

    @pytest.mark.parametrize("name", CONTENTS)
    def test_every_place_exists_in_the_experiment(self, name):
        places = {item.where.partition("/")[0] for item in CONTENTS[name]}
        assert places <= {*SECTIONS, *(study.name for study in EXPERIMENTS[name].studies)}

    @pytest.mark.parametrize("name", CONTENTS)
    def test_every_study_is_among_the_contents(self, name):
        assert {study.name for study in EXPERIMENTS[name].studies} <= {item.where.partition("/")[0] for item in CONTENTS[name]}
