"""What a training job is: what a user asks for, how it is resolved, its states."""
