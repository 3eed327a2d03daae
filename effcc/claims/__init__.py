"""What others say: model-index files and their kin, read, written and doubted. No torch."""
