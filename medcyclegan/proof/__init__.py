"""Proof: whether the instruments can be fooled, and whether augmentation helps."""
