// A matrix product's tile: BM x BN outputs a block.
#pragma once
#include "product_operand.cuh"

// Where a side has only 32 outputs, half as many warps have as much to do each, and share fewer barriers.
template <int BM_, int BN_>
struct Tile {
  static constexpr int BM = BM_, BN = BN_;
  // The largest tiles: 64x64 outputs a warp, and a block has a multiprocessor's registers alone.
  static constexpr bool WIDE = BM * BN > 128 * 128;
  static constexpr int THREADS = BM > GROUP && BN > GROUP ? PRODUCT_THREADS : PRODUCT_THREADS / 2;
  static constexpr int WARPS_N = BN == 256 ? 4 : BN > GROUP ? 2 : 1, WARPS_M = THREADS / 32 / WARPS_N;
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

// Column i of a thread's eight side by side of one row.
template <class T>
DEVICE float& value_of(Sums<T>& sums, int m, int half, int group, int i) {
  return sums[m][group * 4 + i / 2][half * 2 + i % 2];
}
// All eight.
template <class T>
DEVICE void eight(Sums<T>& sums, int m, int half, int group, float (&to)[8]) {
#pragma unroll
  for (int i = 0; i < 8; i++) to[i] = value_of<T>(sums, m, half, group, i);
}

// Goes through a thread's rows.
template <class T, class Visit>
DEVICE void each_row(const Visit& visit) {
#pragma unroll
  for (int m = 0; m < T::M; m++)
#pragma unroll
    for (int half = 0; half < 2; half++) visit(m, half);
}

// sums += a * b over half a slab, from its word `first_k` on.
template <class P, class T, class A, class B>
DEVICE void multiply_half(const unsigned* a_words, int a_at, const unsigned* b_words, int b_at, int first_k, Sums<T>& sums) {
  if constexpr (is_same<P, Float32>) {
    const int row = Place<T>::warp_row() + threadIdx.x % 32 / 4, column = Place<T>::warp_column() + threadIdx.x % 4 * 2;
    for (int k = first_k; k < first_k + 8; k++) {
      float a[T::M][2], b[T::N][2];
#pragma unroll
      for (int m = 0; m < T::M; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) a[m][half] = __uint_as_float(A::word(a_words, row, m * 16 + half * 8, k));
#pragma unroll
      for (int n = 0; n < T::N; n++)
#pragma unroll
        for (int i = 0; i < 2; i++) b[n][i] = __uint_as_float(B::word(b_words, column, n * 8 + i, k));
#pragma unroll
      for (int m = 0; m < T::M; m++)
#pragma unroll
        for (int n = 0; n < T::N; n++)
#pragma unroll
          for (int i = 0; i < 4; i++) sums[m][n][i] = fmaf(a[m][i / 2], b[n][i % 2], sums[m][n][i]);
    }
  } else {
    unsigned a[T::M][4], b[T::N][2];
    A::rows(a_words, a_at, first_k, a);
    B::columns(b_words, b_at, first_k, b);
    if constexpr (is_same<P, Tf32>) {
      mma_tf32(sums, a, b);
    } else {
      mma_bf16(sums, a, b);
    }
  }
}

// The dynamic shared memory with which wide tiles are launched, as in src/kernels/grid.rs. With what write_column_sums takes it must
// stay below 99 KB: compute capability 8.6 and 8.9 have no more for a block.
constexpr int WIDE_SHARED_BYTES = 69 << 10;

// Room for slabs of both operands.
struct Slabs {
  unsigned *a, *b;
};
template <class T, class A, class B>
DEVICE Slabs slabs_of() {
  constexpr int A_PIECES = A::STAGES * A::WORDS / 4, B_PIECES = B::STAGES * B::WORDS / 4;
  if constexpr (T::WIDE) {
    static_assert((A_PIECES + B_PIECES) * 16 <= WIDE_SHARED_BYTES);
    DYNAMIC_SHARED(a, 0, A_PIECES);
    DYNAMIC_SHARED(b, A_PIECES, B_PIECES);
    return {reinterpret_cast<unsigned*>(a), reinterpret_cast<unsigned*>(b)};
  } else {
    SHARED(uint4, a, A_PIECES);
    SHARED(uint4, b, B_PIECES);
    return {reinterpret_cast<unsigned*>(a), reinterpret_cast<unsigned*>(b)};
  }
}

// Where a slab lies, by its number.
template <class O>
DEVICE unsigned* stage(unsigned* words, int slab) {
  return words + slab % O::STAGES * O::WORDS;
}

struct Nothing {
  DEVICE void operator()() const {}
};

// sums = a * b over the depth from `start` to `end`, of which both operands know the end, too. While a slab is multiplied the
// next but one is on its way: in registers, or to a third place in shared memory. So there is one barrier a slab, behind which
// what was stored before it is read, and what was read before it is written over. The next slab is made between the halves of
// a slab's product, so that the tensor cores have work meanwhile. `meanwhile` is called when the first slabs are on their way.
template <class P, class T, class A, class B, class Meanwhile = Nothing>
DEVICE void multiply(A a, B b, int start, int end, const Slabs& slabs, Sums<T>& sums,
                     const Meanwhile& meanwhile = {}) {
  constexpr int DEPTH = SLAB_DEPTH<P>;
  constexpr bool COPIED = A::COPIED || B::COPIED;
  unsigned *const a_words = slabs.a, *const b_words = slabs.b;
  const int a_at = A::rows_at(Place<T>::warp_row()), b_at = B::columns_at(Place<T>::warp_column());
#pragma unroll
  for (int m = 0; m < T::M; m++)
#pragma unroll
    for (int n = 0; n < T::N; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) sums[m][n][i] = 0.0f;
  int slab = 0, from = start;
  const auto fetch = [&](A& a, B& b, int ahead) {
    a.fetch(from + ahead * DEPTH, stage<A>(a_words, slab + ahead));
    b.fetch(from + ahead * DEPTH, stage<B>(b_words, slab + ahead));
  };
  const auto store = [&](const A& a, const B& b, int ahead) {
    a.store(stage<A>(a_words, slab + ahead));
    b.store(stage<B>(b_words, slab + ahead));
  };
  const auto multiply_half_at = [&](int k) {
    multiply_half<P, T, A, B>(stage<A>(a_words, slab), a_at, stage<B>(b_words, slab), b_at, k, sums);
  };
  const auto step = [&](auto stores, auto fetches) {
    if constexpr (COPIED) wait_for_copies<1>();
    __syncthreads();
    multiply_half_at(0);
    if (stores) store(a, b, 1);
    if (fetches) fetch(a, b, 2);
    if constexpr (COPIED) commit_copies();
    multiply_half_at(SLAB_WORDS / 2);
    slab++, from += DEPTH;
  };
  // The first two slabs are on their way at once.
  A first_a = a;
  B first_b = b;
  fetch(first_a, first_b, 0);
  if constexpr (COPIED) commit_copies();
  if (start + DEPTH < end) fetch(a, b, 1);
  if constexpr (COPIED) commit_copies();
  meanwhile();
  store(first_a, first_b, 0);
  if constexpr (is_same<P, Float32>) {
    while (from < end) step(from + DEPTH < end, from + 2 * DEPTH < end);
  } else {
    // Without a question in between, the compiler may mix what a slab takes with the product of another one.
    while (from + 2 * DEPTH < end) step(Is<true>(), Is<true>());
    if (from + DEPTH < end) step(Is<true>(), Is<false>());
    step(Is<false>(), Is<false>());
  }
}

// Asks for the block's tile of a map, which is read when the product is done.
template <class T, class Map>
DEVICE void prefetch_tile(const Map* map, int first_row, int rows, int first_column, int columns) {
  constexpr int VALUES = 64 / sizeof(Map), PIECES = T::BN / VALUES;
#pragma unroll 1
  for (int at = threadIdx.x; at < T::BM * PIECES; at += T::THREADS) {
    const int row = first_row + at / PIECES, column = first_column + at % PIECES * VALUES;
    if (row < rows && column < columns) prefetch(map + static_cast<size_t>(row) * columns + column);
  }
}

// Adds up two sums a column over the block's rows and writes them to partials[row tile][2][columns]. `first` and `second` are the
// thread's own sums: of eight columns of each of its groups.
template <class T>
DEVICE void write_column_sums(float* partials, int row_tile, int first_column, int columns, float (&first)[T::N * 2],
                              float (&second)[T::N * 2]) {
  SHARED(float, all, T::WARPS_M * 2 * T::BN);
  constexpr int COUNT = T::N * 2, LEFT = COUNT / 4;
  const int lane = Place<T>::lane();
  // Eight lanes have the same columns. Each gives half of its sums to another one and takes the other half of that one's, three times:
  // a third of the shuffles that it takes to add up all sums in all lanes.
  const auto exchange = [&](float& low, float high, int distance) {
    const bool upper = lane & distance;
    low = (upper ? high : low) + __shfl_xor_sync(0xffffffffu, upper ? low : high, distance);
  };
#pragma unroll
  for (int i = 0; i < COUNT; i++) exchange(first[i], second[i], 16);
#pragma unroll
  for (int i = 0; i < COUNT / 2; i++) exchange(first[i], first[i + COUNT / 2], 8);
#pragma unroll
  for (int i = 0; i < LEFT; i++) exchange(first[i], first[i + LEFT], 4);
  const int own = lane / 8 % 2 * (COUNT / 2) + lane / 4 % 2 * LEFT;
  float* const to = all + (Place<T>::warp() / T::WARPS_N * 2 + lane / 16) * T::BN + Place<T>::column_of(own / 8) + own % 8;
#pragma unroll
  for (int i = 0; i < LEFT; i++) to[i] = first[i];
  __syncthreads();
  for (int at = threadIdx.x; at < 2 * T::BN; at += T::THREADS) {
    const int column = first_column + at % T::BN;
    if (column >= columns) continue;
    float sum = all[at];
    for (int warp = 1; warp < T::WARPS_M; warp++) sum += all[warp * 2 * T::BN + at];
    partials[(static_cast<size_t>(row_tile) * 2 + at / T::BN) * columns + column] = sum;
  }
}
