"""The page: complete, self-contained, well-formed, and plain about what is missing."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import pytest

from alpha_pipeline.reporting.html import headlines, render_report
from alpha_pipeline.reporting.inputs import SECTIONS
from alpha_pipeline_tests.reporting.synthetic import empty_inputs, full_inputs

_VOID = {"meta", "br", "hr", "img", "input", "link"}


class _Balance(HTMLParser):
    """Follows open tags; ``wrong`` collects closings that do not match, ``ids`` every id of the page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.ids: list[str] = []
        self.fetches: list[str] = []
        self.anchors: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
                (self.anchors if (value or "").startswith("#") else self.fetches).append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def parse(page: str) -> _Balance:
    parser = _Balance()
    parser.feed(page)
    parser.close()
    return parser


@pytest.fixture(scope="module")
def page() -> str:
    return render_report(full_inputs())


class TestExamples:
    def test_banner_of_a_simulated_market(self, page: str) -> None:
        assert '<header class="banner simulated"><strong>SIMULATED MARKET — not real data</strong>' in page
        assert "REAL DATA" not in page

    def test_banner_of_real_data_names_the_proxies(self) -> None:
        inputs = dataclasses.replace(
            empty_inputs(), provenance={"market": "real_cn", "is_simulated": False, "proxies": {"vwap": "typical price"}}
        )
        page = render_report(inputs)
        assert "<strong>REAL DATA</strong>" in page
        assert "Proxies: vwap: typical price." in page
        assert "SIMULATED" not in page
        assert "Whether anything stands in for missing data was not recorded." in render_report(empty_inputs())

    def test_published_stands_beside_ours(self, page: str) -> None:
        assert page.count('<tr class="published"><th scope="row">published') == 16 + 2 * (12 + 4)
        for printed in (
            "10.22%",
            "36.36%",
            "28.93%",
            "0.7302",
            "-36.87%",
            "(MULTIFREQ figures 15, 24)",
            "(MULTIFREQ figure 33)",
            "(MULTIFREQ figures 5, 45)",
        ):
            assert printed in page

    def test_known_slips_are_footnotes(self, page: str) -> None:
        assert (
            "<sup>1</sup> Known slip in the published report: the abstract (and the summary) prints 8.58% RankIC and 30.12%"
            in page
        )
        assert "1.21 to 1.40 as the CSI 300 portfolios&#39; information ratio" in page

    def test_intervals_in_small_print(self, page: str) -> None:
        assert re.search(r"<td>\d+\.\d\d%<small>-?\d+\.\d\d to \d+\.\d\d%</small></td>", page)

    def test_headline_figures(self) -> None:
        cards = headlines(full_inputs())
        assert [c.title for c in cards][:3] == ["RankIC", "TOP layer, annual excess", "CSI 300 enhanced, annual excess"]
        assert "published 10.22%" in cards[0].lines
        assert any(line.startswith("oracle ") and line.endswith("% of it") for line in cards[0].lines)
        assert cards[2].lines == ("turnover ≤ 30%", "IR 2.95, TE 5.50%", "published 9.48%, IR 1.66")

    def test_differences_are_explained_from_facts(self, page: str) -> None:
        assert "The samples differ: ours 2017-01-04 to 2018-03-02, published 2017-01-04 to 2023-04-28." in page
        assert "Ours average 2 seeds a model, the published ones 3" in page
        assert "Stand-in: vwap: typical price (high + low + close) / 3." in page
        assert "rows.</li>" in page

    def test_empty_parts_say_why(self) -> None:
        page = render_report(empty_inputs())
        assert page.count('<p class="missing">') == len(SECTIONS) + 2  # and the headline, and the conventions
        assert "The optimizer was switched off for this run." in page
        assert "<svg" not in page


class TestProperties:
    def test_well_formed(self, page: str) -> None:
        for text in (page, render_report(empty_inputs())):
            seen = parse(text)
            assert seen.wrong == []
            assert seen.open == []

    def test_nothing_is_fetched(self, page: str) -> None:
        seen = parse(page)
        assert seen.fetches == []
        assert not re.search(r"https?://|@import|<script|<link|url\((?!#)", page)

    def test_every_reference_has_its_target_once(self, page: str) -> None:
        """Two figures that share an inner identifier would clip one another."""
        seen = parse(page)
        assert len(seen.ids) == len(set(seen.ids))
        assert {a.removeprefix("#") for a in seen.anchors} <= set(seen.ids)
        assert set(re.findall(r"url\(#([^)]*)\)", page)) <= set(seen.ids)

    def test_every_table_has_its_conventions(self, page: str) -> None:
        tables = page.split('<div class="table">')[1:]
        assert len(tables) == page.count("<table")
        for table in tables:
            assert re.search(r'</table>.*?<p class="conventions">[^<]{20,}</p>', table, re.DOTALL)

    def test_small_enough(self, page: str) -> None:
        assert len(page.encode()) < 5_000_000

    def test_same_inputs_same_page(self) -> None:
        inputs = full_inputs()
        some = dataclasses.replace(
            inputs, factor_tests=dict(list(inputs.factor_tests.items())[:1]), headline=None, portfolios={}, attributions={}
        )
        assert render_report(some) == render_report(some)

    def test_sections_in_the_reports_order(self, page: str) -> None:
        keys = ["headline", "reading", *SECTIONS, "conventions", "provenance"]
        places = [page.index(f'<section id="{k}">') for k in keys]
        assert places == sorted(places)
        assert all(f'<a href="#{k}">' in page for k in keys)

    def test_text_of_the_inputs_is_escaped(self) -> None:
        page = render_report(dataclasses.replace(empty_inputs(), title="<script>alert(1)</script>"))
        assert "<script>" not in page
        assert "&lt;script&gt;" in page

    def test_works_without_published_tables(self) -> None:
        inputs = full_inputs()
        bare = {n: dataclasses.replace(p, published_key=None) for n, p in list(inputs.portfolios.items())[:1]}
        name = next(iter(bare))
        few = dataclasses.replace(
            inputs,
            published=None,
            portfolios=bare,
            attributions={name: inputs.attributions[name]},
            headline=None,
            factor_tests=dict(list(inputs.factor_tests.items())[:2]),
            comparisons={},
            training={},
        )
        page = render_report(few)
        assert 'class="published"' not in page
        assert "Why ours differ" not in page
