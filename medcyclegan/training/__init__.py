"""The training loop and what it keeps; knows no model by name and sees no volume."""
