"""What is claimed, chosen and measured, as checked and typed data. No torch."""
