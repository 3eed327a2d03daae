"""Images from where they lie to uint8 batches."""
