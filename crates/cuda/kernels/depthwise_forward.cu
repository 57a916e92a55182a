// Depthwise convolution forward. A thread owns two channels and works on units of R rows times up to 16 columns of the output: it walks
// along the columns with a window of normalised input in registers, so that each input value is loaded once a unit, edges aside.
// The next column's values are on their way meanwhile.
#include "depthwise_weights.cuh"

template <class T, int K, int S, int R, bool HARD_SWISH>
DEVICE void depthwise_forward(const T* input, const Reading& reading, const float* weight, T* output, float* partials,
                              int pictures, int side, int channels, int padding) {
  constexpr int ROWS = (R - 1) * S + K;
  const int out = (side + 2 * padding - K) / S + 1;
  const int channel = pair_channel();
  const int row_units = ceil_div(out, R), column_units = ceil_div(out, UNIT_COLUMNS);
  const int unit_columns = ceil_div(out, column_units);
  const int units = pictures * row_units * column_units;
  const Affine2 affine(reading, channel);
  const DepthwiseWeights<K> w(weight, channel, channels);

  PairSums sums;
  for (int unit = first_unit(); unit < units; unit += unit_step()) {
    const int picture = unit / (row_units * column_units);
    const int first_row = unit / column_units % row_units * R, first_column = unit % column_units * unit_columns;
    const T* from = input + static_cast<size_t>(picture) * side * side * channels + channel;
    T* to = output + static_cast<size_t>(picture) * out * out * channels + channel;
    const int top = first_row * S - padding;
    float2 window[ROWS][K];
    Pair<T> coming[ROWS][S];
    // Columns column .. column + S of the unit's rows.
    const auto fetch = [&](int column) {
#pragma unroll
      for (int row = 0; row < ROWS; row++)
#pragma unroll
        for (int x = 0; x < S; x++)
          if (inside(top + row, column + x, side))
            coming[row][x] = load_pair(from + (static_cast<size_t>(top + row) * side + column + x) * channels);
    };
    // Of these, column x becomes the window's column `at`.
    const auto take = [&](int column, int x, int at) {
#pragma unroll
      for (int row = 0; row < ROWS; row++)
        window[row][at] = inside(top + row, column + x, side) ? affine.read<HARD_SWISH>(reading, unpack_pair(coming[row][x]))
                                                              : make_float2(0.0f, 0.0f);
    };
    const int left = first_column * S - padding, end = min(out, first_column + unit_columns);
    // All columns but the last S of the first output's window, to where they will be moved from.
#pragma unroll
    for (int x = 0; x < K - S; x += S) {
      fetch(left + x);
#pragma unroll
      for (int i = 0; i < S && x + i < K - S; i++) take(left + x, i, x + i + S);
    }
    fetch(left + K - S);
    for (int column = first_column; column < end; column++) {
#pragma unroll
      for (int row = 0; row < ROWS; row++)
#pragma unroll
        for (int x = 0; x < K - S; x++) window[row][x] = window[row][x + S];
      const int newest = column * S - padding + K - S;
#pragma unroll
      for (int x = 0; x < S; x++) take(newest, x, K - S + x);
      if (column + 1 < end) fetch(newest + S);
#pragma unroll
      for (int r = 0; r < R; r++) {
        if (first_row + r >= out) continue;
        float2 sum = make_float2(0.0f, 0.0f);
#pragma unroll
        for (int y = 0; y < K; y++)
#pragma unroll
          for (int x = 0; x < K; x++) {
            const float2 value = window[r * S + y][x], factor = w.at(y, x);
            sum.x = fmaf(value.x, factor.x, sum.x), sum.y = fmaf(value.y, factor.y, sum.y);
          }
        Storage<T>::store2(to + (static_cast<size_t>(first_row + r) * out + column) * channels, sum.x, sum.y);
        sums.add_value(sum);
      }
    }
  }
  write_sums(partials, sums, channel, channels);
}

#define DEPTHWISE_FORWARD(K, S, R, BLOCKS, name, T)                                                             \
  CROWDED_KERNEL(depthwise_forward_k##K##s##S##_##name, PAIR_THREADS, BLOCKS)                                   \
  (const T* input, Reading reading, const float* weight, T* output, float* partials, int pictures, int side,    \
   int channels, int padding) {                                                                                 \
    const auto pass = [&](auto hard_swish) {                                                                    \
      depthwise_forward<T, K, S, R, hard_swish.value>(input, reading, weight, output, partials, pictures, side, \
                                                      channels, padding);                                       \
    };                                                                                                          \
    reading.hard_swish ? pass(Is<true>()) : pass(Is<false>());                                                  \
  }                                                                                                             \
  END_KERNEL(depthwise_forward_k##K##s##S##_##name)

// As many rows, and as many blocks side by side, as the registers hold.
DEPTHWISE_FORWARD(3, 1, 4, 2, f32, float)
DEPTHWISE_FORWARD(3, 1, 4, 2, bf16, bf16)
DEPTHWISE_FORWARD(3, 2, 1, 2, f32, float)
DEPTHWISE_FORWARD(3, 2, 1, 2, bf16, bf16)
DEPTHWISE_FORWARD(5, 1, 1, 2, f32, float)
DEPTHWISE_FORWARD(5, 1, 2, 2, bf16, bf16)
DEPTHWISE_FORWARD(5, 2, 1, 1, f32, float)
DEPTHWISE_FORWARD(5, 2, 1, 2, bf16, bf16)
