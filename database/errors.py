"""Every way the project fails, as one tree; each message says what to do about it.

VirtuousError
|-- ConfigurationError          something must be set or installed first (exit status 2)
|-- InputError                  what was given cannot be used; nothing was changed
|   |-- UnknownName             no agent, workflow, run or person of that name
|   |-- NotAllowed              this person may not do or see this
|   |-- StaleBase               somebody changed the document in the meantime
|   +-- StaleRevision           somebody moved the proposal (or trial, ...) in the meantime
|-- StoreError                  the record could not be read or written
|   |-- MigrationError          the database and the code do not fit together
|   |-- UnreadableRow           one row is damaged; it is left out wherever there are others
|   |-- RecordAway              Supabase is not there just now; trying again later helps
|   |-- RecordMisconfigured     Supabase refuses us, or lacks our tables; somebody must act
|   +-- RecordRefused           Supabase refuses what was sent, whenever it is sent
|-- ModelError                  the model gave no usable answer (see agents/errors.py)
+-- BudgetExceeded              a limit was reached; it says which and who can raise it
"""


class VirtuousError(Exception):
    """Root of the tree: its text is fit to be shown to a person and says what to do."""


class ConfigurationError(VirtuousError):
    """Something must be set or installed before this can work."""


class InputError(VirtuousError):
    """What was given cannot be used; nothing was changed."""


class UnknownName(InputError):
    """There is nothing of that name here."""


class NotAllowed(InputError):
    """This person may not do or see this."""


class StaleBase(InputError):
    """The document has changed since the version that this change was made from."""


class StaleRevision(InputError):
    """The record has been moved since it was read; read it again and decide anew."""


class StoreError(VirtuousError):
    """The record could not be read or written."""


class MigrationError(StoreError):
    """The database and the code do not fit together."""


class UnreadableRow(StoreError):
    """One row of the record does not hold what it should."""


class RecordAway(StoreError):
    """Supabase is not there just now; `retry_after` in seconds where it said so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RecordMisconfigured(StoreError):
    """Supabase refuses our key, or its tables are not what the code expects."""


class RecordRefused(StoreError):
    """Supabase refuses what was sent; `code` is Postgres's or PostgREST's, or an HTTP status."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class ModelError(VirtuousError):
    """The model gave no usable answer."""


class BudgetExceeded(VirtuousError):
    """A limit was reached; the message says which one and who can raise it."""
