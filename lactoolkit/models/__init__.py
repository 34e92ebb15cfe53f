"""Frame encoders."""
