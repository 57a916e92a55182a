// Depthwise convolution forward. A thread owns two channels and works on units of R rows times up to 16 columns of the output: it
// walks along the columns with a window of normalised input in registers, so that each input value is loaded once a unit, edges aside.
// The next column's values are on their way meanwhile.
#include "depthwise_weights.cuh"

template <class T, int K, int S, int R, bool HARD_SWISH>
DEVICE void depthwise_forward(const T* input, const Reading& reading, const float* weight, T* output, float* partials,
                              int pictures, int side, int channels, int padding) {
  constexpr int ROWS = (R - 1) * S + K;
  // So many columns have code of their own, in which the window's columns have changed places: then none has to be moved. Not where
  // registers are too few for it: the filter comes from shared memory once for all of these columns.
  constexpr int PHASES = K == 3 || (S == 2 && is_same<T, float>) ? K : 1;
  const int out = (side + 2 * padding - K) / S + 1;
  const int channel = pair_channel();
  const int row_units = ceil_div(out, R), column_units = ceil_div(out, UNIT_COLUMNS);
  const int unit_columns = ceil_div(out, column_units);
  const int units = pictures * row_units * column_units;
  const Affine2 affine(reading, channel);
  const ForwardWeights<K> w(weight, channel, channels);

  PairSums sums;
  for (int unit = first_unit(); unit < units; unit += unit_step()) {
    const int picture = unit / (row_units * column_units);
    const int first_row = unit / column_units % row_units * R, first_column = unit % column_units * unit_columns;
    const Rows<ROWS> rows(first_row * S - padding, side, channels);
    const T* const from = behind(input + static_cast<size_t>(picture) * side * side * channels + channel, rows.place[0]);
    T* const to = output + static_cast<size_t>(picture) * out * out * channels + channel;
    // A row outside is cut to zeros: so there is no choice for each of its values. They are the nearest row's: where those are NaN or
    // infinite, so may be what is outside.
    Reading row_reading[ROWS];
#pragma unroll
    for (int row = 0; row < ROWS; row++) {
      row_reading[row] = reading;
      if (!rows.inside(row)) row_reading[row].low = row_reading[row].high = 0.0f;
    }
    float2 window[ROWS][K];
    Pair<T> coming[ROWS][S] = {};
    // Columns column .. column + S of the unit's rows.
    const auto fetch = [&](int column) {
#pragma unroll
      for (int x = 0; x < S; x++) {
        const T* const at = behind(from, Column(column + x, side).nearest * channels);
#pragma unroll
        for (int row = 0; row < ROWS; row++) coming[row][x] = load_pair(behind(at, rows.from_first(row)));
      }
    };
    // Of these, column x becomes the window's column `at`.
    const auto take = [&](int x, int at) {
#pragma unroll
      for (int row = 0; row < ROWS; row++)
        window[row][at] = affine.read<HARD_SWISH>(row_reading[row], unpack_pair(coming[row][x]));
    };
    const int left = first_column * S - padding, end = min(out, first_column + unit_columns);
    const int unit_rows = min(R, out - first_row);
    const unsigned row_step = out * channels;
    unsigned at = first_row * row_step + first_column * channels;
    // All columns but the last S of the first output's window.
#pragma unroll
    for (int x = 0; x < K - S; x += S) {
      fetch(left + x);
#pragma unroll
      for (int i = 0; i < S && x + i < K - S; i++) {
        const bool inside = Column(left + x + i, side).inside;
        take(i, x + i);
#pragma unroll
        for (int row = 0; row < ROWS; row++) window[row][x + i] = only_if(inside, window[row][x + i]);
      }
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
        for (int x = 0; x < S; x++) {
          // So are the unit's last columns, where they lie behind the map.
          if (newest + x >= side) {
            float2 none = make_float2(0.0f, 0.0f);
            pin(none);
#pragma unroll
            for (int row = 0; row < ROWS; row++) row_reading[row].low = none.x, row_reading[row].high = none.y;
          }
          take(x, slot(K - S + x));
        }
        fetch(newest + S);
        T* to_row = behind(to, at);
        at += channels;
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
          pin(sum);
          if (r < unit_rows) {
            Storage<T>::store2(to_row, sum.x, sum.y);
            sums.add_value(sum);
          }
          to_row = behind(to_row, row_step);
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
