"""Messages arrive whole and in order, however long; the end of the other side is noticed."""

import threading

import pytest

from service.workers.channel import PACKET_BYTES, Channel, Op, packets


@pytest.mark.parametrize("size", [0, 1, PACKET_BYTES, PACKET_BYTES + 1, 5 * PACKET_BYTES + 7])
def test_a_message_of_any_length_arrives_whole(size: int) -> None:
    ours, theirs = (Channel(sock) for sock in Channel.pair())
    body = bytes(index % 251 for index in range(size))
    sender = threading.Thread(target=ours.send, args=(Op.GENERATE, 1, 2, 3, body))
    sender.start()  # a long message fills the socket until the other side reads
    message = theirs.receive()
    sender.join()
    assert message is not None
    assert (message.op, message.slot, message.model, message.ident) == (Op.GENERATE, 1, 2, 3)
    assert bytes(message.body) == body
    ours.close()
    theirs.close()


def test_parts_of_two_requests_may_interleave() -> None:
    ours, theirs = (Channel(sock) for sock in Channel.pair())
    first = list(packets(Op.DONE, 0, 0, 1, b"a" * (PACKET_BYTES + 1)))
    second = list(packets(Op.DONE, 0, 0, 2, b"b" * (PACKET_BYTES + 1)))
    for packet in (first[0], second[0], second[1], first[1]):
        ours.sock.send(packet)
    arrived = [theirs.receive(), theirs.receive()]
    assert [(m.ident, bytes(m.body[:1]), len(m.body)) for m in arrived if m] == [
        (2, b"b", PACKET_BYTES + 1),
        (1, b"a", PACKET_BYTES + 1),
    ]
    ours.close()
    theirs.close()


def test_the_end_of_the_other_side_is_none() -> None:
    ours, theirs = (Channel(sock) for sock in Channel.pair())
    ours.close()
    assert theirs.receive() is None
    theirs.close()
