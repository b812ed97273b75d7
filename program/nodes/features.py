"""What nodes ask of a chip beyond sums of weighted inputs, by name."""

from __future__ import annotations

COMPLEX = "complex modes"
REAL_MODES = "real modes"
LAYER_NORM = "layer norm"
SCALE = "a multiplier a channel"
TABLE = "tables of a function"
PRODUCT = "products of activations"
WINDOWS = "windows of events"
LEAKY = "leaky integrate-and-fire neurons"
CUBA = "current-based neurons"
ADAPTATION = "adaptive neurons"
RECURRENT = "recurrent synapses"
REFRACTORY = "refractory times"

FEATURES = (
    *(COMPLEX, REAL_MODES, LAYER_NORM, SCALE, TABLE, PRODUCT, WINDOWS),
    *(LEAKY, CUBA, ADAPTATION, RECURRENT, REFRACTORY),
)
