"""Samples, batches, and what they leave out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from alpha_pipeline.errors import InvalidSpec, Misaligned, NotEnoughData
from alpha_pipeline.training.batches import SampleSet

CPU = torch.device("cpu")
BOTH = ("daily", "intraday_15m")


class TestExamples:
    def test_one_date_is_its_standardized_cross_section(self, market: Any) -> None:
        (batch,) = market.samples(range(12, 13)).cross_sections(BOTH, CPU)
        eligible, _ = market.windows["daily"].eligible(12, market.universe[12])
        labelled = eligible[eligible != 5]
        assert batch.columns.tolist() == labelled.tolist()
        assert 5 in eligible
        whole = market.windows["daily"].window(12, eligible)
        assert torch.equal(batch.inputs["daily"], whole[:, :, eligible != 5])
        np.testing.assert_array_equal(batch.label.numpy(), market.labels[12, labelled].astype(np.float32))
        assert batch.parts == (slice(0, len(labelled)),)
        assert set(batch.date_index.tolist()) == {12}

    def test_several_dates_per_batch_keep_their_parts(self, market: Any) -> None:
        samples = market.samples(range(11, 16))
        single = list(samples.cross_sections(BOTH, CPU))
        pairs = list(samples.cross_sections(BOTH, CPU, dates_per_batch=2, order=np.array([4, 0, 1, 2, 3])))
        assert [sorted(set(b.date_index.tolist())) for b in pairs] == [[11, 15], [12, 13], [14]]
        for part, at in zip(pairs[0].parts, (4, 0), strict=True):
            assert torch.equal(pairs[0].inputs["intraday_15m"][:, :, part], single[at].inputs["intraday_15m"])
            assert torch.equal(pairs[0].label[part], single[at].label)
            assert pairs[0].samples[part].tolist() == single[at].samples.tolist()

    def test_counts_what_is_left_out(self, market: Any) -> None:
        samples = market.samples(range(1, 13), min_stocks=10)
        assert samples.n_dropped_dates == 2
        assert samples.dates == list(range(3, 13))
        n_universe = int(market.universe[1:13].sum())
        assert samples.n_samples + sum(samples.excluded.values()) == n_universe
        assert samples.excluded["daily: short history"] == int(market.universe[1:3].sum())
        assert samples.excluded["no label"] == int(market.universe[3:13, 5].sum())
        assert samples.excluded["daily: suspended too long"] > 0


class TestProperties:
    def test_shuffled_batches_hold_every_sample_once_with_the_same_bits(self, market: Any) -> None:
        samples = market.samples(range(6, 16))
        whole = {
            (d, c): (b.inputs, at, b.label[at])
            for b in samples.cross_sections(BOTH, CPU)
            for at, (d, c) in enumerate(zip(b.date_index.tolist(), b.columns.tolist(), strict=True))
        }
        batches = list(samples.shuffled(BOTH, CPU, batch_size=64, generator=np.random.default_rng(0)))
        assert sorted(np.concatenate([b.samples for b in batches]).tolist()) == list(range(samples.n_samples))
        assert max(map(len, batches)) - min(map(len, batches)) <= 1
        assert max(map(len, batches)) <= 64
        for batch in batches:
            for at, key in enumerate(zip(batch.date_index.tolist(), batch.columns.tolist(), strict=True)):
                inputs, position, label = whole[key]
                assert batch.label[at] == label
                for name in BOTH:
                    assert torch.equal(batch.inputs[name][:, :, at], inputs[name][:, :, position])

    @pytest.mark.parametrize("dates_per_batch", [1, 3])
    def test_reused_memory_holds_the_same_numbers_while_the_batch_is_current(self, market: Any, dates_per_batch: int) -> None:
        samples, addresses = market.samples(range(6, 16)), set()
        fresh = samples.cross_sections(BOTH, CPU, dates_per_batch=dates_per_batch)
        for a, b in zip(
            fresh, samples.cross_sections(BOTH, CPU, dates_per_batch=dates_per_batch, reuse_memory=True), strict=True
        ):
            assert all(torch.equal(a.inputs[name], b.inputs[name]) for name in BOTH)
            addresses.add(b.inputs["daily"].data_ptr())
        assert len(addresses) == 1 or dates_per_batch > 1

    def test_statistics_are_estimated_once(self, market: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        samples, calls = market.samples(range(6, 10)), []
        for window in market.windows.values():
            real = window.statistics

            def counted(d: int, c: Any, real: Any = real) -> Any:
                calls.append(d)
                return real(d, c)

            monkeypatch.setattr(window, "statistics", counted)
        for _ in range(3):
            list(samples.cross_sections(("daily",), CPU))
        assert calls == [6, 7, 8, 9]

    def test_shuffled_labels_are_a_permutation_within_the_date(self, market: Any) -> None:
        plain = list(market.samples(range(6, 16)).cross_sections(("daily",), CPU))
        one, same, other = (
            list(market.samples(range(6, 16), label_shuffle_seed=seed).cross_sections(("daily",), CPU)) for seed in (1, 1, 2)
        )
        for a, b, c, d in zip(plain, one, same, other, strict=True):
            assert torch.equal(b.label, c.label)
            assert not torch.equal(b.label, a.label)
            assert not torch.equal(b.label, d.label)
            assert torch.equal(b.label.sort().values, a.label.sort().values)
            assert torch.equal(b.inputs["daily"], a.inputs["daily"])

    def test_digest_tells_samples_apart(self, market: Any) -> None:
        digests = {
            market.samples(range(6, 12)).digest(),
            market.samples(range(6, 13)).digest(),
            market.samples(range(6, 12), label_shuffle_seed=1).digest(),
            SampleSet({"daily": market.windows["daily"]}, market.universe, market.labels, range(6, 12)).digest(),
        }
        assert len(digests) == 4
        assert market.samples(range(6, 12)).digest() in digests

    def test_later_labels_and_bars_do_not_matter(self, market: Any) -> None:
        before = list(market.samples(range(6, 12)).cross_sections(BOTH, CPU))
        market.labels[12:] = 99.0
        market.universe[12:] = False
        after = list(market.samples(range(6, 12)).cross_sections(BOTH, CPU))
        for a, b in zip(before, after, strict=True):
            assert torch.equal(a.label, b.label)
            assert torch.equal(a.inputs["daily"], b.inputs["daily"])


class TestErrors:
    def test_axes(self, market: Any) -> None:
        with pytest.raises(Misaligned, match=r"universe \(40, 30\), labels \(39, 30\)"):
            SampleSet(market.windows, market.universe, market.labels[1:], range(6, 12))

    def test_settings(self, market: Any) -> None:
        with pytest.raises(InvalidSpec, match="listed twice"):
            SampleSet(market.windows, market.universe, market.labels, [6, 7, 6])
        with pytest.raises(InvalidSpec, match="needs two stocks"):
            market.samples(range(6, 9), min_stocks=1)
        with pytest.raises(InvalidSpec, match="no tensor"):
            SampleSet({}, market.universe, market.labels, [6])

    def test_nothing_left_says_why(self, market: Any) -> None:
        with pytest.raises(NotEnoughData, match="none of 2 dates has 10 samples .*daily: short history: "):
            market.samples(range(1, 3))
