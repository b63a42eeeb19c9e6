"""Where the numbers of eight curves stand while they are fitted in closed form, and what may become of a curve."""

from __future__ import annotations

# What a curve's status may be beside a code: too few rows, too few digits, for the whole road.
TOO_FEW, ILL, WHOLE = -1, -2, -3
# A group's numbers, one for each of the eight. With the solution came: Σ w y², Σ w r², rows, degrees of freedom,
# whether digits suffice. The rest is found here: numbers of the row, limits by the number of rows, what fires.
LEVEL, RSS, COUNT, DOF, USABLE = range(5)
LOSS, VARIANCE, PRECISION, SHIFT, PERFECTLY = range(5, 10)
NEAREST, FARTHER, PULLED, BENDING, LEAST_RSS, MOST_RSS, FEW = range(10, 17)
OUTEST, PULL_MOST, HIGHEST, PLUS, SMALLEST_REST, CHANGES, DISORDER, SORTED_CHANGES = range(17, 25)
ROUGH, IS_FAR, IS_WEAK, IS_CHI2, IS_BENT, IS_SPREAD, IS_OUT, IS_LONE, VARIES = range(25, 34)
FACTS = 34
WORKING = 5  # columns of a group's rows beside those of J and r
