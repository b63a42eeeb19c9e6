"""The closed form with its numbers, for formulas that are linear in their parameters."""
