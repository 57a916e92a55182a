"""How many pictures a second go from JPEG files to labels: this package, sharp with ONNX Runtime, PIL with PyTorch.

    python bench/photographs.py photographs
    python bench/files.py photographs [--count 256] [--side 500] [--network mobilenet_v3_small] [--pairs 5] [--name NAME]

Needs pillow, torch, torchvision and safetensors; `npm ci --ignore-scripts` in bench; `npm run build` done. The pictures are
copies of the photographs, in turn, as JPEGs of quality 90 whose longer side is `--side` pixels: 500 is the usual size of
ImageNet's; 0 takes the JPEGs among the photographs as they are. All three run the same network with the same (random)
weights. Each measurement is a process that goes through all files `--rounds` times, of which the first doesn't count; sides
are measured in turns, and compared pair by pair. Writes a table to bench/results/files-<name>.md, and all figures beside it.

- ours: `predictEach` of the files, which are resized as torchvision does it.
- sharp: decoded, resized and cut by sharp as many at a time as there are threads, 32 at a time to ONNX Runtime, while the
  next are being decoded. By sharp's own default a JPEG much larger than needed is decoded at a half, a quarter or an eighth
  of its size, which is faster, and not what the network was trained on; `careful` does so less often.
- pytorch: torchvision's transform of PIL's pictures, in a DataLoader's processes, 32 at a time to PyTorch in channels_last;
  with 1, 2 and no worker beside, of which the fastest counts.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import machine
import measure

HERE = pathlib.Path(__file__).resolve().parent
NODE_BIN = HERE.parent / "bin" / "mobilenet-native.js"


def photographs(folder, count, side, target):
    """The paths of `count` JPEGs."""
    from PIL import Image, ImageOps

    endings = {".jpg", ".jpeg"} if side == 0 else {".jpg", ".jpeg", ".png"}
    originals = sorted(path for path in folder.rglob("*") if path.suffix.lower() in endings)
    files = []
    for place in range(count if side else min(count, len(originals))):
        original = originals[place % len(originals)]
        copy = target / f"{place}.jpg"
        if place >= len(originals):
            copy.hardlink_to(target / f"{place - len(originals)}.jpg")
        elif side == 0:
            copy.write_bytes(original.read_bytes())
        else:
            picture = ImageOps.exif_transpose(Image.open(original)).convert("RGB")
            picture.thumbnail((side, side), Image.Resampling.LANCZOS)
            picture.save(copy, quality=90)
        files.append(str(copy))
    return files


def networks(name, folder):
    """The same network as a state dict, as a checkpoint of ours, and as an ONNX file that takes bytes."""
    import torch
    import torchvision
    from safetensors.torch import save_file

    torch.manual_seed(1)
    weights, checkpoint, onnx = (folder / name for name in ("weights.safetensors", "ours.safetensors", "network.onnx"))
    save_file(torchvision.models.get_model(name, num_classes=1000).state_dict(), weights)
    for arguments in (
        ["import", weights, "--out", checkpoint],
        ["export", checkpoint, "--out", onnx, "--preprocess"],
    ):
        subprocess.run(["node", NODE_BIN, *arguments], check=True, stdout=subprocess.DEVNULL)
    return weights, checkpoint, onnx


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("photographs", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--side", type=int, default=500)
    parser.add_argument("--network", default="mobilenet_v3_small")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--name", default="quick")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        (folder / "files").mkdir()
        files = photographs(options.photographs, options.count, options.side, folder / "files")
        weights, checkpoint, onnx = networks(options.network, folder)
        listing = folder / "files.json"
        listing.write_text(json.dumps(files))
        fixed = [listing, str(options.rounds), str(options.threads)]
        environment = {"RAYON_NUM_THREADS": str(options.threads), "UV_THREADPOOL_SIZE": str(options.threads)}
        pytorch = [sys.executable, HERE / "files_pytorch.py", weights, *fixed, options.network]
        sides = {
            "ours": ["node", HERE / "files_ours.mjs", checkpoint, *fixed],
            "sharp and ONNX Runtime": ["node", HERE / "files_sharp.mjs", onnx, *fixed, "fast"],
            "sharp (careful) and ONNX Runtime": ["node", HERE / "files_sharp.mjs", onnx, *fixed, "careful"],
            **{f"PIL and PyTorch, {n} workers": [*pytorch, str(n)] for n in (0, 1, 2)},
        }

        def once(side):
            return measure.measurement([str(part) for part in sides[side]], 600, environment)

        found = {}
        for side in list(sides)[1:]:
            try:
                found[side] = measure.compare(measure.in_turns(lambda: once("ours"), lambda: once(side), options.pairs))
                print(side, found[side]["ratio"], flush=True)
            except measure.Failed as failure:
                print(f"{side}: {failure}", file=sys.stderr)
    write(options, len(files), found)


def write(options, count, found):
    what = "as they are" if options.side == 0 else f"at most {options.side} pixels a side"
    lines = [
        f"# JPEG files to labels: {options.network}, {what}",
        "",
        f"{count} files, {options.threads} threads, pictures a second (the median of all rounds).",
        "",
        "| beside | theirs | ours | ours is faster by (median of the pairs, least and greatest) |",
        "|---|---|---|---|",
    ]
    for side, result in found.items():
        theirs, ours = (count / result[key]["median_seconds"] for key in ("theirs", "ours"))
        median, least, most = (1 / result["ratio"][key] for key in ("median", "maximum", "minimum"))
        lines.append(f"| {side} | {theirs:.0f} | {ours:.0f} | {median:.2f} ({least:.2f} to {most:.2f}) |")
    described = machine.describe()
    lines += ["", "```json", json.dumps(described, indent=1), "```", ""]
    out = HERE / "results" / f"{'' if options.name.startswith('quick') else 'files-'}{options.name}.md"
    out.write_text("\n".join(lines))
    out.with_suffix(".json").write_text(json.dumps({"machine": described, "found": found}, indent=1) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
