"""The greeter's messages as dataclasses of betterproto2, declared as its compiler declares them."""

from __future__ import annotations

from dataclasses import dataclass

import betterproto2


@dataclass(eq=False, repr=False)
class HelloRequest(betterproto2.Message):
    """The request of proto/greet.proto."""

    name: str = betterproto2.field(1, betterproto2.TYPE_STRING)


@dataclass(eq=False, repr=False)
class HelloResponse(betterproto2.Message):
    """The response of proto/greet.proto."""

    message: str = betterproto2.field(1, betterproto2.TYPE_STRING)
