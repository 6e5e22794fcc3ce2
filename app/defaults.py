"""What is taken where nobody says otherwise, in rooms that do not know each other. Standard library only."""

CPU_MEMORY_BYTES = 8 << 30
"""Memory that a training run on the CPU may take; a service has a setting of its own for it (CALIPER_CPU_MEMORY_BYTES)."""
