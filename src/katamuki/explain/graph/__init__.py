"""The formula and its loss as a graph with values and gradients: recorded, drawn, and beside PyTorch's own."""
