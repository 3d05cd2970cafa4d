"""Power cuts: what was not synced is gone, all of it or some; what was promised is there.

    POWER_ROUNDS=100 SEED=1 make e2e PYTEST='-k power -s'

The server runs on forget.c, which remembers what it synced, and is killed at a random moment of
pulls and pushes. From what was synced, and some of what was not, a data directory is made; on that
it starts as after a boot. No byte that it then serves is wrong, what had been answered 201 is
there, and the index, counted again, is right.
"""
import os
import random
import subprocess
import threading

import pytest
from larder import PROGRAM, VARIANT, StartFailed
from power import Shadow
from recount import Index
from sweep import HOSTED, Notes, World, pull, push
from test_26_reboot import after_a_reboot

ROUNDS = int(os.environ.get("POWER_ROUNDS", 8 if VARIANT == "release" else 4))
SEED = os.environ.get("SEED") or str(int.from_bytes(os.urandom(4), "big"))


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.registry.stop()


def boot(lar, folder, env):
    """It starts, and the kernel's boot id is another one each time."""
    command = lar.command
    lar.env = env
    try:
        after_a_reboot(lar, folder, os.urandom(16).hex())
    finally:
        lar.command = command


def work(lar, world, notes, salt):
    try:
        push(lar, world, notes, salt)
        pull(lar, world, Notes())
    except OSError:
        pass  # it is dead


def check(lar, world, notes):
    for digest, data in notes.blobs:
        reply = lar.get(f"/v2/{HOSTED}/blobs/{digest}")
        assert reply.body == data, f"a pushed blob is lost: {reply}"
    for tag, body in notes.tags.items():
        reply = lar.get(f"/v2/{HOSTED}/manifests/{tag}")
        assert reply.body in (body, *notes.tried.get(tag, ())), f"a pushed image is lost: {reply}"
    pull(lar, world, Notes(spoilt=True))
    after = Notes()
    pull(lar, world, after)
    assert not after.failed, after.failed


def scrub(lar):
    """What nobody asked for again may be spoilt still; it is not believed, and goes when read."""
    said = subprocess.run([PROGRAM, "verify", "--data", lar.data], capture_output=True, text=True,
                          timeout=100, check=False)
    assert said.returncode in (0, 1), said


@pytest.mark.parametrize("forgotten", ["all", "some"])
def test_power_cuts(world, tmp_path, forgetful, forgotten):
    print(f"SEED={SEED} POWER_ROUNDS={ROUNDS}", flush=True)
    rng = random.Random(f"{SEED} {forgotten}")
    lar = world.fresh(filled=False)
    shadow = Shadow(tmp_path / "shadow", forgetful)
    notes = Notes()
    os.mkdir(lar.data)
    try:
        for number in range(ROUNDS):
            shadow.begin(lar.data)
            boot(lar, tmp_path, shadow.env(lar.data))
            check(lar, world, notes)
            mine = Notes()
            worker = threading.Thread(target=work,
                                      args=(lar, world, mine, b"%d" % number), daemon=True)
            worker.start()
            worker.join(rng.choice((0.01, 0.05, 0.1, 0.2, 20)))
            lar.kill()
            worker.join(30)
            notes.add(mine)
            shadow.cut(lar.data, rng if forgotten == "some" else None)
        boot(lar, tmp_path, {})
        check(lar, world, notes)
        started = lar.events.rindex("larder: version")
        lar.wait(lambda: "not clean; looking" not in lar.events[started:]
                 or "looked through:" in lar.events[started:], "all is looked through")
        scrub(lar)
        lar.stop()
        lar.finish()
        Index(lar.data).check()
    except StartFailed as error:
        raise AssertionError(f"round {number} of SEED={SEED}:\n{error}") from error
    finally:
        if lar.process:
            lar.kill()
        print(lar.events[-5000:])
