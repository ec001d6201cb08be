"""The demonstration: a whole small world on one machine."""
