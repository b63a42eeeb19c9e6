"""Starting values that nobody gave: ranges from the formula's graph, a cloud of starts, compiled descents from them."""

from katamuki.search.hunt import SAME, Basin, Hunt
from katamuki.search.recipe import recipe_of

__all__ = ["SAME", "Basin", "Hunt", "recipe_of"]
