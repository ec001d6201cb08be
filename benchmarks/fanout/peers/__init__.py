"""The servers that are measured beside the bridge."""
