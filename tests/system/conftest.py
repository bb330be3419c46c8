# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the system tests."""
from __future__ import annotations

import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from lab import Daemon  # noqa: E402


@pytest.fixture
def make_daemon(tmp_path: pathlib.Path) -> Iterator[Callable[..., Daemon]]:
    """Makes daemons with directories of their own; ends those that still run, and fails when one does so badly."""
    made: list[Daemon] = []

    def make(*args: str, **kwargs: Any) -> Daemon:
        directory = tmp_path / f"d{len(made)}"
        directory.mkdir()
        made.append(Daemon(directory, *args, **kwargs))
        return made[-1]

    yield make
    failures = []
    for daemon in made:
        try:
            daemon.end()
        except Exception as failure:  # the others must end too
            if daemon.runs():
                daemon.kill9()
            failures.append(failure)
    if failures:
        raise failures[0]


@pytest.fixture
def daemon(make_daemon: Callable[..., Daemon]) -> Daemon:
    """A daemon that serves."""
    return make_daemon().start()
