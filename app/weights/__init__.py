"""The values of two checkpoints' weights, held against each other with numpy; run as a process of its own.

Nothing imports this room: `app.checkpoint.weights_child` starts it, so that the API loads no numpy for it and
a hostile file can cost no more than a child.
"""
