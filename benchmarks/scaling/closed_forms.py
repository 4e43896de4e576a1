"""Queues with known answers: what the simulation is tested against, and a first guess for a capacity.

λ arrivals per second, µ services per second and server, ρ = λ / (servers · µ) < 1; Poisson arrivals.
Source: any textbook of queueing theory, such as Kleinrock, "Queueing Systems", volume 1, 1975.
"""


def mm1_wait_s(arrivals_per_s: float, services_per_s: float) -> float:
    """Mean wait before service; service times exponential."""
    return mg1_wait_s(arrivals_per_s, 1 / services_per_s, 2 / services_per_s**2)


def md1_wait_s(arrivals_per_s: float, services_per_s: float) -> float:
    """Mean wait before service; every service takes as long."""
    return mg1_wait_s(arrivals_per_s, 1 / services_per_s, 1 / services_per_s**2)


def mg1_wait_s(arrivals_per_s: float, mean_s: float, mean_square_s2: float) -> float:
    """Pollaczek and Khinchine: of the service times only the first two moments count."""
    busy = arrivals_per_s * mean_s
    _check(busy)
    return arrivals_per_s * mean_square_s2 / (2 * (1 - busy))


def erlang_c(arrivals_per_s: float, services_per_s: float, servers: int) -> float:
    """Share of arrivals that find all servers busy; service times exponential."""
    load = arrivals_per_s / services_per_s
    busy = load / servers
    _check(busy)
    blocked = 1.0  # Erlang's B by its recursion: no factorials
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked / (1 - busy * (1 - blocked))


def mmc_wait_s(arrivals_per_s: float, services_per_s: float, servers: int) -> float:
    """Mean wait before service with several servers and one queue."""
    waits = erlang_c(arrivals_per_s, services_per_s, servers)
    return waits / (servers * services_per_s - arrivals_per_s)


def _check(busy: float) -> None:
    if not 0 <= busy < 1:
        raise ValueError(f"busy for {busy:.3g} of the time: such a queue never settles")
