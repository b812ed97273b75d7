"""Functions that the generated code calls, each written only where something needs it."""

from __future__ import annotations

_CLIP = """\
static inline int{bits}_t clip{bits}(STATE *s, int node, int{bits}_t value, int{bits}_t low, int{bits}_t high)
{{
    const int{bits}_t kept = value < low ? low : value > high ? high : value;
#ifdef PUMICE_COUNT
    s->saturations[node] += kept != value;
#else
    (void)s;
    (void)node;
#endif
    return kept;
}}
"""
_ROUND = """\
/* floor(value / 2^shift + 1/2) for shift >= 0 */
static inline int{bits}_t round{bits}(int{bits}_t value, int shift)
{{
    return (value + (((int{bits}_t)1 << shift) >> 1)) >> shift;
}}
"""
_MOVE = """\
/* floor(value / 2^shift + 1/2); for shift < 0 exact */
static inline int{bits}_t move{bits}(int{bits}_t value, int shift)
{{
    return shift < 0 ? value * ((int{bits}_t)1 << -shift) : round{bits}(value, shift);
}}
"""
_DIVIDE = """\
/* floor((2 p + q) / (2 q)) for q >= 1, a true floor for negative p too */
static inline int{bits}_t divide{bits}(int{bits}_t p, int{bits}_t q)
{{
    const int{bits}_t above = 2 * p + q, below = 2 * q;
    return above / below - (above % below < 0);
}}
"""
_ROOT = """\
/* floor(sqrt(value)), digit by digit, for value < 2^{top} */
static int{bits}_t root{bits}(int{bits}_t value)
{{
    uint{bits}_t rest = (uint{bits}_t)value, root = 0, digit = (uint{bits}_t)1 << {top};
    while (digit > rest) {{
        digit >>= 2;
    }}
    while (digit != 0) {{
        const uint{bits}_t trial = root + digit;
        root >>= 1;
        if (rest >= trial) {{
            rest -= trial;
            root += digit;
        }}
        digit >>= 2;
    }}
    return (int{bits}_t)root;
}}
"""
_CODE = """\
/* code i of a line of {bits}-bit codes, packed from the lowest bits up */
static inline int32_t code{bits}(const uint8_t *line, size_t i)
{{
    const int32_t field = line[i >> {byte}] >> ((i & {mask}u) * {bits}u) & {all};
    return (field ^ {sign}) - {sign};
}}
"""

HELPERS = {
    **{f"clip{bits}": _CLIP.format(bits=bits) for bits in (32, 64)},
    **{f"round{bits}": _ROUND.format(bits=bits) for bits in (32, 64)},
    **{f"move{bits}": _MOVE.format(bits=bits) for bits in (32, 64)},
    **{f"divide{bits}": _DIVIDE.format(bits=bits) for bits in (32, 64)},
    "root32": _ROOT.format(bits=32, top=30),
    "root64": _ROOT.format(bits=64, top=52),
    "code2": _CODE.format(bits=2, byte=2, mask=3, all=3, sign=2),
    "code4": _CODE.format(bits=4, byte=1, mask=1, all=15, sign=8),
}
"""Their text by name, in the order in which they are written."""

NEEDS = {"move32": "round32", "move64": "round64"}
"""What a helper calls itself."""
