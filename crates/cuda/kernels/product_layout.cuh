// How a slab of a product's operand lies in shared memory, and how the tensor cores' fragments are taken from there.
//
// A slab is 16 words of the depth. `rows` gives fragments of M tiles of 16 rows, `columns` those of N tiles of 8 columns, at word `k`
// of the depth; rows_at and columns_at give the lane's own place, which does not change from slab to slab. `word` gives one word of the
// row or slot that is `step` from the lane's own: of tiles of eight the same, or the one behind it.
#pragma once
#include "product_source.cuh"

// Of a block; half as many where a tile is narrow.
constexpr int PRODUCT_THREADS = 256;
constexpr int SLAB_WORDS = 16;
// Columns of four of the tensor cores' tiles, within which columns are renamed: see slot_of_column.
constexpr int GROUP = 32;

template <class P>
constexpr int SLAB_DEPTH = SLAB_WORDS * P::DEPTH_PER_WORD;

// So that a thread owns eight columns side by side in each group, and stores them at once, the tensor cores' tile `j` of a group
// has the columns 8 * (n / 2) + 2 * j + n % 2. The place of column c in that order:
DEVICE int slot_of_column(int c) {
  const int in_group = c % GROUP;
  return c - in_group + (in_group % 8) / 2 * 8 + in_group / 8 * 2 + in_group % 2;
}
// And the column at a slot.
DEVICE int column_of_slot(int slot) {
  const int in_group = slot % GROUP, j = in_group / 8, n = in_group % 8;
  return slot - in_group + n / 2 * 8 + 2 * j + n % 2;
}

// The fragments of N tiles of columns, of which `load` gives two at once: those of tiles n and n + 1.
template <int N, class Load>
DEVICE void load_columns(unsigned (&b)[N][2], const Load& load) {
#pragma unroll
  for (int n = 0; n < N; n += 2) {
    unsigned both[4];
    load(n, both);
    b[n][0] = both[0], b[n][1] = both[1], b[n + 1][0] = both[2], b[n + 1][1] = both[3];
  }
}

// `SIZE` rows or columns (by their slots), each with the words of its depth, of which the pieces of 16 bytes change places: so two
// rows side by side, and the same piece of eight rows, fall into 32 banks.
template <int SIZE>
struct DeepLayout {
  static constexpr int WORDS = SIZE * SLAB_WORDS;
  static DEVICE int place(int at, int k) { return at * SLAB_WORDS + (k ^ at / 2 % 4 * 4); }

  static DEVICE unsigned word(const unsigned* words, int at, int step, int k) { return words[place(at + step, k)]; }
  static DEVICE int rows_at(int row) {
    const int lane = threadIdx.x % 32;
    return place(row + lane % 16, lane / 16 * 4);
  }
  template <int M>
  static DEVICE void rows(const unsigned* words, int at, int k, unsigned (&a)[M][4]) {
#pragma unroll
    for (int m = 0; m < M; m++) load_matrices(a[m], words + m * 16 * SLAB_WORDS + (at ^ k));
  }
  static DEVICE int columns_at(int column) {
    const int lane = threadIdx.x % 32;
    return place(column + lane / 16 * 8 + lane % 8, lane / 8 % 2 * 4);
  }
  template <int N>
  static DEVICE void columns(const unsigned* words, int at, int k, unsigned (&b)[N][2]) {
    load_columns(b, [&](int n, unsigned (&both)[4]) { load_matrices(both, words + n * 8 * SLAB_WORDS + (at ^ k)); });
  }
};

// The depth's values one after the other, each with its `SIZE` rows or columns; of one value a word.
template <class P, int SIZE, bool COLUMNS>
struct WideLayout {
  // A fragment's lanes read columns 0, 1, 8, 9, .. of a group, or rows 0 to 7: these fall into different banks.
  static constexpr int PITCH = SIZE + (COLUMNS ? 2 : 8);
  static constexpr int WORDS = SLAB_WORDS * PITCH;

