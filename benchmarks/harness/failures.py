"""Why a figure is missing. Either ends in the report as a row with its reason, never as a made-up figure."""


class MeasurementFailed(Exception):
    """The thing could not be measured: its server did not start, refused, or answered wrongly."""


class NotAvailable(Exception):
    """A tool, package, model or feature that the measurement needs is not there."""


class Interrupted(Exception):
    """Somebody pressed Ctrl-C, or the time was up: what is measured so far is kept."""
