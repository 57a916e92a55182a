"""What isn't a comparison with a library: a second thread's worth, a cold `predict`, and an epoch beside bare steps."""

import json
import random
import struct
import zlib

from measure import compare, in_turns, measurement, run
from peers import EXAMPLES, ROOT, package_missing

CLI = str(ROOT / "bin/mobilenet-native.js")
PICTURES = 64 * 16  # Of an epoch: 16 steps.


def second_thread(setup, work):
    """One thread's time by two threads': the speed-up."""

    def side(threads):
        command = [str(EXAMPLES / "step"), work.kind, work.network, str(work.batch), str(threads)]
        return lambda: measurement([*command, str(setup.steps(work))], setup.timeout)

    return {"network": work.network, **compare(in_turns(side(1), side(2), setup.pairs))}


def cold_predict(setup, layout="cifar"):
    """A whole `predict` of one picture, beside a Node that only reads the same checkpoint."""
    checkpoint, picture = str(setup.folder / "model.safetensors"), setup.folder / "picture.png"
    make = "const [root, layout, file] = process.argv.slice(1);"
    make += "require(root).MobileNet.create({ layout }).then((model) => model.save(file))"
    run(["node", "-e", make, str(ROOT / "dist/index.js"), layout, checkpoint], setup.timeout)
    picture.write_bytes(png(32))

    def process(command):
        _, seconds = run(command, setup.timeout)
        return {"seconds": [seconds]}

    read = "require('node:fs').readFileSync(process.argv[1])"
    pairs = in_turns(
        lambda: process(["node", CLI, "predict", checkpoint, str(picture)]),
        lambda: process(["node", "-e", read, checkpoint]),
        5 if setup.quick else 20,
    )
    return {"network": layout, **compare(pairs)}


def epoch(setup, work):
    """Epochs of a training run with made-up pictures, augmentation included, beside as many bare steps."""
    data = setup.folder / "cifar10"
    if not data.exists():
        data.mkdir()
        (data / "data_batch_1.bin").write_bytes(records(PICTURES))
        # There must be test pictures; one costs nothing beside an epoch.
        (data / "test_batch.bin").write_bytes(records(1))
    steps = PICTURES // work.batch

    def train():
        out = setup.folder / f"run-{random.getrandbits(32):08x}"
        options = {
            "--data": data, "--out": out, "--variant": work.variant, "--layout": work.layout, "--limit": PICTURES, "--epochs": 3,
            "--batch-size": work.batch, "--validation-fraction": 0, "--threads": setup.threads,
        }  # fmt: skip
        flags = [str(part) for option in options.items() for part in option]
        output, _ = run(["node", CLI, "train", "--json", *flags], setup.timeout)
        events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        # The first epoch touches the buffers, as the steps that don't count do.
        return {"seconds": [event["seconds"] for event in events if event["type"] == "epoch"][1:]}

    def bare():
        numbers = [str(work.batch), str(setup.threads), str(steps)]
        result = measurement([str(EXAMPLES / "step"), work.kind, work.network, *numbers], setup.timeout)
        return {"seconds": [sum(result["seconds"])], "peak_bytes": result["peak_bytes"]}

    return {"network": work.network, "steps": steps, **compare(in_turns(train, bare, setup.pairs))}


def measure_programs(setup, works, report):
    """All of them; what can't be measured is named in the report."""
    trained = [work for work in works if work.kind == "train"]
    for work in trained:
        report.attempt(f"second thread, {work.network}", "second_thread", lambda: second_thread(setup, work))
    missing = package_missing()
    if missing:
        report.leave_out("cold predict", missing)
        report.leave_out("epoch beside bare steps", missing)
        return
    report.attempt("cold predict", "cold_predict", lambda: cold_predict(setup))
    for work in trained:
        report.attempt(f"epoch beside bare steps, {work.network}", "epochs", lambda: epoch(setup, work))


def records(count):
    """`count` made-up pictures in the form of CIFAR-10's binary version: a label, then three planes."""
    make = random.Random(0)
    return b"".join(bytes([index % 10]) + make.randbytes(3 * 32 * 32) for index in range(count))


def png(side):
    """A made-up picture."""
    make = random.Random(0)
    rows = b"".join(b"\0" + make.randbytes(3 * side) for _ in range(side))

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
