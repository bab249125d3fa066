"""Every way a model fails to answer, by what the caller can do about it.

ModelError
|-- ModelUnavailable        not reachable, broken or paused after failures; trying later may help
|   |-- ModelTimeout        it took too long to connect, to begin or to go on
|   +-- ModelPaused         it failed so often that it is left alone for a while
|-- ModelRateLimited        too many calls, or the account is used up (`retry_after` in seconds)
|-- ModelRefusedKey         the API key is missing, wrong or not allowed to use this model
|-- ModelRefusedRequest     the provider does not accept what was asked; asking again will not help
|   |-- ModelRefusedTools   the server or the model cannot call tools natively
|   +-- ModelContextTooLong the conversation does not fit into the model's context
|-- ModelAnswerEmpty        it answered nothing
|-- ModelAnswerMalformed    it answered something else than what was asked for
+-- ModelAnswerCut          the answer stopped in the middle
"""

from typing import ClassVar

from database.errors import ModelError

__all__ = [
    "AWAY",
    "ModelAnswerCut",
    "ModelAnswerEmpty",
    "ModelAnswerMalformed",
    "ModelContextTooLong",
    "ModelError",
    "ModelFailure",
    "ModelPaused",
    "ModelRateLimited",
    "ModelRefusedKey",
    "ModelRefusedRequest",
    "ModelRefusedTools",
    "ModelTimeout",
    "ModelUnavailable",
]


class ModelFailure(ModelError):
    """A failure of one call.

    `passing` says that the same call may succeed later, `provider_is_sick` that it counts
    against the provider and the model.
    """

    passing: ClassVar[bool] = False
    provider_is_sick: ClassVar[bool] = False


class ModelUnavailable(ModelFailure):
    """The model could not be reached, or its server is broken or paused."""

    passing = True
    provider_is_sick = True


class ModelTimeout(ModelUnavailable):
    """The model took too long."""


class ModelPaused(ModelUnavailable):
    """It was not asked, because it failed too often just now."""

    passing = False


class ModelRateLimited(ModelFailure):
    """Too many calls; `retry_after` is what the provider asks to wait, in seconds, if it says."""

    passing = True

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ModelRefusedKey(ModelFailure):
    """The API key does not open this model."""


AWAY = (ModelUnavailable, ModelRateLimited, ModelRefusedKey)
"""The model was not to be had just then, whatever it was asked."""


class ModelRefusedRequest(ModelFailure):
    """The provider does not accept what was asked."""


class ModelRefusedTools(ModelRefusedRequest):
    """The provider does not accept tools; the model may still choose one by a schema."""


class ModelContextTooLong(ModelRefusedRequest):
    """The conversation does not fit into the model's context."""


class ModelAnswerEmpty(ModelFailure):
    """The model answered nothing."""

    passing = True


class ModelAnswerMalformed(ModelFailure):
    """The model answered something else than what was asked for."""


class ModelAnswerCut(ModelFailure):
    """The answer stopped in the middle; what came before is kept by whoever streamed it."""

    passing = True
    provider_is_sick = True
