"""Errors that a person can act on."""


class UserError(Exception):
    """Bad input. The message is one line that says what is wrong and what to do; the command line exits with 2."""


class PictureError(Exception):
    """One picture cannot be used. The message is the reason, recorded beside the picture's name."""
