"""Fan-out side by side: the bridge, other servers, and what a bare loop in C reaches."""
