// Depthwise convolution forward. A thread owns two channels and works on units of R rows times 8 columns of the output: it walks
// along the columns with a window of normalised input in registers, so that each input value is loaded once a unit, edges aside.
#include "common.cuh"

template <class T, int K, int S, int R>
DEVICE void depthwise_forward(const T* input, const Reading& reading, const float* weight, T* output, float* partials,
                              int pictures, int side, int channels, int padding) {
  constexpr int ROWS = (R - 1) * S + K;
  const int out = (side + 2 * padding - K) / S + 1;
  const int channel = pair_channel();
  const int row_units = ceil_div(out, R), column_units = ceil_div(out, UNIT_COLUMNS);
  const int units = pictures * row_units * column_units;
  const Affine2 affine(reading, channel);
  float2 w[K][K];
#pragma unroll
  for (int y = 0; y < K; y++)
#pragma unroll
    for (int x = 0; x < K; x++) w[y][x] = Storage<float>::load2(weight + (y * K + x) * channels + channel);

  PairSums sums;
  for (int unit = first_unit(); unit < units; unit += unit_step()) {
    const int picture = unit / (row_units * column_units);
    const int first_row = unit / column_units % row_units * R, first_column = unit % column_units * UNIT_COLUMNS;
    const T* from = input + static_cast<size_t>(picture) * side * side * channels + channel;
    T* to = output + static_cast<size_t>(picture) * out * out * channels + channel;
    const int top = first_row * S - padding;
    float2 window[ROWS][K];
    const auto load = [&](int column, int at) {
#pragma unroll
      for (int row = 0; row < ROWS; row++) {
        const int y = top + row;
        const bool inside = y >= 0 && y < side && column >= 0 && column < side;
        window[row][at] = inside
            ? affine.read(reading, Storage<T>::load2(from + (static_cast<size_t>(y) * side + column) * channels))
            : make_float2(0.0f, 0.0f);
      }
    };
    // All columns but the last S of the first output's window.
#pragma unroll
    for (int x = 0; x < K - S; x++) load(first_column * S - padding + x, x + S);
    for (int column = first_column; column < min(out, first_column + UNIT_COLUMNS); column++) {
#pragma unroll
      for (int row = 0; row < ROWS; row++)
#pragma unroll
        for (int x = 0; x < K - S; x++) window[row][x] = window[row][x + S];
#pragma unroll
      for (int x = K - S; x < K; x++) load(column * S - padding + x, x);
#pragma unroll
      for (int r = 0; r < R; r++) {
        if (first_row + r >= out) continue;
        float2 sum = make_float2(0.0f, 0.0f);
#pragma unroll
        for (int y = 0; y < K; y++)
#pragma unroll
          for (int x = 0; x < K; x++) {
            sum.x = fmaf(window[r * S + y][x].x, w[y][x].x, sum.x);
            sum.y = fmaf(window[r * S + y][x].y, w[y][x].y, sum.y);
          }
        Storage<T>::store2(to + (static_cast<size_t>(first_row + r) * out + column) * channels, sum.x, sum.y);
        sums.add_value(sum);
      }
    }
  }
  write_sums(partials, sums, channel, channels);
}

#define DEPTHWISE_FORWARD(K, S, R, name, T)                                                                           \
  KERNEL(depthwise_forward_k##K##s##S##_##name, PAIR_THREADS)                                                         \
  (const T* input, Reading reading, const float* weight, T* output, float* partials, int pictures, int side,          \
   int channels, int padding) {                                                                                       \
    depthwise_forward<T, K, S, R>(input, reading, weight, output, partials, pictures, side, channels, padding);       \
  }                                                                                                                   \
  END_KERNEL(depthwise_forward_k##K##s##S##_##name)

#define DEPTHWISE_FORWARD_SHAPES(name, T) \
  DEPTHWISE_FORWARD(3, 1, 4, name, T)     \
  DEPTHWISE_FORWARD(3, 2, 2, name, T)     \
  DEPTHWISE_FORWARD(5, 1, 2, name, T)     \
  DEPTHWISE_FORWARD(5, 2, 2, name, T)
DEPTHWISE_FORWARD_SHAPES(f32, float)
DEPTHWISE_FORWARD_SHAPES(bf16, bf16)
