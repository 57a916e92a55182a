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
  // As forward: so many columns have code of their own. Not 5x5 with stride 1, of which it would be 32 KB, nor 3x3 in bfloat16, two
  // blocks of which share the registers.
  constexpr int PHASES = S == 2 || (K == 3 && is_same<T, float>) ? H + 1 : 1;
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
    const Rows<R + H> output_rows(first_row - H, out, channels);
    const Rows<R * S> input_rows(first_row * S - padding, side, channels);
    const size_t first_output = static_cast<size_t>(picture) * out * out * channels + channel;
    const size_t first_input = static_cast<size_t>(picture) * side * side * channels + channel;
    const T* const gradients = behind(gradient + first_output, output_rows.place[0]);
    const T* const outputs = behind(output + first_output, output_rows.place[0]);
    const T* const inputs = behind(input + first_input, input_rows.place[0]);
    T* const input_gradients = behind(input_gradient + first_input, input_rows.place[0]);
    // In one word, from which the card has all as predicates at once.
    unsigned inside_bits = output_rows.inside_bits | input_rows.inside_bits << (R + H);
    const auto output_inside = [&](int r) { return (inside_bits >> r & 1) != 0; };
    // Of input rows with stride 1 some may lie behind the map, but not the first.
    const auto input_inside = [&](int row) { return (S == 1 && row == 0) || (inside_bits >> (R + H + row) & 1) != 0; };
    // And no column: all of the map's are places.
    const auto input_column = [&](int column, int x) {
      return S == 1 ? Column(column - padding) : Column(column * S + x - padding, side);
    };
    // An input row outside is cut to zeros, as forward, and has no slope.
    Reading row_reading[R * S];
#pragma unroll
    for (int row = 0; row < R * S; row++) {
      row_reading[row] = input_reading.reading;
      if (!input_inside(row)) row_reading[row].low = row_reading[row].high = 0.0f;
    }
    // window[r][slot(x)]: the gradient at output row first_row - H + r, column - H + x.
    float2 window[R + H][H + 1];
    Pair<T> coming_gradient[R + H] = {}, coming_output[R + H] = {}, coming_input[R * S * S] = {};
    const auto fetch_output = [&](int column) {
      const T *from_gradient = behind(gradients, column * channels), *from_output = behind(outputs, column * channels);
#pragma unroll
      for (int r = 0; r < R + H; r++) {
        coming_gradient[r] = load_pair(behind(from_gradient, output_rows.from_first(r)));
        coming_output[r] = load_pair(behind(from_output, output_rows.from_first(r)));
      }
    };
    const auto fetch_input = [&](int column) {
#pragma unroll
      for (int x = 0; x < S; x++) {
        const T* const from = behind(inputs, input_column(column, x).nearest * channels);
#pragma unroll
        for (int row = 0; row < R * S; row++) coming_input[row * S + x] = load_pair(behind(from, input_rows.from_first(row)));
      }
    };
    const auto take = [&](int at) {
#pragma unroll
      for (int r = 0; r < R + H; r++)
        window[r][at] = only_if(output_inside(r),
                                output_gradient.read(unpack_pair(coming_gradient[r]), unpack_pair(coming_output[r])));
    };
#pragma unroll
    for (int x = 0; x < H; x++) {
      const Column column(first_column - H + x, out);
      fetch_output(column.nearest);
      take(x);
#pragma unroll
      for (int r = 0; r < R + H; r++) window[r][x] = only_if(column.inside, window[r][x]);
    }
    fetch_output(min(first_column, out - 1));
    fetch_input(first_column);
    const int end = min(first_place + places, first_column + unit_columns);
    for (int first = first_column; first < end; first += PHASES) {
#pragma unroll
      for (int phase = 0; phase < PHASES; phase++) {
        const int column = first + phase;
        if (column >= end) break;
        const auto slot = [&](int x) { return (x + phase) % (H + 1); };
        // The unit's last columns, where they lie behind the output.
        if (column >= out) {
          inside_bits &= ~0u << (R + H);
          pin(inside_bits);
        }
        take(slot(H));
        Pair<T> own_input[R * S * S];
#pragma unroll
        for (int pixel = 0; pixel < R * S * S; pixel++) own_input[pixel] = coming_input[pixel];
        // The next column's values are on their way meanwhile.
        fetch_output(min(column + 1, out - 1));
        fetch_input(min(column + 1, end - 1));
#pragma unroll
        for (int phase_at = 0; phase_at < S * S; phase_at++) {
          const int y_phase = phase_at / S, x_phase = phase_at % S;
          const Column at = input_column(column, x_phase);
          T* const to = behind(input_gradients, at.nearest * channels);
          // Of the R pixels of these phases each filter place is loaded once. One outside of the map adds nothing.
          Reading own_reading[R] = {};
          float2 y[R] = {}, a[R] = {}, sum[R] = {};
#pragma unroll
          for (int r = 0; r < R; r++) {
            const int row = r * S + y_phase;
            own_reading[r] = row_reading[row];
            if (!at.inside) own_reading[r].low = own_reading[r].high = 0.0f;
            y[r] = unpack_pair(own_input[row * S + x_phase]);
            a[r] = affine.read<HARD_SWISH>(own_reading[r], y[r]);
          }
          if (accumulate) {
#pragma unroll
            for (int r = 0; r < R; r++) sum[r] = Storage<T>::load2(behind(to, input_rows.from_first(r * S + y_phase)));
          }
#pragma unroll
          for (int dy = 0; S * dy + y_phase < K; dy++)
#pragma unroll
            for (int dx = 0; S * dx + x_phase < K; dx++) {
              const int ky = S * dy + y_phase, kx = S * dx + x_phase;
              const float2 factor = w.at(ky, kx);
#pragma unroll
              for (int r = 0; r < R; r++) {
                const float2 g = window[r + H - dy][slot(H - dx)];
                sum[r].x = fmaf(g.x, factor.x, sum[r].x), sum[r].y = fmaf(g.y, factor.y, sum[r].y);
                dw[ky][kx].x = fmaf(g.x, a[r].x, dw[ky][kx].x), dw[ky][kx].y = fmaf(g.y, a[r].y, dw[ky][kx].y);
              }
            }
#pragma unroll
          for (int r = 0; r < R; r++) {
            const int row = r * S + y_phase;
            const bool inside = at.inside && input_inside(row);
            // A hard swish has a slope whatever the bounds.
            if constexpr (HARD_SWISH) sum[r] = only_if(inside, sum[r]);
            const float2 own = sums.add_gradient<HARD_SWISH>(own_reading[r], affine, mean, sum[r], y[r]);
            if (inside) Storage<T>::store2(behind(to, input_rows.from_first(row)), own.x, own.y);
          }
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
