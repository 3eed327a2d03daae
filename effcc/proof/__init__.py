"""What is said beside what is known. No torch."""
