"""How far a run is: the source writes its step to a file that the driver reads."""

PROGRESS = "progress"
"""Name of the file in the bundle."""

STEPS_BETWEEN = 100
