"""Chaos: everything is killed, frozen and restarted under load, and nothing may be lost by it."""
