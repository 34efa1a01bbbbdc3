"""What is said of a container that does not pass a check?"""


class NotWell(Exception):
    """The check has failed, in words for the user."""
