"""From two videos to an alignment."""
