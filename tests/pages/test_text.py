"""Numbers and times as pages write them."""

from __future__ import annotations

import pytest

from core.ui.text import p_value, size


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "p < 0.001"), (0.00099, "p < 0.001"), (0.001, "p = 0.001"), (0.0496, "p = 0.050")]
)
def test_a_p_value_is_never_zero(value: float, text: str) -> None:
    assert p_value(value) == text


@pytest.mark.parametrize(
    ("n_bytes", "text"), [(0, "0 KB"), (1536 * 2**10, "1.5 MB"), (103 * 2**20, "103 MB"), (2**30, "1.0 GB")]
)
def test_a_size_has_few_digits(n_bytes: float, text: str) -> None:
    assert size(n_bytes) == text
