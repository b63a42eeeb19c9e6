"""The public verbs and the class Fit: where the parts meet."""
