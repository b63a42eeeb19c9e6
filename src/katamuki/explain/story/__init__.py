"""The story of a step as text and HTML: five parts, a file each, and the blocks and numbers they are made of."""
