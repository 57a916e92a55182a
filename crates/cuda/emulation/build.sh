#!/bin/sh
# Compiles the kernels for the processor.
#   sh build.sh FOLDER            FOLDER/libcuda.so.1, the mock driver with all kernels
#   sh build.sh FOLDER address    FOLDER/test_kernels, a program that runs them under AddressSanitizer, alignment checked
# Does nothing where that is there and of these sources. May run several times at once.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cxx=${CXX:-g++}
made=libcuda.so.1 parts="block driver driver_memory driver_modules driver_order driver_streams driver_graphs" optimize=-O2
folder=$1
if [ "${2:-}" = address ]; then
  # At -O2 the sanitizer's checks take the compiler twice as long.
  made=test_kernels parts="block test_kernels" optimize="-O1 -g1 -fsanitize=address,alignment -fno-sanitize-recover=all -fno-omit-frame-pointer"
fi
stamp=$( (cat "$here"/*.cpp "$here"/*.h "$here"/build.sh "$here"/../kernels/*.cu*; "$cxx" --version; grep -m1 '^flags' /proc/cpuinfo || true) | cksum)
[ -e "$folder/$made" ] && [ "$(cat "$folder/stamp" 2>/dev/null)" = "$stamp" ] && exit 0
out=$(mktemp -d "$folder/building.XXXXXX")
trap 'rm -rf "$out"' EXIT
# Without contraction a product and a sum round one after the other, where the kernels ask for that. Fused ones come from the
# processor itself (-march=native), so a build is for the machine that made it.
# The flags are this script's arguments from here on: a folder's name may have a space. $cxx and $optimize may be several words.
set -- -std=c++17 $optimize -march=native -ffp-contract=off -fno-math-errno -fvisibility=hidden -fPIC -pthread \
  -DMOBILENET_EMULATION "-I$here" -Wall -Wextra -Werror -Wno-sign-compare -Wno-unknown-pragmas -Wno-missing-field-initializers
# Side by side where there are two processors; the kernels take longest.
$cxx "$@" -c "$here/kernels.cpp" -o "$out/kernels.o" &
kernels=$!
for part in $parts; do
  $cxx "$@" -c "$here/$part.cpp" -o "$out/$part.o"
done
wait $kernels
if [ "$made" = test_kernels ]; then
  $cxx "$@" "$out"/*.o -o "$out/$made"
else
  $cxx "$@" -shared -Wl,-soname,libcuda.so.1 "$out"/*.o -o "$out/$made"
fi
mv "$out/$made" "$folder/$made"
echo "$stamp" > "$folder/stamp"
