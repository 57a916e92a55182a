// A depthwise filter, two channels a thread.
#pragma once
#include "map_places.cuh"

// Columns of a unit of work at most: a row of the map is divided evenly.
constexpr int UNIT_COLUMNS = 16;

// In registers. All threads of the block must make it.
template <int K>
struct RegisterWeights {
  float2 values[K][K];
  DEVICE RegisterWeights(const float* weight, int channel, int channels) {
#pragma unroll
    for (int y = 0; y < K; y++)
#pragma unroll
      for (int x = 0; x < K; x++) values[y][x] = Storage<float>::load2(weight + (y * K + x) * channels + channel);
  }
  DEVICE float2 at(int y, int x) const { return values[y][x]; }
};

// In shared memory, the block's pairs side by side: 5x5, of whose 50 numbers registers would leave room for one block a
// multiprocessor, and 3x3 backward, whose gradients need theirs.
template <int K>
struct SharedWeights {
  static constexpr int MOST_PAIRS = 32;
  const float2* own;
  DEVICE SharedWeights(const float* weight, int channel, int channels) {
    SHARED(float2, values, K * K * MOST_PAIRS);
    for (int tap = threadIdx.y; tap < K * K; tap += blockDim.y)
      values[tap * MOST_PAIRS + threadIdx.x] = Storage<float>::load2(weight + tap * channels + channel);
    __syncthreads();
    own = values + threadIdx.x;
  }
  DEVICE float2 at(int y, int x) const { return own[(y * K + x) * MOST_PAIRS]; }
};

template <int K>
using ForwardWeights = std::conditional_t<K == 3, RegisterWeights<K>, SharedWeights<K>>;
