"""Numbers and times as pages write them."""

from __future__ import annotations

import pytest

from core.ui.text import p_value, size, spoken


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


@pytest.mark.parametrize(
    ("name", "heard"),
    [
        ("Train/Glioma/Tr-gl_0010.jpg", "Train/Glioma/Tr-gl_0010.jpg"),
        ("![x](http://a.b/c.png)", "x (http //a.b/c.png)"),
        ("a :material/home: $b$ `c`.png", "a material/home b c .png"),
    ],
)
def test_a_label_for_a_screen_reader_is_read_as_it_is_written_and_draws_nothing(name: str, heard: str) -> None:
    assert spoken(name) == heard
