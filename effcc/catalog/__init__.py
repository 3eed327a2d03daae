"""What we chose and measured: variants and records. No torch."""
