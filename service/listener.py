"""Listening sockets, and sentences for when there is none to be had."""

import errno
import socket
from dataclasses import dataclass

from models.errors import UsageError
from service.errors import StartError

_BACKLOG = 2048


@dataclass(frozen=True)
class Place:
    """Where to listen, and the option that says so."""

    host: str
    port: int
    option: str = "--port"


def listen(place: Place) -> socket.socket:
    """The listening socket. Raises StartError (port in use, forbidden) or UsageError (no such host)."""
    try:
        found = socket.getaddrinfo(
            place.host, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise UsageError(f"--host {place.host!r} is not an address of this machine") from error
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise StartError(_why_not(place, error)) from error
    listener.setblocking(False)
    return listener


def url_of(host: str, listener: socket.socket) -> str:
    """How a client on this machine names it."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"


def _why_not(place: Place, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        free = " (0 takes a free one)" if place.option == "--port" else ""
        return (
            f"port {place.port} on {place.host} is in use: stop the program that listens there, "
            f"or choose another with {place.option}{free}"
        )
    if error.errno == errno.EACCES:
        return f"port {place.port} needs privileges; choose one above 1023 with {place.option}"
    return f"cannot listen on {place.host} port {place.port}: {error.strerror}"
