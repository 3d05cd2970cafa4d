"""Some of what `make sweep` does, other ones every day: SWEEP_SEED=2026-01-31 runs those of that
day again, SWEEP_SECONDS=100 more of them."""
import datetime
import io
import os

import pytest
from sweep import sweep

SECONDS = float(os.environ.get("SWEEP_SECONDS", "20"))


@pytest.mark.faults
def test_some_faults(capsys):
    seed = os.environ.get("SWEEP_SEED", datetime.date.today().isoformat())
    said = io.StringIO()
    with capsys.disabled():
        print(f"\nSWEEP_SEED={seed} SWEEP_SECONDS={SECONDS:g}", flush=True)
    results = sweep(said, SECONDS, seed)
    assert results.failed == 0 and results.n > 0, said.getvalue()[-20000:]
