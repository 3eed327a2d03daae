"""What everything stands on: mistakes, files, and text that remembers its lines. No torch."""
