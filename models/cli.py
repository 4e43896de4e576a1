"""`slipway models`: what a repository holds, one aligned line a version."""

import argparse
import json
from pathlib import Path

from models.bundle import Bundle
from models.catalog import Listing, default_repository, scan
from models.manifest import Manifest
from models.sizes import human_bytes
from models.tables import aligned


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `models` to the command line."""
    parser = commands.add_parser(
        "models",
        help="list the published models",
        description="List every version of every model in a repository, and why a version is refused.",
    )
    parser.add_argument(
        "--repository",
        type=Path,
        default=default_repository(),
        metavar="DIR",
        help="folder of <name>/<version>/ (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    parser.add_argument(
        "--no-verify", action="store_true", help="trust the files: skip their checksums (quicker)"
    )
    parser.set_defaults(handler=_list_models)


def _list_models(arguments: argparse.Namespace) -> int:
    listing = scan(arguments.repository, verify=not arguments.no_verify)
    if arguments.json:
        print(json.dumps(_as_records(listing), indent=2))
    elif listing.bundles:
        print(aligned(_HEAD, [_row(bundle) for bundle in listing.bundles]))
    else:
        print(f"no models in {arguments.repository} yet; `slipway train digits` publishes one")
    for rejected in listing.rejected:
        if not arguments.json:
            print(f"refused: {rejected.detail} ({rejected.reason})")
    return 1 if listing.rejected else 0


_HEAD = ("NAME", "VERSION", "TASK", "PRECISION", "SIZE", "METRIC", "GATE")


def _row(bundle: Bundle) -> tuple[str, ...]:
    manifest = bundle.manifest
    precisions = dict.fromkeys(
        [manifest.precision, *(variant.precision for variant in manifest.variants)]
    )
    return (
        manifest.name,
        str(manifest.version),
        manifest.task,
        ",".join(precisions),
        human_bytes(bundle.size_bytes),
        _metric(manifest),
        _gate(manifest),
    )


def _metric(manifest: Manifest) -> str:
    if not manifest.evaluation:
        return "–"
    main = manifest.evaluation[0]
    return f"{main.metric} {main.value:.3f}"


def _gate(manifest: Manifest) -> str:
    if not manifest.gates:
        return "none"
    failed = [gate.name for gate in manifest.gates if not gate.passed]
    return "FAILED: " + ",".join(failed) if failed else "passed"


def _as_records(listing: Listing) -> dict[str, object]:
    return {
        "models": [dict(zip(map(str.lower, _HEAD), _row(b), strict=True)) for b in listing.bundles],
        "refused": [vars(rejected) for rejected in listing.rejected],
    }
