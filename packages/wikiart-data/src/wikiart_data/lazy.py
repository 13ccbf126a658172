"""A package's public names, imported at their first use (PEP 562): importing the package itself is instant."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def lazy_names(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Make a package's `__getattr__` and `__dir__`.

        __getattr__, __dir__ = lazy_names(__name__, {"Classifier": "classifier"})

    Args:
        package: the `__name__` of the package.
        modules: public name → the module below the package that holds it.

    Returns:
        `__getattr__`, which imports a name and keeps it in the package, and `__dir__`, which lists all names.
    """

    def __getattr__(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{modules[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules})

    return __getattr__, __dir__
