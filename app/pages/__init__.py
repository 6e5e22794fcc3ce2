"""Pages: what people read in a browser, rendered whole; no script, nothing from another host."""
