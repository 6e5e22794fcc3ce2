"""The proof that the whole chain learns what is there, and nothing that is not: `caliper selftest`."""
