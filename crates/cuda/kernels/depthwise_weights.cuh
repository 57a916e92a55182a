// A depthwise filter, two channels a thread, and the rows that it is laid on.
#pragma once
#include "common.cuh"

// Columns of a unit of work at most: a row of the map is divided evenly.
constexpr int UNIT_COLUMNS = 16;

// 3x3: in registers. All threads of the block must make it.
template <int K>
struct DepthwiseWeights {
  float2 values[K][K];
  DEVICE DepthwiseWeights(const float* weight, int channel, int channels) {
#pragma unroll
    for (int y = 0; y < K; y++)
#pragma unroll
      for (int x = 0; x < K; x++) values[y][x] = Storage<float>::load2(weight + (y * K + x) * channels + channel);
  }
  DEVICE float2 at(int y, int x) const { return values[y][x]; }
};

// 5x5: 50 registers would leave room for one block a multiprocessor, so they lie in shared memory, the block's pairs side by side.
template <>
struct DepthwiseWeights<5> {
  static constexpr int MOST_PAIRS = 32;
  const float2* own;
  DEVICE DepthwiseWeights(const float* weight, int channel, int channels) {
    SHARED(float2, values, 25 * MOST_PAIRS);
    for (int tap = threadIdx.y; tap < 25; tap += blockDim.y)
      values[tap * MOST_PAIRS + threadIdx.x] = Storage<float>::load2(weight + tap * channels + channel);
    __syncthreads();
    own = values + threadIdx.x;
  }
  DEVICE float2 at(int y, int x) const { return own[(y * 5 + x) * MOST_PAIRS]; }
};

// Where COUNT rows of a map begin, from `first` on. One outside of the map is read as the nearest, so that it can be read.
template <int COUNT>
struct Rows {
  int place[COUNT];
  unsigned inside_bits = 0;
  DEVICE Rows(int first, int side, int channels) {
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
      const int row = first + i, nearest = min(max(row, 0), side - 1);
      place[i] = nearest * side * channels;
      inside_bits |= row == nearest ? 1u << i : 0u;
    }
  }
  DEVICE bool inside(int i) const { return inside_bits >> i & 1; }
};
