"""Backends: a graph as functions over columns."""
