"""Fixtures of the end-to-end tests: a scripted upstream, servers, and an end to every wait."""
import faulthandler
import os
import shlex
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from larder import TOP, VARIANT, Larder  # noqa: E402
from registry import Registry  # noqa: E402

RUNTIME = {"asan": "libasan.so", "tsan": "libtsan.so"}
DEADLINE = 60 if VARIANT == "release" else 180


class TooLong(Exception):
    """The test did not end in time."""


def too_long(_signal, _frame):
    faulthandler.dump_traceback(all_threads=True)
    raise TooLong(f"more than {DEADLINE} s")


def pytest_configure(config):
    config.addinivalue_line("markers", "faults: needs fault points, which a release has not")


def pytest_collection_modifyitems(items):
    if VARIANT == "release":
        items[:] = [item for item in items if not item.get_closest_marker("faults")]


@pytest.fixture(autouse=True)
def deadline():
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(DEADLINE)
    yield
    signal.alarm(0)


def upstream():
    made = Registry()
    yield made
    made.clear_rules()
    made.stop()


@pytest.fixture
def registry():
    yield from upstream()


@pytest.fixture
def second():
    """Another endpoint."""
    yield from upstream()


@pytest.fixture
def larder(tmp_path):
    """Makes servers; all are stopped at the end, and what must always hold is looked at."""
    made = []

    def make(**options):
        folder = tmp_path / f"larder{len(made)}"
        folder.mkdir()
        made.append(Larder(folder, **{"start": False, **options}))
        if options.get("start", True):
            made[-1].start()
        return made[-1]

    yield make
    try:
        for one in made:
            one.finish()
    finally:
        for one in made:
            if one.process:
                one.process.kill()
            print(one.events[-6000:])
            print("\n".join(one.access[:60]))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 48 MiB; what a test puts on it is gone with the test."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def preload(folder, name):
    """What LD_PRELOAD has to say for NAME.c; the runtime of a sanitizer must come first."""
    made = str(folder / (name + ".so"))
    compiler = shlex.split(os.environ.get("CC", "cc"))
    subprocess.run([*compiler, "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1",
                    "-g", "-fPIC", "-shared", "-o", made,
                    os.path.join(TOP, "tests/e2e", name + ".c"), "-ldl"], check=True)
    if VARIANT not in RUNTIME:
        return made
    runtime = subprocess.run([*compiler, "-print-file-name=" + RUNTIME[VARIANT]], check=True,
                             capture_output=True, text=True).stdout.strip()
    return runtime + ":" + made


@pytest.fixture(scope="session")
def interposer(tmp_path_factory):
    """Writes down in which order what was done."""
    return preload(tmp_path_factory.mktemp("order"), "order")


@pytest.fixture(scope="session")
def forgetful(tmp_path_factory):
    """Forgets what was not synced."""
    return preload(tmp_path_factory.mktemp("forget"), "forget")


@pytest.fixture(scope="session")
def barrier(tmp_path_factory):
    """Lets writes of what comes in wait for the test."""
    return preload(tmp_path_factory.mktemp("barrier"), "barrier")
