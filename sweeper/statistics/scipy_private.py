"""scipy's special functions as they are compiled, without what their package makes of them for other kinds of
arrays: it looks through all of numpy for that, an eighth of a second of every command that ranks."""

import sys
from pathlib import Path
from threading import active_count
from types import ModuleType
from typing import Any

PACKAGE = "scipy.special"


def _compiled() -> Any:
    """The package itself where it is there already, where another thread may ask for it meanwhile, and where
    a version of scipy has its functions elsewhere."""
    if PACKAGE not in sys.modules and active_count() == 1:
        try:
            return _without_package()
        except (ImportError, AttributeError):
            pass
    from scipy import special

    return special


def _without_package() -> Any:
    """An empty one stands in its place until they are loaded; who imports it later gets the whole one, with
    these functions in it."""
    import scipy

    empty = ModuleType(PACKAGE)
    empty.__path__ = [str(Path(scipy.__file__).parent / "special")]
    sys.modules[PACKAGE] = empty
    try:
        from scipy.special import _ufuncs
    finally:
        del sys.modules[PACKAGE]
    for name in ("fdtr", "gammaincinv", "ncfdtr", "ndtr", "ndtri", "stdtr", "stdtrit"):
        getattr(_ufuncs, name)
    return _ufuncs


special = _compiled()
