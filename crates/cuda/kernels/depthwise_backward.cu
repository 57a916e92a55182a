// Depthwise convolution backward: input gradient, weight gradient and the sums of the input's map in one pass.
//
// An input pixel at row u = row + padding meets the filter rows y with (u - y) a multiple of the stride S. With u = S q + phase
// these are y = S d + phase, and the output rows q - d, d from 0 to H = (K - 1) / S. So a unit is R rows q times up to 16 columns
// q: a thread walks along the columns with a window of the output's gradient in registers, and at each step completes the S x S
// input pixels of every row. The weight gradient takes the same window: filter place (y, x) gets the pixel's value times the
// gradient that (y, x) brings to it.
#include "depthwise_weights.cuh"

template <class T, int K, int S, int R, bool HARD_SWISH>
DEVICE void depthwise_backward(const T* gradient, const T* output, const GradientReading& reading, const float* weight,
                               const T* input, const SumReading& input_reading, T* input_gradient, int accumulate,
                               float* weight_partials, float* partials, int pictures, int side, int channels, int padding) {
  constexpr int H = (K - 1) / S;
  // As in the forward pass: for so many columns the window's columns change places instead of being moved.
  constexpr int PHASES = K == 3 ? H + 1 : 1;
  const int out = (side + 2 * padding - K) / S + 1, places = (padding + side - 1) / S + 1;
  const int channel = pair_channel();
  const int row_units = ceil_div(places, R), column_units = ceil_div(places, UNIT_COLUMNS);
  const int unit_columns = ceil_div(places, column_units);
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
    const int first_row = unit / column_units % row_units * R, first_column = unit % column_units * unit_columns;
    // Within a picture places are 32-bit numbers, which take half the registers.
    const size_t first_output = static_cast<size_t>(picture) * out * out * channels + channel;
    const size_t first_input = static_cast<size_t>(picture) * side * side * channels + channel;
    const T *gradients = gradient + first_output, *outputs = output + first_output, *inputs = input + first_input;
    T* input_gradients = input_gradient + first_input;
    // window[r][x]: the gradient at output row first_row - H + r, column - H + x.
    float2 window[R + H][H + 1];
    Pair<T> coming_gradient[R + H] = {}, coming_output[R + H] = {}, coming_input[R * S * S] = {};
    const Rows<R + H> output_rows(first_row - H, out, channels);
    const Rows<R * S> input_rows(first_row * S - padding, side, channels);
    const auto fetch_output = [&](int column) {
      if (column < 0 || column >= out) return;
#pragma unroll
      for (int r = 0; r < R + H; r++) {
        const int place = output_rows.place[r] + column * channels;
        coming_gradient[r] = load_pair(gradients + place), coming_output[r] = load_pair(outputs + place);
      }
    };
    const auto fetch_input = [&](int column) {
#pragma unroll
      for (int x = 0; x < S; x++) {
        const int at = column * S + x - padding;
        if (at < 0 || at >= side) continue;
#pragma unroll
        for (int row = 0; row < R * S; row++)
          coming_input[row * S + x] = load_pair(inputs + input_rows.place[row] + at * channels);
      }
    };
    const auto take = [&](int column, int at) {
      const bool inside = column >= 0 && column < out;
#pragma unroll
      for (int r = 0; r < R + H; r++)
        window[r][at] = only_if(inside && output_rows.inside(r),
                                output_gradient.read<HARD_SWISH>(reading.reading, unpack_pair(coming_gradient[r]),
                                                                 unpack_pair(coming_output[r])));
    };
#pragma unroll
    for (int x = 0; x < H; x++) {
      fetch_output(first_column - H + x);
      take(first_column - H + x, x);
    }
    fetch_output(first_column);
    fetch_input(first_column);
    const int end = min(places, first_column + unit_columns);
    for (int first = first_column; first < end; first += PHASES) {
#pragma unroll
      for (int phase = 0; phase < PHASES; phase++) {
        const int column = first + phase;
        if (column >= end) break;
        const auto slot = [&](int x) { return (x + phase) % (H + 1); };
        take(column, slot(H));
        Pair<T> own_input[R * S * S];
#pragma unroll
        for (int pixel = 0; pixel < R * S * S; pixel++) own_input[pixel] = coming_input[pixel];
        // The next column's values are on their way meanwhile.
        if (column + 1 < end) {
          fetch_output(column + 1);
          fetch_input(column + 1);
        }
#pragma unroll
        for (int pixel = 0; pixel < R * S * S; pixel++) {
          const int row = pixel / S, r = row / S, y_phase = row % S, x_phase = pixel % S;
          const int at_column = column * S + x_phase - padding;
          if (at_column < 0 || at_column >= side || !input_rows.inside(row)) continue;
          const int place = input_rows.place[row] + at_column * channels;
          const float2 y = unpack_pair(own_input[pixel]);
          const float2 a = affine.read<HARD_SWISH>(input_reading.reading, y);
          float2 sum = accumulate ? Storage<T>::load2(input_gradients + place) : make_float2(0.0f, 0.0f);
#pragma unroll
          for (int dy = 0; S * dy + y_phase < K; dy++)
#pragma unroll
            for (int dx = 0; S * dx + x_phase < K; dx++) {
              const int ky = S * dy + y_phase, kx = S * dx + x_phase;
              const float2 g = window[r + H - dy][slot(H - dx)], factor = w.at(ky, kx);
              sum.x = fmaf(g.x, factor.x, sum.x), sum.y = fmaf(g.y, factor.y, sum.y);
              dw[ky][kx].x = fmaf(g.x, a.x, dw[ky][kx].x), dw[ky][kx].y = fmaf(g.y, a.y, dw[ky][kx].y);
            }
          Storage<T>::store2(input_gradients + place, sum.x, sum.y);
          sums.add_gradient<HARD_SWISH>(input_reading.reading, affine, mean, sum, y);
        }
        if constexpr (PHASES == 1) {
#pragma unroll
          for (int r = 0; r < R + H; r++)
#pragma unroll
            for (int x = 0; x < H; x++) window[r][x] = window[r][x + 1];
        }
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
    begin_kernel();                                                                                                     \
    const auto pass = [&](auto hard_swish) {                                                                            \
      depthwise_backward<T, K, S, R, hard_swish.value>(gradient, output, reading, weight, input, input_reading,         \
                                                       input_gradient, accumulate, weight_partials, partials, pictures, \
                                                       side, channels, padding);                                        \
    };                                                                                                                  \
    reading.reading.hard_swish || input_reading.reading.hard_swish ? pass(Is<true>()) : pass(Is<false>());              \
  }                                                                                                                     \
  END_KERNEL(depthwise_backward_k##K##s##S##_##name)

// As many rows, and as many blocks side by side, as the registers hold.
#define DEPTHWISE_BACKWARD_SHAPES(name, T) \
  DEPTHWISE_BACKWARD(3, 2, 1, 2, name, T)  \
  DEPTHWISE_BACKWARD(5, 1, 2, 1, name, T)  \
  DEPTHWISE_BACKWARD(5, 2, 1, 1, name, T)
DEPTHWISE_BACKWARD(3, 1, 4, 1, f32, float)
DEPTHWISE_BACKWARD(3, 1, 2, 2, bf16, bf16)
DEPTHWISE_BACKWARD_SHAPES(f32, float)
DEPTHWISE_BACKWARD_SHAPES(bf16, bf16)
