"""Solvers: each a frozen record of its options, and the method that it names."""