  // Where four rows or columns lie from `at` on, and their words.
  static DEVICE int place_of_four(int deep, int at) { return deep * PITCH + at; }
  // Which value of the depth a thread takes, by its place among those that take values at once.
  static DEVICE int deep_of(int taker) { return taker; }
  static DEVICE void put(unsigned* to, const uint4& four) {
    reinterpret_cast<uint2*>(to)[0] = make_uint2(four.x, four.y);
    reinterpret_cast<uint2*>(to)[1] = make_uint2(four.z, four.w);
  }
  static DEVICE unsigned word(const unsigned* words, int at, int step, int k) {
    return words[k * PITCH + (COLUMNS ? column_of_slot(at) + column_of_slot(step) : at + step)];
  }
  static DEVICE int rows_at(int row) { return threadIdx.x % 4 * PITCH + row + threadIdx.x % 32 / 4; }
  template <int M>
  static DEVICE void rows(const unsigned* words, int at, int k, unsigned (&a)[M][4]) {
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
      for (int i = 0; i < 4; i++) a[m][i] = words[at + (k + i / 2 * 4) * PITCH + m * 16 + i % 2 * 8];
  }
  static DEVICE int columns_at(int column) {
    return threadIdx.x % 4 * PITCH + column_of_slot(column + threadIdx.x % 32 / 4);
  }
  template <int N>
  static DEVICE void columns(const unsigned* words, int at, int k, unsigned (&b)[N][2]) {
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
      for (int i = 0; i < 2; i++) b[n][i] = words[at + (k + i * 4) * PITCH + n / 4 * GROUP + n % 4 * 2];
  }
};

// Of bfloat16: columns lie by their slots, and values are transposed where they are loaded.
template <int SIZE, bool COLUMNS>
struct WideLayout<Bf16, SIZE, COLUMNS> {
  // Eight rows' 16 bytes fall into 32 banks. Every two groups but the first are moved.
  static constexpr int PITCH = SIZE / 2 + (COLUMNS && SIZE > 128 ? 12 : 4);
  static constexpr int WORDS = SLAB_DEPTH<Bf16> * PITCH;

  // Where a row's, or a slot's, word lies. Every two groups of slots are moved by 16 bytes more than those before, so that the
  // same slots of four groups fall into different banks: these are stored together.
  static DEVICE int place(int deep, int slot) { return deep * PITCH + slot / 2 + (COLUMNS ? slot / (2 * GROUP) * 4 : 0); }
  static DEVICE int place_of_four(int deep, int column) { return place(deep, slot_of_column(column)); }
  // A warp takes several rows of 32 columns at once: of any two of them that are four apart, each falls into banks of its own.
  static DEVICE int deep_of(int taker) { return SIZE > GROUP ? taker : taker / 8 * 8 + taker % 2 * 4 + taker % 8 / 2; }
  static DEVICE void put(unsigned* to, const uint2& four) {
    static_assert(COLUMNS);
    // Two columns side by side stay so, in the tile of their own.
    to[0] = four.x, to[4] = four.y;
  }
  static DEVICE int rows_at(int row) {
    const int lane = threadIdx.x % 32;
    return place(lane / 16 * 8 + lane % 8, row + lane / 8 % 2 * 8);
  }
  template <int M>
  static DEVICE void rows(const unsigned* words, int at, int k, unsigned (&a)[M][4]) {
#pragma unroll
    for (int m = 0; m < M; m++) load_matrices_transposed(a[m], words + at + 2 * k * PITCH + m * 8);
  }
  // A warp's columns are all of the same two groups.
  static DEVICE int columns_at(int column) {
    const int lane = threadIdx.x % 32;
    return place(lane / 8 % 2 * 8 + lane % 8, column + lane / 16 * 8);
  }
  template <int N>
  static DEVICE void columns(const unsigned* words, int at, int k, unsigned (&b)[N][2]) {
    static_assert(N * 8 <= 2 * GROUP);
    load_columns(b, [&](int n, unsigned (&both)[4]) {
      load_matrices_transposed(both, words + at + 2 * k * PITCH + n * 4);
    });
  }
};
