from collections.abc import Iterator

import pytest

from tests.service.bundles import (
    chat_bundle,
    digits_bundle,
    language_bundle,
    painter_bundle,
    tensor_bundle,
    writer_bundle,
)
from tests.service.fakes import Service, serving


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One of each kind of model behind the real application."""
    repository = tmp_path_factory.mktemp("service") / "repository"
    makers = (
        digits_bundle,
        language_bundle,
        writer_bundle,
        chat_bundle,
        painter_bundle,
        tensor_bundle,
    )
    with serving([make(repository) for make in makers]) as running:
        yield running
