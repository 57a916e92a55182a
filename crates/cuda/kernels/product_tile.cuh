// A matrix product's tile: BM x BN outputs a block of 8 warps.
#pragma once
#include "product_operand.cuh"

template <int BM_, int BN_>
struct Tile {
  static constexpr int BM = BM_, BN = BN_;
  static constexpr int WARPS_M = 4, WARPS_N = 2;
  static constexpr int WARP_M = BM / WARPS_M, WARP_N = BN / WARPS_N;
  static constexpr int M = WARP_M / 16, N = WARP_N / 8;
  static_assert(M >= 1 && WARP_N % GROUP == 0);
};

// ---- The product ----

// Where a thread's results are: row_of(m, half) and column_of(group), the first of eight columns, within the block's tile.
template <class T>
struct Place {
  DEVICE static int lane() { return threadIdx.x % 32; }
  DEVICE static int warp() { return threadIdx.x / 32; }
  DEVICE static int warp_row() { return warp() / T::WARPS_N * T::WARP_M; }
  DEVICE static int warp_column() { return warp() % T::WARPS_N * T::WARP_N; }
  DEVICE static int row_of(int m, int half) { return warp_row() + m * 16 + half * 8 + lane() / 4; }
  DEVICE static int column_of(int group) { return warp_column() + group * GROUP + lane() % 4 * 8; }
};

template <class T>
using Sums = float[T::M][T::N][4];

// A thread's eight values side by side of one row.
template <class T>
DEVICE void eight(const Sums<T>& sums, int m, int half, int group, float (&to)[8]) {
#pragma unroll
  for (int j = 0; j < 4; j++) {
    to[2 * j] = sums[m][group * 4 + j][half * 2];
    to[2 * j + 1] = sums[m][group * 4 + j][half * 2 + 1];
  }
}

template <class P, class T, class A, class B>
DEVICE void multiply_slab(const unsigned* a_words, const unsigned* b_words, Sums<T>& sums) {
  const int row = Place<T>::warp_row(), column = Place<T>::warp_column();
  if constexpr (is_same<P, Float32>) {
    const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    for (int k = 0; k < SLAB_WORDS; k++) {
      float a[T::M][2], b[T::N][2];
#pragma unroll
      for (int m = 0; m < T::M; m++)
#pragma unroll
        for (int half = 0; half < 2; half++)
          a[m][half] = __uint_as_float(A::word(a_words, row + m * 16 + half * 8 + g, k));
#pragma unroll
      for (int n = 0; n < T::N; n++)
#pragma unroll
        for (int i = 0; i < 2; i++) b[n][i] = __uint_as_float(B::word(b_words, column + n * 8 + 2 * t + i, k));
#pragma unroll
      for (int m = 0; m < T::M; m++)
#pragma unroll
        for (int n = 0; n < T::N; n++)
#pragma unroll
          for (int i = 0; i < 4; i++) sums[m][n][i] = fmaf(a[m][i / 2], b[n][i % 2], sums[m][n][i]);
    }
  } else {
#pragma unroll
    for (int k = 0; k < SLAB_WORDS; k += 8) {
      unsigned a[T::M][4], b[T::N][2];
      A::rows(a_words, row, k, a);
      B::columns(b_words, column, k, b);
      if constexpr (is_same<P, Tf32>) {
        mma_tf32(sums, a, b);
      } else {
        mma_bf16(sums, a, b);
      }
    }
  }
}

// Room for slabs of both operands, two of each: while one is multiplied, the next is written.
#define SLABS(name, A, B)                        \
  SHARED(uint4, name##_a, 2 * A::WORDS / 4);     \
  SHARED(uint4, name##_b, 2 * B::WORDS / 4);     \
  unsigned* const name[2] = {reinterpret_cast<unsigned*>(name##_a), reinterpret_cast<unsigned*>(name##_b)}

// sums = a * b over the depth from `start` to `end`, of which both operands know the end, too.
template <class P, class T, class A, class B>
DEVICE void multiply(A a, B b, int start, int end, unsigned* const (&slabs)[2], Sums<T>& sums) {
  unsigned *a_words = slabs[0], *b_words = slabs[1];
#pragma unroll
  for (int m = 0; m < T::M; m++)
#pragma unroll
    for (int n = 0; n < T::N; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) sums[m][n][i] = 0.0f;
  a.fetch(start);
  b.fetch(start);
  a.store(a_words);
  b.store(b_words);
  __syncthreads();
  int half = 0;
  for (int from = start; from < end; from += SLAB_DEPTH<P>) {
    const int next = from + SLAB_DEPTH<P>;
    if (next < end) {
      a.fetch(next);
      b.fetch(next);
    }
    multiply_slab<P, T, A, B>(a_words + half * A::WORDS, b_words + half * B::WORDS, sums);
    half ^= 1;
    if (next < end) {
      a.store(a_words + half * A::WORDS);
      b.store(b_words + half * B::WORDS);
    }
    __syncthreads();
  }
}

// Adds up two sums a column over the block's rows and writes them to partials[row tile][2][columns]. `first` and `second` are the
// thread's own sums: eight columns of each of its groups.
template <class T>
DEVICE void write_column_sums(float* partials, int row_tile, int first_column, int columns,
                              float (&first)[T::N / 4][8], float (&second)[T::N / 4][8]) {
  SHARED(float, all, T::WARPS_M * 2 * T::BN);
  const int warp_m = Place<T>::warp() / T::WARPS_N;
#pragma unroll
  for (int group = 0; group < T::N / 4; group++)
#pragma unroll
    for (int i = 0; i < 8; i++) {
      float a = first[group][i], b = second[group][i];
#pragma unroll
      for (int distance = 4; distance < 32; distance *= 2) {
        a += __shfl_xor_sync(0xffffffffu, a, distance);
        b += __shfl_xor_sync(0xffffffffu, b, distance);
      }
      if (Place<T>::lane() < 4) {
        const int at = warp_m * 2 * T::BN + Place<T>::column_of(group) + i;
        all[at] = a;
        all[at + T::BN] = b;
      }
    }
  __syncthreads();
  for (int at = threadIdx.x; at < 2 * T::BN; at += PRODUCT_THREADS) {
    const int column = first_column + at % T::BN;
    if (column >= columns) continue;
    float sum = all[at];
    for (int warp = 1; warp < T::WARPS_M; warp++) sum += all[warp * 2 * T::BN + at];
    partials[(static_cast<size_t>(row_tile) * 2 + at / T::BN) * columns + column] = sum;
  }
}
