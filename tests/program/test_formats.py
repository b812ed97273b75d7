"""Ranges of formats, counted."""

import pytest
from pumice.program.formats import Format


@pytest.mark.parametrize("width", [1, 2, 7, 8, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_a_format_has_two_to_the_width_codes(width, signed):
    form = Format(width, signed, 3)
    codes = range(-(2 ** (width - 1)), 2 ** (width - 1)) if signed else range(2**width)
    assert (form.min, form.max) == (codes[0], codes[-1])
    assert form.magnitude == max(map(abs, codes))
    assert form.scale == 0.125
