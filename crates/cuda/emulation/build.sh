#!/bin/sh
# Builds the mock driver with all kernels: sh build.sh FOLDER [address]  ->  FOLDER/libcuda.so.1
# With `address`: AddressSanitizer, and the program FOLDER/test_kernels beside it.
# Does nothing where that is there and of these sources. May run several times at once.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cxx=${CXX:-g++}
stamp=$( (cat "$here"/*.cpp "$here"/*.h "$here"/build.sh "$here"/../kernels/*.cu*; "$cxx" --version; grep -m1 '^flags' /proc/cpuinfo || true) | cksum)
[ -e "$1/libcuda.so.1" ] && [ "$(cat "$1/stamp" 2>/dev/null)" = "$stamp" ] && exit 0
out=$(mktemp -d "$1/building.XXXXXX")
trap 'rm -rf "$out"' EXIT
# Without contraction a product and a sum round one after the other, where the kernels ask for that. Fused ones come from the
# processor itself (-march=native), so a build is for the machine that made it.
flags="-std=c++17 -O2 -march=native -ffp-contract=off -fno-math-errno -fvisibility=hidden -fPIC -pthread -DMOBILENET_EMULATION
  -I$here -Wall -Wextra -Werror -Wno-sign-compare -Wno-unknown-pragmas -Wno-missing-field-initializers"
if [ "${2:-}" = address ]; then
  flags="$flags -fsanitize=address -fno-omit-frame-pointer -g1"
fi
# Side by side where there are two processors; the kernels take longest.
$cxx $flags -c "$here/kernels.cpp" -o "$out/kernels.o" &
kernels=$!
for part in block driver driver_memory driver_streams; do
  $cxx $flags -c "$here/$part.cpp" -o "$out/$part.o"
done
wait $kernels
objects="$out/kernels.o $out/block.o $out/driver.o $out/driver_memory.o $out/driver_streams.o"
$cxx $flags -shared -Wl,-soname,libcuda.so.1 $objects -o "$out/libcuda.so.1"
if [ "${2:-}" = address ]; then
  $cxx $flags "$here/test_kernels.cpp" $objects -o "$out/test_kernels"
  mv "$out/test_kernels" "$1/test_kernels"
fi
mv "$out/libcuda.so.1" "$1/libcuda.so.1"
echo "$stamp" > "$1/stamp"
