"""What the figures were measured on."""

import os
import pathlib
import platform
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The parts of /proc/cpuinfo's flags that decide which kernels a library takes.
INSTRUCTION_SETS = ("sse4_2", "avx", "avx2", "fma", "f16c", "avx512", "amx", "avx_vnni", "asimd", "sve", "bf16")


def field(path, name):
    try:
        lines = pathlib.Path(path).read_text().splitlines()
    except OSError:
        return None
    return next((line.split(":", 1)[1].strip() for line in lines if line.split(":")[0].strip() == name), None)


def output(*command):
    try:
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def describe():
    flags = (field("/proc/cpuinfo", "flags") or field("/proc/cpuinfo", "Features") or "").split()
    memory = field("/proc/meminfo", "MemTotal")
    changed = output("git", "status", "--porcelain", "--untracked-files=no", "--", "crates", "Cargo.lock")
    return {
        "system": platform.platform(),
        "machine": platform.machine(),
        "cpu": field("/proc/cpuinfo", "model name") or platform.processor() or None,
        "cores": os.cpu_count(),
        "instruction_sets": [flag for flag in flags if flag.startswith(INSTRUCTION_SETS)],
        "memory_bytes": int(memory.split()[0]) * 1024 if memory else None,
        "commit": (output("git", "rev-parse", "--short=12", "HEAD") or "") + (" with changes" if changed else ""),
        "rustc": output("rustc", "--version"),
        "node": output("node", "--version"),
    }


def load():
    """Processes that want to run, over the last minute: more than the machine's cores means that others are at it."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
