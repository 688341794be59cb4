"""What the tests of downloads share."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hub import self_signed


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return self_signed(tmp_path_factory.mktemp("tls"))
    except (FileNotFoundError, subprocess.SubprocessError) as error:
        pytest.skip(f"no self-signed certificate: {error}")
