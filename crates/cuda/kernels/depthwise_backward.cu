// Depthwise convolution backward: input gradient, weight gradient and the sums of the input's map in one pass.
//
// An input pixel at row u = row + padding meets the filter rows y with (u - y) a multiple of the stride S. With u = S q + phase
// these are y = S d + phase, and the output rows q - d, d from 0 to H = (K - 1) / S. So a unit is R rows q times 8 columns q: a
// thread walks along the columns with a window of the output's gradient in registers, and at each step completes the S x S
// input pixels of every row. The weight gradient takes the same window: filter place (y, x) gets the pixel's value times the
// gradient that (y, x) brings to it.
#include "depthwise_weights.cuh"

template <class T, int K, int S, int R>
DEVICE void depthwise_backward(const T* gradient, const T* output, const GradientReading& reading, const float* weight,
                               const T* input, const SumReading& input_reading, T* input_gradient, int accumulate,
                               float* weight_partials, float* partials, int pictures, int side, int channels, int padding) {
  constexpr int H = (K - 1) / S;
  const int out = (side + 2 * padding - K) / S + 1, places = (padding + side - 1) / S + 1;
  const int channel = pair_channel();
  const int row_units = ceil_div(places, R), column_units = ceil_div(places, UNIT_COLUMNS);
  const int units = pictures * row_units * column_units;
  const Gradient2 output_gradient(reading, channel);
  const Affine2 affine(input_reading.reading, channel);
  const float2 mean = Storage<float>::load2(input_reading.mean + channel);
  const DepthwiseWeights<K> w(weight, channel, channels);
  float2 dw[K][K];
#pragma unroll
  for (int y = 0; y < K; y++)
#pragma unroll
    for (int x = 0; x < K; x++) dw[y][x] = make_float2(0.0f, 0.0f);

  PairSums sums;
  for (int unit = first_unit(); unit < units; unit += unit_step()) {
    const int picture = unit / (row_units * column_units);
    const int first_row = unit / column_units % row_units * R, first_column = unit % column_units * UNIT_COLUMNS;
    const size_t from = static_cast<size_t>(picture) * out * out * channels + channel;
    const size_t to = static_cast<size_t>(picture) * side * side * channels + channel;
    // window[r][x]: the gradient at output row first_row - H + r, column - H + x.
    float2 window[R + H][H + 1];
    const auto load = [&](int column, int at) {
#pragma unroll
      for (int r = 0; r < R + H; r++) {
        const int row = first_row - H + r;
        const size_t place = from + (static_cast<size_t>(row) * out + column) * channels;
        window[r][at] = inside(row, column, out)
            ? output_gradient.read(reading.reading, Storage<T>::load2(gradient + place), Storage<T>::load2(output + place))
            : make_float2(0.0f, 0.0f);
      }
    };
#pragma unroll
    for (int x = 0; x < H; x++) load(first_column - H + x, x + 1);
    for (int column = first_column; column < min(places, first_column + UNIT_COLUMNS); column++) {
#pragma unroll
      for (int r = 0; r < R + H; r++)
#pragma unroll
        for (int x = 0; x < H; x++) window[r][x] = window[r][x + 1];
      load(column, H);
#pragma unroll
      for (int r = 0; r < R; r++)
#pragma unroll
        for (int y_phase = 0; y_phase < S; y_phase++)
#pragma unroll
          for (int x_phase = 0; x_phase < S; x_phase++) {
            const int row = (first_row + r) * S + y_phase - padding, at_column = column * S + x_phase - padding;
            if (!inside(row, at_column, side)) continue;
            const size_t place = to + (static_cast<size_t>(row) * side + at_column) * channels;
            const float2 y = Storage<T>::load2(input + place);
            const float2 a = affine.read(input_reading.reading, y);
            float2 sum = accumulate ? Storage<T>::load2(input_gradient + place) : make_float2(0.0f, 0.0f);
#pragma unroll
            for (int dy = 0; S * dy + y_phase < K; dy++)
#pragma unroll
              for (int dx = 0; S * dx + x_phase < K; dx++) {
                const int ky = S * dy + y_phase, kx = S * dx + x_phase;
                const float2 g = window[r + H - dy][H - dx], factor = w.at(ky, kx);
                sum.x = fmaf(g.x, factor.x, sum.x), sum.y = fmaf(g.y, factor.y, sum.y);
                dw[ky][kx].x = fmaf(g.x, a.x, dw[ky][kx].x), dw[ky][kx].y = fmaf(g.y, a.y, dw[ky][kx].y);
              }
            Storage<T>::store2(input_gradient + place, sum.x, sum.y);
            sums.add_gradient(input_reading.reading, affine, mean, sum, y);
          }
    }
  }
  write_sums(partials, sums, channel, channels);
  // Two filter places at a time, because float4s are summed.
  float* weights = weight_partials + static_cast<size_t>(blockIdx.y) * K * K * channels + channel;
#pragma unroll
  for (int at = 0; at < K * K; at += 2) {
    const float2 a = dw[at / K][at % K], b = at + 1 < K * K ? dw[(at + 1) / K][(at + 1) % K] : make_float2(0.0f, 0.0f);
    const float4 total = sum_lanes(make_float4(a.x, a.y, b.x, b.y));
    if (threadIdx.y > 0) continue;
    Storage<float>::store2(weights + at * channels, total.x, total.y);
    if (at + 1 < K * K) Storage<float>::store2(weights + (at + 1) * channels, total.z, total.w);
  }
}

#define DEPTHWISE_BACKWARD(K, S, R, BLOCKS, name, T)                                                                    \
  CROWDED_KERNEL(depthwise_backward_k##K##s##S##_##name, PAIR_THREADS, BLOCKS)                                          \
  (const T* gradient, const T* output, GradientReading reading, const float* weight, const T* input,                    \
   SumReading input_reading, T* input_gradient, int accumulate, float* weight_partials, float* partials, int pictures,  \
   int side, int channels, int padding) {                                                                               \
    depthwise_backward<T, K, S, R>(gradient, output, reading, weight, input, input_reading, input_gradient, accumulate, \
                                   weight_partials, partials, pictures, side, channels, padding);                       \
  }                                                                                                                     \
  END_KERNEL(depthwise_backward_k##K##s##S##_##name)

#define DEPTHWISE_BACKWARD_SHAPES(name, T) \
  DEPTHWISE_BACKWARD(3, 1, 4, 2, name, T)  \
  DEPTHWISE_BACKWARD(3, 2, 2, 2, name, T)  \
  DEPTHWISE_BACKWARD(5, 1, 1, 1, name, T)  \
  DEPTHWISE_BACKWARD(5, 2, 1, 2, name, T)
DEPTHWISE_BACKWARD_SHAPES(f32, float)
DEPTHWISE_BACKWARD_SHAPES(bf16, bf16)
