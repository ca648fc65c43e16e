"""Ranks of torch tensors are those of NumPy arrays, on the CPU and on a GPU where there is one."""

import numpy as np
import pytest
import torch

from earmark.bench.metrics import ranks
from earmark.bench.ranking import TensorProducts, count_ranks, count_ranks_both_ways

DEVICES = ["cpu", "cuda"]


def device_of(name):
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU at hand")
    return torch.device(name)


def vectors(n, *, seed, dtype=torch.float32):
    drawn = torch.randn(n, 48, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(drawn, dim=1).to(dtype)


def assert_equal(one, other):
    for name in ("query", "item", "higher", "tied"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("tile_shape", [(4096, 8192), (100, 37)])
def test_tensors_rank_as_arrays(device, dtype, tile_shape):
    queries, items = vectors(500, seed=0, dtype=dtype), vectors(200, seed=1, dtype=dtype)
    items[7] = items[150]
    relevance = [{i % 200, i * 3 % 200} for i in range(500)]
    arrays = [each.to(torch.float64).numpy() for each in (queries, items)]
    if dtype != torch.float64:
        arrays = [each.astype(np.float32) for each in arrays]
    expected = ranks.count_ranks_both_ways(*arrays, relevance)
    here = device_of(device)
    products = TensorProducts(queries.to(here), items.to(here), tile_shape=tile_shape)
    for found, right in zip(ranks.ranks_both_ways(products, relevance), expected, strict=True):
        assert_equal(found, right)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("spread", [0.0, 1e-6])
def test_collapsed_tensors_rank_as_arrays(device, spread):
    centre, here = vectors(1, seed=3), device_of(device)
    queries = centre + spread * vectors(200, seed=4)
    items = centre + spread * vectors(200, seed=5)
    expected = ranks.count_ranks_both_ways(queries.numpy(), items.numpy())
    found = count_ranks_both_ways(queries.to(here), items.to(here))
    assert_equal(found[0], expected[0])
    assert_equal(found[1], expected[1])
    assert_equal(count_ranks(queries.to(here), items.to(here)), expected[0])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", ["high", "medium"])
def test_reduced_precision_of_products_changes_no_rank(device, precision):
    queries, items, here = vectors(300, seed=6), vectors(300, seed=7), device_of(device)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        found = count_ranks(queries.to(here), items.to(here))
    finally:
        torch.set_float32_matmul_precision(before)
    assert_equal(found, ranks.count_ranks(queries.numpy(), items.numpy()))


def test_arrays_are_ranked_in_numpy():
    queries, items = vectors(20, seed=0).numpy(), vectors(20, seed=1).numpy()
    assert_equal(count_ranks(queries, items), ranks.count_ranks(queries, items))
    both = zip(
        count_ranks_both_ways(queries, items),
        ranks.count_ranks_both_ways(queries, items),
        strict=True,
    )
    for found, expected in both:
        assert_equal(found, expected)


def test_a_tensor_beside_an_array_is_refused():
    with pytest.raises(ValueError, match="items are ndarray, the others a tensor"):
        count_ranks(vectors(3, seed=0), vectors(3, seed=0).numpy())


def test_tensors_on_two_devices_are_refused():
    with pytest.raises(ValueError, match="queries are on cpu and items on meta"):
        count_ranks(vectors(3, seed=0), vectors(3, seed=0).to("meta"))


def test_bad_tensors_are_named_as_arrays_are():
    bad = vectors(3, seed=0)
    bad[1, 2] = torch.nan
    with pytest.raises(ValueError, match="vector 1 of queries holds nan"):
        count_ranks(bad, vectors(3, seed=0))
