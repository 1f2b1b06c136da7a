"""What may be missing on a machine that trains."""


class MissingTool(Exception):
    """A program or a list of words that comes with a Debian package."""

    def __init__(self, what: str, package: str):
        super().__init__(f"{what} is missing; `apt install {package}` brings it")
