"""A little of what `make soak` does: SOAK_SEED=… runs the same again, SOAK_SECONDS=100 more."""
import io
import os

from soak import soak

SECONDS = float(os.environ.get("SOAK_SECONDS", "7"))


def test_all_at_once(capsys):
    seed = os.environ.get("SOAK_SEED") or str(int.from_bytes(os.urandom(4), "big"))
    said = io.StringIO()
    with capsys.disabled():
        print(f"\nSOAK_SEED={seed} SOAK_SECONDS={SECONDS:g}", flush=True)
    done = soak(said, SECONDS, seed)
    assert done.failed == 0, said.getvalue()[-20000:]
