// Depthwise convolution forward. A thread owns two channels and works on units of R rows times up to 16 columns of the output: it
// walks along the columns with a window of normalised input in registers, so that each input value is loaded once a unit, edges aside.
// The next column's values are on their way meanwhile.
#include "depthwise_weights.cuh"

template <class T, int K, int S, int R, bool HARD_SWISH>
DEVICE void depthwise_forward(const T* input, const Reading& reading, const float* weight, T* output, float* partials,
                              int pictures, int side, int channels, int padding) {
  constexpr int ROWS = (R - 1) * S + K;
  // So many columns have code of their own, in which the window's columns have changed places: then none has to be moved.
  constexpr int PHASES = K == 3 ? K : 1;
  const int out = (side + 2 * padding - K) / S + 1;
  const int channel = pair_channel();
  const int row_units = ceil_div(out, R), column_units = ceil_div(out, UNIT_COLUMNS);
  const int unit_columns = ceil_div(out, column_units);
  const int units = pictures * row_units * column_units;
  const Affine2 affine(reading, channel);
  const typename ForwardWeights<K>::Type w(weight, channel, channels);

  PairSums sums;
  for (int unit = first_unit(); unit < units; unit += unit_step()) {
    const int picture = unit / (row_units * column_units);
    const int first_row = unit / column_units % row_units * R, first_column = unit % column_units * unit_columns;
    const T* from = input + static_cast<size_t>(picture) * side * side * channels + channel;
    T* to = output + static_cast<size_t>(picture) * out * out * channels + channel;
    const Rows<ROWS> rows(first_row * S - padding, side, channels);
    float2 window[ROWS][K];
    Pair<T> coming[ROWS][S] = {};
    // Columns column .. column + S of the unit's rows.
    const auto fetch = [&](int column) {
#pragma unroll
      for (int x = 0; x < S; x++) {
        const unsigned at = Column(column + x, side).nearest * channels;
#pragma unroll
        for (int row = 0; row < ROWS; row++) coming[row][x] = load_pair(from + (rows.place[row] + at));
      }
    };
    // Of these, column x becomes the window's column `at`.
    const auto take = [&](int column, int x, int at) {
      const bool inside = Column(column + x, side).inside;
#pragma unroll
      for (int row = 0; row < ROWS; row++)
        window[row][at] =
            only_if(inside && rows.inside(row), affine.read<HARD_SWISH>(reading, unpack_pair(coming[row][x])));
    };
    const int left = first_column * S - padding, end = min(out, first_column + unit_columns);
    const int unit_rows = min(R, out - first_row);
    const unsigned row_step = out * channels;
    // All columns but the last S of the first output's window.
#pragma unroll
    for (int x = 0; x < K - S; x += S) {
      fetch(left + x);
#pragma unroll
      for (int i = 0; i < S && x + i < K - S; i++) take(left + x, i, x + i);
    }
    fetch(left + K - S);
    for (int first = first_column; first < end; first += PHASES) {
#pragma unroll
      for (int phase = 0; phase < PHASES; phase++) {
        const int column = first + phase;
        if (column >= end) break;
        const auto slot = [&](int x) { return (x + phase * S) % K; };
        const int newest = column * S - padding + K - S;
#pragma unroll
        for (int x = 0; x < S; x++) take(newest, x, slot(K - S + x));
        fetch(newest + S);
        const unsigned at = (first_row * out + column) * channels;
#pragma unroll
        for (int r = 0; r < R; r++) {
          float2 sum = make_float2(0.0f, 0.0f);
#pragma unroll
          for (int y = 0; y < K; y++)
#pragma unroll
            for (int x = 0; x < K; x++) {
              const float2 value = window[r * S + y][slot(x)], factor = w.at(y, x);
              sum.x = fmaf(value.x, factor.x, sum.x), sum.y = fmaf(value.y, factor.y, sum.y);
            }
          if (r < unit_rows) Storage<T>::store2(to + (at + r * row_step), sum.x, sum.y);
          sums.add_value(only_if(r < unit_rows, sum));
        }
        if constexpr (PHASES == 1) {
#pragma unroll
          for (int row = 0; row < ROWS; row++)
#pragma unroll
            for (int x = 0; x < K - S; x++) window[row][x] = window[row][x + S];
        }
      }
    }
  }
  write_sums(partials, sums, channels);
}

#define DEPTHWISE_FORWARD(K, S, R, BLOCKS, name, T)                                                             \
  CROWDED_KERNEL(depthwise_forward_k##K##s##S##_##name, PAIR_THREADS, BLOCKS)                                   \
  (const T* input, Reading reading, const float* weight, T* output, float* partials, int pictures, int side,    \
   int channels, int padding) {                                                                                 \
    begin_kernel();                                                                                             \
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
