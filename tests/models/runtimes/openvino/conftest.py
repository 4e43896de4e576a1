"""OpenVINO is an extra; without it these tests have nothing to test."""

import pytest

from models.runtimes.capabilities import package_folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if package_folder("openvino") is None:
        for item in items:
            if item.path.parent.name == "openvino":
                item.add_marker(pytest.mark.skip(reason="openvino is not installed"))
