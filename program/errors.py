"""The error of everything that concerns a program."""


class ProgramError(ValueError):
    """A program, node, file or input that cannot be used; one sentence names the thing, the limit and the fix."""
