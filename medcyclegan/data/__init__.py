"""CT volumes of two domains as unpaired batches of slices."""
