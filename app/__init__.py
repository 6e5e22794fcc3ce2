"""Everything the API process may load; never torch."""
