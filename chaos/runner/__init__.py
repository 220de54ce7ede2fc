"""The runner: one cell after the other, each from a healthy start to its evidence."""
