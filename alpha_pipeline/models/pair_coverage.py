"""How many of all pairs of fields an ensemble of AlphaNet-v2.1 sees, when each member draws its own fields.

    python -m alpha_pipeline.models.pair_coverage

prints the published simulation beside ours and the closed form. Source: ALPHANET, figure 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np

PUBLISHED = {6: 0.7864, 7: 0.8942, 8: 0.9552, 9: 0.9859, 10: 0.9965, 11: 0.9994}
"""Share of the 105 pairs of 15 fields that 10 members cover, by number of drawn fields; mean of 1,000 simulated ensembles."""


@dataclass(frozen=True)
class Coverage:
    """One line of the table; all shares are decimals."""

    n_drawn: int
    n_pairs: int
    published: float | None
    closed_form: float
    simulated: float


def expected_coverage(n_drawn: int, n_fields: int = 15, n_members: int = 10) -> float:
    """1 − (1 − C(n,2) / C(F,2))^members: a pair is missed if no member, each drawing by itself, has both of its fields.

    >>> round(expected_coverage(8), 4)
    0.955
    """
    assert 2 <= n_drawn <= n_fields and n_members > 0
    return 1.0 - (1.0 - comb(n_drawn, 2) / comb(n_fields, 2)) ** n_members


def simulated_coverage(n_drawn: int, n_fields: int = 15, n_members: int = 10, n_runs: int = 1000, seed: int = 0) -> float:
    """Mean share of covered pairs over ``n_runs`` ensembles, drawn as the report does."""
    assert 2 <= n_drawn <= n_fields and n_members > 0
    order = np.random.default_rng([seed, n_drawn]).random((n_runs, n_members, n_fields)).argsort(axis=2)
    is_drawn = (order < n_drawn).astype(np.float32)
    members_with_pair = is_drawn.transpose(0, 2, 1) @ is_drawn
    i, j = np.triu_indices(n_fields, 1)
    return float((members_with_pair[:, i, j] > 0).mean())


def coverage_table(n_fields: int = 15, n_members: int = 10, n_runs: int = 1000, seed: int = 0) -> list[Coverage]:
    """A line for each published number of drawn fields; the published share only where fields and members are the report's."""
    is_published = (n_fields, n_members) == (15, 10)
    return [
        Coverage(n, comb(n, 2), PUBLISHED[n] if is_published else None, expected_coverage(n, n_fields, n_members),
                 simulated_coverage(n, n_fields, n_members, n_runs, seed))
        for n in PUBLISHED if n <= n_fields
    ]


if __name__ == "__main__":
    print("fields  pairs  published  closed form  simulated")
    for line in coverage_table():
        print(f"{line.n_drawn:6d}  {line.n_pairs:5d}  {line.published:9.2%}  {line.closed_form:11.2%}  {line.simulated:9.2%}")
