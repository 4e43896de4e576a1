"""What stands between the socket and the application: bytes in, whole and sound requests out.

protocol   one connection: collects a request, holds the limits, starts its answer
head       a request's first line and headers, strictly
chunks     the framing of chunked bodies
lane       known infer paths, answered without the application
refusals   answers to what is no request
sweeper    deadlines of all connections, looked at twice a second
bodies     around the application: compressed bodies, JSON depth
"""
