"""Why a file is not imported; each message names the thing and, where there is one, the remedy."""

from models.errors import BundleError


class ImportRefused(BundleError):
    """The file cannot be served as it is."""

    reason = "import"


class ExternalDataRefused(ImportRefused):
    """Weights beside the file that point somewhere else, or are not what the graph says."""

    reason = "external_data"
