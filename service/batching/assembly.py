"""Rows into a batch and a batch's outputs back to their rows, as the manifest's axes say. Pure functions
of the arrays: no queue, no time.

Letters: R rows of one ticket, B rows of the batch.
"""

import math
from collections.abc import Sequence
from itertools import starmap

import numpy as np

from models.datatypes import BY_ONNX
from models.errors import InputError
from models.manifest import Manifest, TensorSpec
from models.transforms.text import pad_batch
from service.batching.ticket import Arrays, Ticket
from service.errors import OutputMismatch


class Assembly:
    """How one model's items are stacked. `can_batch` is false when a tensor has no batch axis: then its
    value belongs to one request and nothing may join it."""

    def __init__(
        self,
        manifest: Manifest,
        allowed_sizes: Sequence[int] = (),
        length_buckets: Sequence[int] = (),
        length_step: int = 0,
    ) -> None:
        """Both ascend. `allowed_sizes`: a batch is filled up to the next of them; `length_buckets`: so is
        every axis that may be padded, of a batch of one too. `length_step`: or up to a multiple of it, but
        never beyond what the model has answered before, since nobody knows how much it takes."""
        self.inputs = manifest.inputs
        self.outputs = manifest.outputs
        self.can_batch = all(s.batch_axis is not None for s in (*self.inputs, *self.outputs))
        self._allowed = tuple(allowed_sizes) if self.can_batch else ()
        self._checks = [(s.name, BY_ONNX[s.dtype.value].numpy, len(s.shape)) for s in self.inputs]
        self._padded = frozenset(axis for spec in self.inputs for axis in spec.pad_axes)
        self._axes = tuple(
            dict.fromkeys(str(a) for s in self.inputs for a in s.shape if a in s.pad_axes)
        )
        self._buckets = tuple(length_buckets) if self._padded and self.can_batch else ()
        self._step = length_step if self._padded and self.can_batch and not self._buckets else 0
        self._answered = [0] * len(self._axes)  # the longest so far
        self._is_simple = not self._padded and all(s.batch_axis == 0 for s in self.inputs)
        self._cuts_rows_only = not self._padded and all(s.batch_axis == 0 for s in self.outputs)
        self._names = tuple(spec.name for spec in self.inputs)

    def batched(self, item: Arrays) -> Arrays:
        """One item without batch axis → the same with a batch axis of 1. Raises InputError."""
        for spec in self.inputs:
            if spec.name not in item:
                raise InputError(f"input {spec.name!r} is missing")
        return {
            spec.name: np.expand_dims(item[spec.name], spec.batch_axis)
            if spec.batch_axis is not None
            else item[spec.name]
            for spec in self.inputs
        }

    def check(self, inputs: Arrays) -> None:
        """Raises InputError unless every input is there with its element type and rank."""
        for name, dtype, rank in self._checks:
            array = inputs.get(name)
            if array is None:
                raise InputError(f"input {name!r} is missing")
            if array.dtype != dtype or array.ndim != rank:
                raise InputError(
                    f"input {name!r} is {array.dtype} of rank {array.ndim}, not {dtype} of rank {rank}"
                )

    def describe(self, ticket: Ticket) -> None:
        """What must be equal to share a batch, how long it is, how much work. Raises InputError."""
        inputs = ticket.inputs
        if self._is_simple:
            ticket.key = tuple([inputs[name].shape[1:] for name in self._names])
            ticket.work = float(inputs[self._names[0]].size)
            return
        lengths: dict[str, int] = {}
        fixed: list[int] = []
        for spec in self.inputs:
            for position, size in enumerate(inputs[spec.name].shape):
                axis = spec.shape[position]
                if axis in spec.pad_axes:
                    if lengths.setdefault(str(axis), size) != size:
                        # Alone the graph would refuse it, padded with others perhaps not.
                        raise InputError(
                            f"axis {axis!r} is {size} in input {spec.name!r} and "
                            f"{lengths[str(axis)]} in another"
                        )
                elif position != spec.batch_axis:
                    fixed.append(size)
        ticket.key = tuple(fixed)
        ticket.lengths = tuple(starmap(self._padded_length, enumerate(lengths.values())))
        ticket.work = float(ticket.rows * math.prod(ticket.lengths or fixed))

    def work(self, tickets: Sequence[Ticket]) -> float:
        """Of the batch that they make together, padding included."""
        if not self._padded:
            return sum([ticket.work for ticket in tickets])
        longest = map(max, zip(*(ticket.lengths for ticket in tickets), strict=True))
        return float(sum(ticket.rows for ticket in tickets) * math.prod(longest))

    def stack(self, tickets: Sequence[Ticket]) -> Arrays:
        """Tickets of one key → one batch [B, …], filled up to an allowed size with copies of its last
        row, which are cut off again."""
        missing = self._missing(sum([ticket.rows for ticket in tickets])) if self._allowed else 0
        if self._buckets or self._step:
            rows = [row for ticket in tickets for row in self._rows(ticket)]
            longest = map(max, zip(*(ticket.lengths for ticket in tickets), strict=True))
            least = dict(zip(self._axes, longest, strict=True))
            return pad_batch(rows + rows[-1:] * missing, self.inputs, least)
        if len(tickets) == 1 and not missing:
            return tickets[0].inputs
        if self._padded and len({ticket.lengths for ticket in tickets}) > 1:
            rows = [row for ticket in tickets for row in self._rows(ticket)]
            return pad_batch(rows + rows[-1:] * missing, self.inputs)
        batch: Arrays = {}
        for spec in self.inputs:
            axis = spec.batch_axis or 0
            arrays = [ticket.inputs[spec.name] for ticket in tickets]
            if missing:
                arrays.append(np.repeat(np.take(arrays[-1], [-1], axis), missing, axis))
            batch[spec.name] = np.concatenate(arrays, axis)
        return batch

    def split(self, outputs: Arrays, tickets: Sequence[Ticket]) -> list[Arrays]:
        """A batch's outputs → each ticket's. Raises OutputMismatch when the rows do not add up."""
        rows = sum([ticket.rows for ticket in tickets])
        missing = self._missing(rows) if self._allowed else 0
        if self.can_batch:
            for spec in self.outputs:
                self._count(spec, outputs[spec.name], rows + missing)
        if self._step:
            longest = map(max, zip(*(ticket.lengths for ticket in tickets), strict=True))
            self._answered = list(map(max, self._answered, longest))
        if len(tickets) == 1 and not missing and not (self._buckets or self._step):
            return [self._single(outputs) if tickets[0].is_single else outputs]
        parts, start = [], 0
        for ticket in tickets:
            end = start + ticket.rows
            if self._cuts_rows_only:
                part = {spec.name: outputs[spec.name][start:end] for spec in self.outputs}
            else:
                part = {s.name: self._part(s, outputs, start, end, ticket) for s in self.outputs}
            parts.append(self._single(part) if ticket.is_single else part)
            start = end
        return parts

    def _padded_length(self, axis: int, length: int) -> int:
        if self._step:
            steps = -(-length // self._step) * self._step
            return steps if steps <= self._answered[axis] else length
        return next((bucket for bucket in self._buckets if bucket >= length), length)

    def _missing(self, rows: int) -> int:
        """Rows up to the next allowed size."""
        return next((size for size in self._allowed if size >= rows), rows) - rows

    def slices(self, inputs: Arrays, rows: int, size: int) -> list[Arrays]:
        """An oversized request cut into pieces of at most `size` rows."""
        return [
            {
                spec.name: _take(inputs[spec.name], start, min(start + size, rows), spec)
                for spec in self.inputs
            }
            for start in range(0, rows, size)
        ]

    def join(self, parts: list[Arrays]) -> Arrays:
        return {
            spec.name: np.concatenate([part[spec.name] for part in parts], spec.batch_axis or 0)
            for spec in self.outputs
        }

    def _single(self, outputs: Arrays) -> Arrays:
        """Drop the batch axis, where there is one."""
        return {
            spec.name: np.take(outputs[spec.name], 0, spec.batch_axis)
            if spec.batch_axis is not None
            else outputs[spec.name]
            for spec in self.outputs
        }

    def _rows(self, ticket: Ticket) -> list[Arrays]:
        return [
            {s.name: np.take(ticket.inputs[s.name], row, s.batch_axis) for s in self.inputs}
            for row in range(ticket.rows)
        ]

    def _count(self, spec: TensorSpec, output: np.ndarray, rows: int) -> None:
        axis = spec.batch_axis or 0
        if output.ndim <= axis or output.shape[axis] != rows:
            raise OutputMismatch(
                f"the model gave output {spec.name!r} of shape {list(output.shape)} for {rows} items"
            )

    def _part(
        self, spec: TensorSpec, outputs: Arrays, start: int, end: int, ticket: Ticket
    ) -> np.ndarray:
        part = _take(outputs[spec.name], start, end, spec)
        for position, axis in enumerate(spec.shape):
            if (
                axis in self._padded
            ):  # this output is as long as the padded input: cut the padding off
                part = part.take(range(self._size_of(str(axis), ticket)), axis=position)
        return part

    def _size_of(self, axis: str, ticket: Ticket) -> int:
        for spec in self.inputs:
            if axis in spec.shape:
                return int(ticket.inputs[spec.name].shape[spec.shape.index(axis)])
        raise AssertionError(axis)


def _take(array: np.ndarray, start: int, end: int, spec: TensorSpec) -> np.ndarray:
    """A view of rows `start` to `end`."""
    if spec.batch_axis in (0, None):
        return array[start:end]
    return array[(slice(None),) * (spec.batch_axis or 0) + (slice(start, end),)]
