"""How a process that answers is set up, once everything that stays is there."""

import gc
import sys

_SWITCH_S = 0.0005


def settle() -> None:
    """Have answers wait less for what threads compute beside them (`benchmarks.learning_cost`).

    What is there by now stays, libraries and agents: a full collection of garbage would look at
    each of these objects, and stop every thread for a twentieth of a second. And each time that
    the loop comes back from a call of the system, a thread that computes would keep it waiting for
    Python's usual 5 ms; there are dozens of such calls in an answer.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(_SWITCH_S)
