"""The checker: a history in, a verdict out. Pure."""
