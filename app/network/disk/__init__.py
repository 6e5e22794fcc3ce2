"""Bytes on disk: what each kind of file will be, to the byte, and how it is laid out."""
