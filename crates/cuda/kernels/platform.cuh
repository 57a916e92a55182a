// The few things that nvcc and the emulation do each in their way.
#pragma once

#ifdef MOBILENET_EMULATION
#include "cuda_emulation.h"
#else
#include <cstddef>
#include <type_traits>

#define DEVICE __device__ __forceinline__
// An array that the threads of a block share.
#define SHARED(type, name, count) __shared__ type name[count]
// And one of `count` pieces of 16 bytes, from the piece `first` on, in the shared memory that the launch gives: there may be more of it.
#define DYNAMIC_SHARED(name, first, count) uint4* const name = dynamic_shared + (first)
extern __shared__ uint4 dynamic_shared[];
// A kernel by its name; the emulation keeps a list of them. Where `blocks` of it are to share a multiprocessor, the compiler is
// told, because it would take more registers otherwise: 128 a thread let two blocks of 256 hide each other's waiting.
#define KERNEL(name, threads) extern "C" __global__ void __launch_bounds__(threads) name
#define CROWDED_KERNEL(name, threads, blocks) extern "C" __global__ void __launch_bounds__(threads, blocks) name
#define END_KERNEL(name)

// Every kernel's first statement. From Hopper on a kernel may be launched before the one in front of it has ended
// (src/driver/stream.rs says when, module.rs does it), so that its blocks are there when they may begin: here they wait for that, and
// for all that was written to be seen. The kernel behind may come as soon as all blocks are this far.
DEVICE void begin_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// The place so many values behind one in global memory, in two instructions, as long as that is less than 4 GB: the compiler would
// add up all that belongs to an address in 64 bits and then come to the array's, which takes five for each.
template <class T>
DEVICE T* behind(T* place, unsigned values) {
  T* to;
  asm("mad.wide.u32 %0, %1, 1, %2;" : "=l"(to) : "r"(values * static_cast<unsigned>(sizeof(T))), "l"(place));
  __builtin_assume(__isGlobal(to));
  return to;
}

// What is given is made where this stands. In front of a condition: what stands behind that stays short, and is predicated. Behind
// one: it stays a branch, where the compiler would make in both ways all that it changes, and choose.
DEVICE void pin(unsigned& word) { asm volatile("" : "+r"(word)); }
DEVICE void pin(float2& values) { asm volatile("" : "+f"(values.x), "+f"(values.y)); }

// Two floats as bfloat16, to the nearest even: `low` in the lower half.
DEVICE unsigned pack_bf16(float low, float high) {
  unsigned word;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
}

// A float rounded to TF32 (10 bits of mantissa), to the nearest.
DEVICE unsigned round_tf32(float value) {
  unsigned word;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(word) : "f"(value));
  return word;
}

// The larger and the smaller of two; NaN if one of them is.
DEVICE float max_nan(float a, float b) {
  float most;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(most) : "f"(a), "f"(b));
  return most;
}
DEVICE float min_nan(float a, float b) {
  float least;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(least) : "f"(a), "f"(b));
  return least;
}

// min(max(low, n), high) of two bfloat16; NaN if one of them is.
DEVICE unsigned cut_pair(unsigned n, unsigned low, unsigned high) {
  asm("max.NaN.bf16x2 %0, %0, %1;" : "+r"(n) : "r"(low));
  asm("min.NaN.bf16x2 %0, %0, %1;" : "+r"(n) : "r"(high));
  return n;
}

// Four matrices of 8 rows of 16 bytes in shared memory, whose addresses 32 lanes give, eight lanes a matrix. A lane gets word
// lane % 4 of row lane / 4 of each, or (transposed) of the rows' 16-bit values in the column lane / 4 those of two rows.
DEVICE void load_matrices(unsigned (&to)[4], const unsigned* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row))));
}
DEVICE void load_matrices_transposed(unsigned (&to)[4], const unsigned* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row))));
}

// Copies BYTES (16 or 4) from global into shared memory without registers between, or zeros where they are not `real`. They are
// there for the thread that asked once it has waited for their group, which ends with a commit, and for the block behind a barrier.
template <int BYTES>
DEVICE void copy_later(unsigned* to, const void* from, bool real) {
  const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(to));
  if constexpr (BYTES == 16) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(real ? 16 : 0));
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(address), "l"(from), "n"(BYTES), "r"(real ? BYTES : 0));
  }
}
DEVICE void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until no more than the last GROUPS groups are on their way.
template <int GROUPS>
DEVICE void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(GROUPS) : "memory");
}

// Asks for the 64 bytes at an address, which are read later: they come into the L2 cache.
DEVICE void prefetch(const void* from) { asm volatile("prefetch.global.L2 [%0];" ::"l"(from)); }

// Loads of which the 256 bytes around come into the L2 cache: those that are not loaded yet soon are.
DEVICE uint2 load_ahead(const uint2* from) {
  uint2 to;
  asm("ld.global.L2::256B.v2.u32 {%0,%1}, [%2];" : "=r"(to.x), "=r"(to.y) : "l"(from));
  return to;
}
DEVICE uint4 load_ahead(const uint4* from) {
  uint4 to;
  asm("ld.global.L2::256B.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(to.x), "=r"(to.y), "=r"(to.z), "=r"(to.w) : "l"(from));
  return to;
}

// Tensor cores: c [16, 8] += a * b, over 16 values of depth in bfloat16, and over 8 in TF32. The fragments are those of the
// PTX manual, "Matrix Fragments for mma.m16n8k16" and "for mma.m16n8k8": in words of 32 bits both lie alike.
template <int M, int N>
DEVICE void mma_bf16(float (&c)[M][N][4], const unsigned (&a)[M][4], const unsigned (&b)[N][2]) {
#pragma unroll
  for (int m = 0; m < M; m++)
#pragma unroll
    for (int n = 0; n < N; n++)
      asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
          : "+f"(c[m][n][0]), "+f"(c[m][n][1]), "+f"(c[m][n][2]), "+f"(c[m][n][3])
          : "r"(a[m][0]), "r"(a[m][1]), "r"(a[m][2]), "r"(a[m][3]), "r"(b[n][0]), "r"(b[n][1]));
}

template <int M, int N>
DEVICE void mma_tf32(float (&c)[M][N][4], const unsigned (&a)[M][4], const unsigned (&b)[N][2]) {
#pragma unroll
  for (int m = 0; m < M; m++)
#pragma unroll
    for (int n = 0; n < N; n++)
      asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
          : "+f"(c[m][n][0]), "+f"(c[m][n][1]), "+f"(c[m][n][2]), "+f"(c[m][n][3])
          : "r"(a[m][0]), "r"(a[m][1]), "r"(a[m][2]), "r"(a[m][3]), "r"(b[n][0]), "r"(b[n][1]));
}
#endif
