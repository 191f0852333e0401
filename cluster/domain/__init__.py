"""Domain values and errors: no I/O, no library of ours."""
