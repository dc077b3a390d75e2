"""Services: what one plugin offers all others under a name, so that none imports another.

`register_services` offers, `service` takes. A name means one thing in the whole process, as for kinds of gate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.errors import unknown_name
from harness.registry import Known, imported

SERVICES: Known[Any] = Known("register_services")


def service(name: str) -> Callable[..., Any]:
    """Return a function that calls the service of this name; which one is found when it is called.

    Raises:
        InputError: when it is called and nothing offers the service, with the nearest name.
    """

    def call(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever it takes and gives
        __tracebackhide__ = True
        if name not in SERVICES:
            raise unknown_name("service", name, SERVICES)
        return SERVICES.maker(name)(*arguments, **options)

    return call


def offered(name: str) -> Any:  # noqa: ANN401 - a function, or a class
    """Return what is offered under a name itself, with its documentation; `service` imports it later.

    Raises:
        KeyError: where nothing offers it.
    """
    maker = SERVICES.maker(name)
    where = vars(maker).get("where")
    return imported(where) if where else maker
