"""Processes that end with the one that started them."""

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """End this process, whatever it is doing, when the one that started it has died.

    A process that was killed tells nobody; its orphans would compute on, or wait for ever.
    """
    threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
