"""An epoch is dealt to ranks without overlap or loss, and read shard after shard."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from effcc.sources.share import in_runs


def starts(parts):
    return np.cumsum([0, *parts])


@given(
    parts=st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(any),
    ranks=st.integers(1, 9),
    window=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_ranks_share_an_epoch_without_overlap_or_loss(parts, ranks, window, seed):
    shares = [
        in_runs(starts(parts), window, np.random.default_rng(seed), rank, ranks)
        for rank in range(ranks)
    ]
    images = sum(parts)
    assert {len(share) for share in shares} == {images // ranks}
    seen = np.concatenate(shares)
    assert len(np.unique(seen)) == len(seen) == images - images % ranks
    assert set(seen.tolist()) <= set(range(images))


@given(parts=st.integers(9, 20), each=st.integers(5, 30), window=st.integers(1, 3))
def test_a_rank_reads_few_parts_at_a_time(parts, each, window):
    begun = starts([each] * parts)
    mine = in_runs(begun, window, np.random.default_rng(parts), 0, 1)
    part = np.searchsorted(begun, mine, "right") - 1
    for at in range(0, len(mine) - each):
        assert len(set(part[at : at + each])) <= 2 * window


def test_images_of_a_window_are_mixed_and_every_seed_mixes_otherwise():
    begun = starts([100] * 8)
    first, again, other = (in_runs(begun, 4, np.random.default_rng(s), 0, 2) for s in (1, 1, 2))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()
    assert len(set((first[:50] // 100).tolist())) == 4
    assert np.abs(np.diff(first)).min() >= 1
    assert (np.diff(first) == 1).mean() < 0.1
