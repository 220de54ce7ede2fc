"""What operations mean; one file per model, chosen by its name."""
