"""The networks, in torch. No Lightning."""
