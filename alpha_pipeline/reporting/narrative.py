"""Sentences that a reader needs before the tables: what is shown, and why ours differ from the published numbers.

Each sentence is built from a fact of this run (provenance, date range, seeds, sample sizes, tests); none is a stock phrase.
"""

from __future__ import annotations

from alpha_pipeline.reporting.inputs import ReportInputs
from alpha_pipeline.reporting.tables import percent, rank_ic_interval

SIMULATED, REAL = "SIMULATED MARKET — not real data", "REAL DATA"
ORACLE = "oracle"


def banner(inputs: ReportInputs) -> tuple[str, str]:
    """Headline of the banner and the sentence under it: what the data are, and what stands in for what."""
    p = inputs.provenance
    summary = p.get("summary", "")
    if p["is_simulated"]:
        return SIMULATED, f"{p['market']}. {summary} No number on this page says anything about a real security.".replace(
            "  ", " "
        )
    if "proxies" not in p:
        return REAL, f"{p['market']}. {summary} Whether anything stands in for missing data was not recorded.".replace("  ", " ")
    proxies = p["proxies"]
    stand_ins = "Proxies: " + "; ".join(f"{k}: {v}" for k, v in proxies.items()) + "." if proxies else "No proxies."
    return REAL, f"{p['market']}. {summary} {stand_ins}".replace("  ", " ")


def how_to_read(inputs: ReportInputs) -> list[str]:
    """How the tables are laid out, and which rows to compare."""
    said = inputs.published
    lines = [
        "Rows in dark ink are ours."
        + (
            f" Rows marked “published” repeat {said.system} ({said.publisher}) as printed; they are there for comparison "
            "and nothing was tuned to them."
            if said
            else ""
        )
        + " Rows in italics are other scores tested on the same dates and stocks. A dash means that there is no such "
        "number, never zero.",
    ]
    share, key = oracle_share(inputs), inputs.headline_key
    reached = f"; {inputs.label(key[1])} reaches {percent(share)} of it in {inputs.label(key[0])}" if share and key else ""
    if any(s == ORACLE for _, s in inputs.comparisons):
        lines.append(
            "The oracle ranks stocks by the expected returns that the simulated market itself used: in expectation an upper "
            "bound, so RankIC is best judged as a share of the oracle's" + reached + "."
        )
    return lines


def why_different(inputs: ReportInputs) -> list[str]:
    """Reasons why the numbers beside each other differ, one sentence each; empty without published tables."""
    said, p = inputs.published, inputs.provenance
    if said is None:
        return []
    lines = []
    if p["is_simulated"]:
        lines.append(
            f"Ours were computed on a simulated market ({p['market']}), the published ones on real A-share data: levels "
            "follow from the signal that was planted, so compare directions and the order of the models, not levels."
        )
    first, last = p.get("first_date"), p.get("last_date")
    if first and last and (first, last) != (said.first_date, said.last_date):
        lines.append(f"The samples differ: ours {first} to {last}, published {said.first_date} to {said.last_date}.")
    seeds = p.get("seeds")
    if seeds is not None and said.n_seeds and len(seeds) != said.n_seeds:
        lines.append(
            f"Ours average {len(seeds)} seed{'s' if len(seeds) != 1 else ''} a model, the published ones {said.n_seeds}: "
            "fewer seeds mean a noisier, weaker score."
        )
    sizes: dict[str, float] = {}
    for (universe, _), test in inputs.factor_tests.items():
        sizes.setdefault(universe, test.value("mean_n_stocks"))
    if sizes:
        lines.append(
            "Stocks per test date, mean: "
            + ", ".join(f"{inputs.label(u)} {n:,.0f}" for u, n in sizes.items())
            + ". A small cross-section makes RankIC noisier and layers less spread out."
        )
    lines += [f"Stand-in: {what}: {why.rstrip('.')}." for what, why in p.get("proxies", {}).items()]
    lines += [f"Missing: {what}: {why.rstrip('.')}." for what, why in p.get("missing", {}).items()]
    not_run = [inputs.label(u) for u in dict.fromkeys(r.universe for r in said.factor_tests) if u not in inputs.universes]
    if not_run and inputs.factor_tests:
        lines.append(f"Published but not tested here: {', '.join(not_run)}.")
    return lines


def oracle_share(inputs: ReportInputs) -> float | None:
    """Mean RankIC of the headline score over the oracle's in the same universe; ``None`` without an oracle of positive RankIC."""
    key = inputs.headline_key
    if key is None or (key[0], ORACLE) not in inputs.comparisons:
        return None
    best = inputs.comparisons[key[0], ORACLE].value("rank_ic_mean")
    return inputs.factor_tests[key].value("rank_ic_mean") / best if best > 0 else None


def agreement(inputs: ReportInputs) -> list[str]:
    """How often the published mean lies inside our interval, and whether the models come in the published order; empty without
    published tables.
    """
    said = inputs.published
    if said is None:
        return []
    inside = n = 0
    for (universe, signal), test in inputs.factor_tests.items():
        row, interval = said.factor_test(universe, signal), rank_ic_interval(test.value("rank_ic_mean"), test.value("t_nw"))
        if row is not None and interval is not None:
            n += 1
            inside += interval[0] <= row.rank_ic_mean <= interval[1]
    lines = [f"The published mean RankIC lies within our 95% interval in {inside} of {n} rows."] if n else []
    for universe in inputs.universes:
        both = {
            s: (t.value("rank_ic_mean"), row.rank_ic_mean)
            for (u, s), t in inputs.factor_tests.items()
            if u == universe and (row := said.factor_test(u, s)) is not None
        }
        if len(both) > 1:
            ours = sorted(both, key=lambda s: -both[s][0])
            theirs = sorted(both, key=lambda s: -both[s][1])
            verdict = "the published order" if ours == theirs else "published: " + " > ".join(inputs.label(s) for s in theirs)
            lines.append(
                f"Models by RankIC in {inputs.label(universe)}: {' > '.join(inputs.label(s) for s in ours)} ({verdict})."
            )
    return lines
