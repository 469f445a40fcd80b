"""Work that blocks for seconds, in a thread of its own, and a sign of life meanwhile. No torch."""

import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, wait


def meanwhile(work: Callable[[], None], name: str, *, every: float = 0.5) -> Generator[None, None, None]:
    """Yields None every `every` seconds until the work is done; raises what it raises.

    Closing does not stop the work: what must stop looks at an event of its own.
    """
    done: Future[None] = Future()

    def run() -> None:
        try:
            work()
            done.set_result(None)
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    while not wait([done], timeout=every).done:
        yield
    done.result()
