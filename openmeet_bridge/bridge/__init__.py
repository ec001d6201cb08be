"""The services: what the bridge does, with the homeserver, the log and the streams at hand."""
