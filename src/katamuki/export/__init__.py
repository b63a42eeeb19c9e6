"""A fit as a program of its own: text for PyTorch, NumPy, SciPy or katamuki that prints the same numbers.

Programs are printed from the graph through the table of operations; nothing is run here.
"""
