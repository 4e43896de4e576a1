"""The account of key/value memory: what admitted requests may come to need, against what there is.

A request is admitted when prompt and longest answer fit into what is left, so a running row never runs
out of memory and none is ever preempted. The price is that an answer which ends early has held room that
others waited for; the alternative, evicting a row and computing it again, costs a prefill each time, and
prefill is the scarce thing on a CPU.
"""

import mmap

from service.generation.graph import DecoderGraph, GraphRefused
from service.generation.limits import EngineLimits
from service.generation.row import Row
from service.generation.source_cache import whole_steps


class KvLedger:
    """Bytes, in whole pages: every head of every layer touches pages of its own.

    `token_bytes`: keys and values of one position in all layers. `page_tokens`: positions of one head that
    share a page of memory. `source_bytes`: what an encoder leaves for one place, at most; set aside for
    every place and not part of `total_bytes`. `places`: reserved, of the cache's rows.
    """

    def __init__(
        self, total_bytes: int, token_bytes: int, page_tokens: int, source_bytes: int = 0
    ) -> None:
        self.total_bytes = total_bytes
        self.source_bytes = source_bytes
        self.places = 0
        self.token_bytes = token_bytes
        self.page_tokens = page_tokens
        self.reserved_bytes = 0

    @classmethod
    def of(cls, graph: DecoderGraph, limits: EngineLimits) -> "KvLedger":
        """Slots × context in whole pages, or less where the limits allow less; of these, sources come off
        first.

        Raises GraphRefused when that is not even a prompt of one token and its answer.
        """
        width = graph.head_size * graph.cache_dtype.itemsize
        page_tokens = max(1, -(-mmap.PAGESIZE // width))
        token_bytes = 2 * graph.layers * graph.kv_heads * width
        source_bytes = whole_steps(limits.source_tokens) * token_bytes if graph.reads_source else 0
        pages = -(-limits.context_tokens // page_tokens)
        most = limits.slots * pages * page_tokens * token_bytes
        sources = limits.slots * source_bytes
        allowed = limits.kv_memory_bytes - sources if limits.kv_memory_bytes else most
        ledger = cls(min(allowed, most), token_bytes, page_tokens, source_bytes)
        if ledger.total_tokens < 2:
            kept = f" beside {sources:,} for the sources of {limits.slots} slots" if sources else ""
            raise GraphRefused(
                f"{limits.kv_memory_bytes:,} bytes for keys and values do not hold a single page of "
                f"this model, which is {page_tokens * token_bytes:,}{kept}"
            )
        return ledger

    @property
    def total_tokens(self) -> int:
        """Positions that the memory holds; also the longest request that would ever fit."""
        return self.total_bytes // (self.page_tokens * self.token_bytes) * self.page_tokens

    def whole_pages(self, tokens: int) -> int:
        return -(-tokens // self.page_tokens) * self.page_tokens

    def bytes_of(self, tokens: int) -> int:
        return self.whole_pages(tokens) * self.token_bytes

    def row_bytes(self, row: Row) -> int:
        """Of all its places, without their sources."""
        return row.places * self.bytes_of(row.reserved_tokens)

    def fits(self, row: Row) -> bool:
        return self.reserved_bytes + self.row_bytes(row) <= self.total_bytes

    def reserve(self, row: Row) -> None:
        self.reserved_bytes += self.row_bytes(row)
        self.places += row.places
        assert self.reserved_bytes <= self.total_bytes

    def release(self, row: Row) -> None:
        """When it has ended; what was never reserved must not be given."""
        self.reserved_bytes -= self.row_bytes(row)
        self.places -= row.places
        assert min(self.reserved_bytes, self.places) >= 0
