"""Everything that can go wrong, as one tree.

OmniError                    our own fault                          500
├── InvalidRequest           the client's mistake                   400
│   ├── MediaError           a picture, sound or video we cannot use  400
│   └── TooLarge             an upload of more bytes than we read  413
├── ModelNotFound            another model's name                   404
├── Overloaded               no room now, try again                 429
├── Unavailable              a stage is down or still starting      503
├── TimedOut                 it took longer than a request may      504
├── RequestFailed            a stage failed on this request         500
├── Aborted                  somebody ended it by its id            499
└── StartupError             the server cannot start
    ├── CheckpointError      the checkpoint lacks something
    └── ConfigError          flags or config file that make no sense

The table from class to HTTP status is `status` below; nothing is read from an error's text.
"""


class OmniError(Exception):
    """The root: `str(error)` is a sentence for the user, without paths or tracebacks.

    `param` names the request field at fault, as in OpenAI's errors.
    """

    status = 500
    code: str | None = None

    def __init__(self, message: str, *, param: str | None = None):
        super().__init__(message)
        self.param = param


class InvalidRequest(OmniError):
    status = 400


class MediaError(InvalidRequest):
    pass


class TooLarge(InvalidRequest):
    status = 413


class ModelNotFound(OmniError):
    status = 404
    code = "model_not_found"


class Overloaded(OmniError):
    status = 429


class Unavailable(OmniError):
    status = 503


class TimedOut(OmniError):
    status = 504


class RequestFailed(OmniError):
    pass


class Aborted(OmniError):
    status = 499  # nginx's "client closed request": of those that clients do not send again

    def __init__(self, message: str = "the request was aborted", *, param: str | None = None):
        super().__init__(message, param=param)


class StartupError(OmniError):
    pass


class CheckpointError(StartupError):
    pass


class ConfigError(StartupError):
    pass
