// A tile of a product whose rows are the batch's pictures: 32 x 32 outputs a block of 8 warps, which share the depth.
#pragma once
#include "product_operand.cuh"

// A block's tile, and its warps.
constexpr int POOLED_ROWS = 32, POOLED_COLUMNS = 32;
constexpr int POOLED_WARPS = PRODUCT_THREADS / 32;
// Rows of the sums in shared memory: 16 bytes of eight lanes fall into 32 banks.
constexpr int POOLED_PITCH = POOLED_COLUMNS + 4;

DEVICE int lane_row() { return threadIdx.x % 32 / 4; }     // g of the PTX manual's fragments
DEVICE int lane_column() { return threadIdx.x % 4; }       // t
DEVICE int own_warp() { return threadIdx.x / 32; }

// ---- A warp's sums ----

// Of rows (m, half), two tiles of 16 and two halves of each, and eight columns from 8 t on.
struct PooledSums {
  float values[2][4][4] = {};

  // Float32: eight products.
  DEVICE void add(int m, int half, float a, const float (&b)[8]) {
#pragma unroll
    for (int i = 0; i < 8; i++) values[m][i % 4][half * 2 + i / 4] = fmaf(a, b[i], values[m][i % 4][half * 2 + i / 4]);
  }
  // TF32: a step of eight of the depth. a: of (m, half) the values of depth t and t + 4; b: of column 4 g + j.
  DEVICE void add(const float (&a)[2][2][2], const float (&b)[4][2]) {
    unsigned a_words[2][4], b_words[4][2];
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
      for (int i = 0; i < 4; i++) a_words[m][i] = round_tf32(a[m][i % 2][i / 2]);
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
      for (int i = 0; i < 2; i++) b_words[j][i] = round_tf32(b[j][i]);
    mma_tf32(values, a_words, b_words);
  }
};

// Adds up all warps' sums, in their order. `row_of(m, half)` is a row of the tile; `take` gets a row, a column, and four values from
// there on. All threads of the block must call it.
template <class RowOf, class Take>
DEVICE void finish_pooled(const PooledSums& sums, const RowOf& row_of, const Take& take) {
  SHARED(float4, all, POOLED_WARPS * POOLED_ROWS * POOLED_PITCH / 4);
  float* const own = reinterpret_cast<float*>(all) + own_warp() * POOLED_ROWS * POOLED_PITCH;
#pragma unroll
  for (int m = 0; m < 2; m++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float4* to = reinterpret_cast<float4*>(own + row_of(m, half) * POOLED_PITCH + 8 * lane_column());
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const int at = half * 2 + i;
        const float(&v)[4][4] = sums.values[m];
        to[i] = make_float4(v[0][at], v[1][at], v[2][at], v[3][at]);
      }
    }
  __syncthreads();
  static_assert(POOLED_ROWS * POOLED_COLUMNS == 4 * PRODUCT_THREADS, "four values a thread");
  const int row = threadIdx.x / (POOLED_COLUMNS / 4), column = threadIdx.x % (POOLED_COLUMNS / 4) * 4;
  float total[4] = {};
#pragma unroll
  for (int warp = 0; warp < POOLED_WARPS; warp++) {
    float part[4];
    load_floats(reinterpret_cast<const float*>(all) + (warp * POOLED_ROWS + row) * POOLED_PITCH + column, part);
#pragma unroll
    for (int i = 0; i < 4; i++) total[i] += part[i];
  }
  take(row, column, total);
}

DEVICE void store_floats(float* to, const float (&v)[4]) { *reinterpret_cast<float4*>(to) = make_float4(v[0], v[1], v[2], v[3]); }
