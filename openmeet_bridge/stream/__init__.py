"""Delivery: from the log to everybody who may see it, encoded once, written many times."""
