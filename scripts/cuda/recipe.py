#!/usr/bin/env python3
"""The course's recipe by the command line, from Node's start to the last checkpoint: V1 `unpadded`, 50 epochs of 45,000 pictures in
batches of 64, validation and test after each.

    python3 scripts/cuda/recipe.py [--precisions bfloat16,tf32] [--epochs 50] [--device cuda] [--data FOLDER] [--out FILE.json]

Without --data the pictures are made up, in CIFAR-10's form and numbers: a colour for each class under noise. The network can learn
them, and its steps take the same time as with photographs. In the end its loss and accuracy on some more of them are computed by the
card and by the processor, and told side by side.
"""

import argparse
import datetime
import json
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
APP = ROOT / "target/cuda-card/app"
# Test pictures that the processor answers, too: it takes some seconds.
COMPARED = 1000


def make_pictures(folder, pictures):
    """Six files of so many records: a label, then the planes of red, green and blue."""
    folder.mkdir()
    source = random.Random(1)
    colours = [[source.randrange(32, 160) for _ in range(3)] for _ in range(10)]
    noise = source.randbytes(1 << 20)
    # A byte of noise, halved twice, on top of each colour: by tables, which is as fast as Python can.
    tables = [[bytes(min(255, colour + byte // 4) for byte in range(256)) for colour in three] for three in colours]
    for name in [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]:
        records = bytearray()
        for _ in range(pictures):
            label = source.randrange(10)
            records.append(label)
            for table in tables[label]:
                first = source.randrange(len(noise) - 1024)
                records += noise[first:first + 1024].translate(table)
        (folder / name).write_bytes(records)


def cli(*arguments):
    """The command of the packed program, and its environment."""
    node = shutil.which("node") or str(APP / "node")
    program = APP / "node_modules/mobilenet-native/bin/mobilenet-native.js"
    library = APP / "mobilenet-native.node"
    return {"args": [node, str(program), *arguments], "env": os.environ | {"MOBILENET_NATIVE_LIBRARY_PATH": str(library)}}


def answer(*arguments):
    said = subprocess.run(**cli(*arguments), capture_output=True, text=True)
    if said.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {said.returncode}: {said.stderr}")
    return json.loads(said.stdout)


def train(arguments, precision, data, few, folder):
    """One run; what it took, by its own events and by the clock."""
    out = folder / precision
    start = time.perf_counter()
    process = subprocess.Popen(
        **cli("train", "--device", arguments.device, "--precision", precision, "--epochs", str(arguments.epochs), "--data", str(data),
              "--out", str(out), "--json"),
        stdout=subprocess.PIPE, text=True)
    first_step, epochs, report, device = None, [], None, None
    for line in process.stdout:
        event = json.loads(line)
        if event["type"] == "start":
            device = event["config"]["device"]
        elif event["type"] == "step" and first_step is None:
            first_step = time.perf_counter() - start
        elif event["type"] == "epoch":
            epochs.append(event["seconds"])
        elif event["type"] == "done":
            report = event["report"]
    if process.wait() or report is None:
        raise SystemExit(f"the run ended with {process.returncode}")
    seconds = time.perf_counter() - start
    compared = {where: answer("evaluate", str(out / "last.safetensors"), "--data", str(few), "--device", where, "--json")
                for where in (arguments.device, "cpu")}
    print(f"{precision} on {device}: {seconds:.1f} s in all, {report['seconds']:.1f} s by its report, the first step after "
          f"{first_step:.1f} s; epochs of {min(epochs):.2f} to {max(epochs):.2f} s; test accuracy {report['test']['accuracy']:.4f}; "
          f"of {COMPARED} others {json.dumps(compared)}", flush=True)
    return {"precision": precision, "device": device, "seconds": seconds, "report_seconds": report["seconds"],
            "first_step_seconds": first_step, "epoch_seconds": epochs, "test": report["test"], "compared": compared}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precisions", default="bfloat16,tf32")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data")
    parser.add_argument("--out", default=str(ROOT / "target/cuda-card/recipe.json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        data, few = pathlib.Path(arguments.data or folder / "data"), folder / "few"
        if not arguments.data:
            make_pictures(data, 10_000)
        make_pictures(few, COMPARED)
        checks = answer("doctor", "--json")["checks"]
        card = next(check["detail"] for check in checks if check["name"] == "graphics card")
        print(card, flush=True)
        result = {"date": datetime.date.today().isoformat(), "card": card, "runs": []}
        for precision in arguments.precisions.split(","):
            result["runs"].append(train(arguments, precision, data, few, folder))
            pathlib.Path(arguments.out).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
