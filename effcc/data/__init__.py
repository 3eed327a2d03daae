"""Pixels to uint8 batches."""
