"""What may be missing on a machine that trains."""


class MissingTool(Exception):
    """A program or a list of words that comes with a package, Debian's most often."""

    def __init__(self, what: str, package: str, manager: str = "apt"):
        super().__init__(f"{what} is missing; `{manager} install {package}` brings it")
