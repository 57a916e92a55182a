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
  // In front of first_place are only pixels outside of the map.
  const int out = (side + 2 * padding - K) / S + 1, first_place = padding / S;
  const int places = (padding + side - 1) / S + 1 - first_place;
  const int channel = pair_channel();
  const int row_units = ceil_div(places, R), column_units = ceil_div(places, UNIT_COLUMNS);
  const int unit_columns = ceil_div(places, column_units);
  const int units = pictures * row_units * column_units;
  const Gradient2 output_gradient(reading, channel);
  const Affine2 affine(input_reading.reading, channel);
  const float2 mean = Storage<float>::load2(input_reading.mean + channel);
  const SharedWeights<K> w(weight, channel, channels);
  float2 dw[K][K];
#pragma unroll
  for (int y = 0; y < K; y++)
#pragma unroll
    for (int x = 0; x < K; x++) dw[y][x] = make_float2(0.0f, 0.0f);

  PairSums sums;
  for (int unit = first_unit(); unit < units; unit += unit_step()) {
    const int picture = unit / (row_units * column_units);
    const int first_row = first_place + unit / column_units % row_units * R;
    const int first_column = first_place + unit % column_units * unit_columns;
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
      const unsigned at = Column(column, out).nearest * channels;
#pragma unroll
      for (int r = 0; r < R + H; r++) {
        const unsigned place = output_rows.place[r] + at;
        coming_gradient[r] = load_pair(gradients + place), coming_output[r] = load_pair(outputs + place);
      }
    };
    const auto fetch_input = [&](int column) {
#pragma unroll
      for (int x = 0; x < S; x++) {
        const unsigned at = Column(column * S + x - padding, side).nearest * channels;
#pragma unroll
        for (int row = 0; row < R * S; row++) coming_input[row * S + x] = load_pair(inputs + (input_rows.place[row] + at));
      }
    };
    const auto take = [&](int column, int at) {
      const bool inside = Column(column, out).inside;
#pragma unroll
      for (int r = 0; r < R + H; r++)
        window[r][at] = only_if(inside && output_rows.inside(r),
                                output_gradient.read(unpack_pair(coming_gradient[r]), unpack_pair(coming_output[r])));
    };
#pragma unroll
    for (int x = 0; x < H; x++) {
      fetch_output(first_column - H + x);
      take(first_column - H + x, x);
    }
    fetch_output(first_column);
    fetch_input(first_column);
    const int end = min(first_place + places, first_column + unit_columns);
    for (int column = first_column; column < end; column++) {
      take(column, H);
      Pair<T> own_input[R * S * S];
#pragma unroll
      for (int pixel = 0; pixel < R * S * S; pixel++) own_input[pixel] = coming_input[pixel];
      // The next column's values are on their way meanwhile.
      fetch_output(column + 1);
      fetch_input(column + 1);
#pragma unroll
      for (int phase_at = 0; phase_at < S * S; phase_at++) {
        const int y_phase = phase_at / S, x_phase = phase_at % S;
        const Column at(column * S + x_phase - padding, side);
        // Of the R pixels of these phases each filter place is loaded once. One outside of the map adds nothing.
        float2 y[R], a[R], sum[R];
        bool inside[R];
        unsigned place[R];
#pragma unroll
        for (int r = 0; r < R; r++) {
          const int row = r * S + y_phase;
          inside[r] = at.inside && input_rows.inside(row);
          place[r] = input_rows.place[row] + at.nearest * channels;
          y[r] = unpack_pair(own_input[row * S + x_phase]);
          a[r] = only_if(inside[r], affine.read<HARD_SWISH>(input_reading.reading, y[r]));
          sum[r] = make_float2(0.0f, 0.0f);
          if (accumulate) sum[r] = Storage<T>::load2(input_gradients + place[r]);
        }
#pragma unroll
        for (int dy = 0; S * dy + y_phase < K; dy++)
#pragma unroll
          for (int dx = 0; S * dx + x_phase < K; dx++) {
            const int ky = S * dy + y_phase, kx = S * dx + x_phase;
            const float2 factor = w.at(ky, kx);
#pragma unroll
            for (int r = 0; r < R; r++) {
              const float2 g = window[r + H - dy][H - dx];
              sum[r].x = fmaf(g.x, factor.x, sum[r].x), sum[r].y = fmaf(g.y, factor.y, sum[r].y);
              dw[ky][kx].x = fmaf(g.x, a[r].x, dw[ky][kx].x), dw[ky][kx].y = fmaf(g.y, a[r].y, dw[ky][kx].y);
            }
          }
#pragma unroll
        for (int r = 0; r < R; r++) {
          const float2 own = sums.add_gradient<HARD_SWISH>(input_reading.reading, affine, mean, only_if(inside[r], sum[r]), y[r]);
          if (inside[r]) Storage<T>::store2(input_gradients + place[r], own.x, own.y);
        }
      }
      // Moved: to change places, as forward, would take code and registers for each of them, and there are too few.
#pragma unroll
      for (int r = 0; r < R + H; r++)
#pragma unroll
        for (int x = 0; x < H; x++) window[r][x] = window[r][x + 1];
    }
  }
  write_sums(partials, sums, channels);
  float* weights = weight_partials + static_cast<size_t>(blockIdx.y) * K * K * channels + channel;
  sum_lanes<K * K>([&](int at) { return dw[at / K][at % K]; },
                   [&](int at, float2 total) { Storage<float>::store2(weights + at * channels, total.x, total.y); });
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
    input_reading.reading.hard_swish ? pass(Is<true>()) : pass(Is<false>());                                            \
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
