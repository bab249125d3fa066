"""Every way the project fails, as one tree; each message says what to do about it.

VirtuousError
|-- ConfigurationError          something must be set or installed first (exit status 2)
|-- InputError                  what was given cannot be used; nothing was changed
|   |-- UnknownName             no agent, workflow, run or person of that name
|   |-- NotAllowed              this person may not do or see this
|   +-- StaleBase               somebody changed the document in the meantime
|-- StoreError                  the record could not be read or written
|   +-- MigrationError          the database and the code do not fit together
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


class StoreError(VirtuousError):
    """The record could not be read or written."""


class MigrationError(StoreError):
    """The database and the code do not fit together."""


class ModelError(VirtuousError):
    """The model gave no usable answer."""


class BudgetExceeded(VirtuousError):
    """A limit was reached; the message says which one and who can raise it."""
