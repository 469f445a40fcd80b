"""What becomes of an error that no command has words for: a sentence, an exit code, a traceback in a file."""

import gc
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from trainer.errors import is_of_memory

FAILED, INTERRUPTED = 1, 130


def last_resort(run: Callable[[], object]) -> NoReturn:
    """Runs a command line, which ends the process. Its imports belong into `run`: Ctrl-C may come then."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # closed by whoever started it, or none of Python's own
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        run()
        code = 0
    except SystemExit as ended:
        code = _say(INTERRUPTED, "interrupted") if _by_ctrl_c(ended) else _code(ended)
    except KeyboardInterrupt:
        code = _say(INTERRUPTED, "interrupted")
    except RecursionError:
        code = _say(FAILED, "what was read is nested too deeply")
    except OSError as error:
        code = _say(FAILED, f"{error.filename or 'the system'}: {error.strerror or error}")
    except Exception as error:
        code = _say(FAILED, _in_words(error))
    _leave(code)


def _in_words(error: Exception) -> str:
    if is_of_memory(error):
        return "there is not enough memory"
    return f"internal error: {type(error).__name__}; what led to it stands in {_traceback_file()}"


def _by_ctrl_c(ended: SystemExit) -> bool:
    """typer makes an exit without a word of it; a command that has words of its own is not interrupted so."""
    error: BaseException | None = ended
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None and ended.code == INTERRUPTED


def _code(ended: SystemExit) -> int:
    if ended.code is None or isinstance(ended.code, int):
        return ended.code or 0
    return _say(FAILED, str(ended.code))


def _say(code: int, sentence: str) -> int:
    with suppress(OSError, ValueError, AttributeError):
        print(sentence, file=sys.stderr, flush=True)
    return code


def _traceback_file() -> str:
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="bd3lm-sweep-", suffix=".log", delete=False, encoding="utf-8", errors="replace"
        ) as file:
            traceback.print_exc(file=file)
        return file.name
    except OSError as error:
        return f"no file, for none can be written ({error.strerror})"


def _leave(code: int) -> NoReturn:
    """What still waits to be printed is; where it cannot be, that is said once, and no more is tried."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError) as error:
        code = code or FAILED
        if not isinstance(error, BrokenPipeError):  # whoever read it has gone: no mistake
            _say(code, f"the output cannot be written: {getattr(error, 'strerror', None) or error}")
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    gc.freeze()  # what is left goes with the process: to look through it for garbage was a sixth of `list`
    sys.exit(code)
