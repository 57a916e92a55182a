#!/bin/sh
# Builds the mock driver with all kernels: sh build.sh FOLDER [address]  ->  FOLDER/libcuda.so.1
# With `address`: AddressSanitizer, and the program FOLDER/test_kernels beside it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cxx=${CXX:-g++}
# Without contraction a product and a sum round one after the other, as where the kernels ask for that. What lies where the
# processor's own vector instructions decide: a build is for the machine that runs it.
flags="-std=c++17 -O2 -march=native -ffp-contract=off -fno-math-errno -fvisibility=hidden -fPIC -pthread -DMOBILENET_EMULATION
  -I$here -Wall -Wextra -Werror -Wno-sign-compare -Wno-unknown-pragmas -Wno-missing-field-initializers"
if [ "${2:-}" = address ]; then
  flags="$flags -fsanitize=address -fno-omit-frame-pointer -g1"
fi
# Side by side where there are two processors; the kernels take longest.
$cxx $flags -c "$here/kernels.cpp" -o "$1/kernels.o" &
kernels=$!
for part in block driver driver_memory driver_streams; do
  $cxx $flags -c "$here/$part.cpp" -o "$1/$part.o"
done
wait $kernels
objects="$1/kernels.o $1/block.o $1/driver.o $1/driver_memory.o $1/driver_streams.o"
if [ "${2:-}" = address ]; then
  $cxx $flags "$here/test_kernels.cpp" $objects -o "$1/test_kernels"
fi
$cxx $flags -shared -Wl,-soname,libcuda.so.1 $objects -o "$1/.libcuda.so.1"
mv "$1/.libcuda.so.1" "$1/libcuda.so.1"
