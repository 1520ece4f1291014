"""Where the time goes: py-spy, and the classification of its stacks into families of work."""
