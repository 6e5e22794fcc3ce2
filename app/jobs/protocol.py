"""What API and workers of different releases say to each other, by version: a rolling upgrade has both at once."""

MESSAGE_VERSION = 2
"""Version of the wake-ups that this release sends; every one is understood up to it.

1 names a job that is to be taken, and carries no version. 2 says "look at your tier's queue" and names a job too, so that
a worker that knows only 1 takes that one.
"""

PROBING_VERSION = 2
"""The first version whose workers answer probes (app.actions.prove_consumption); older ones drop them."""

PLAN_VERSION = 1
"""Version of `TrainingPlan.plain()` that this release writes; every one is read up to it.

To be raised with every change that an older worker would misread: workers claim no job of a newer plan than they read.
"""

MESSAGE_HEADER = "caliper_version"
"""Header of a message that carries its version."""
