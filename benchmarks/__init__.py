"""How fast the bridge is, measured from outside: real processes, real sockets, fsync on."""
