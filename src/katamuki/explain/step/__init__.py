"""One step of a run as data: what went in, what came back, what the solver made of it, and whether it helped."""
