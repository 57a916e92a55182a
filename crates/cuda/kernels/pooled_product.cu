// Products of maps of one pixel, which come from a pool: squeeze-and-excitation's two, the linear layers, the logits. Always
// float32 in memory.
//
// They have as many rows as the batch has pictures and a depth of hundreds. A block's tile is small, so that there are blocks
// enough, and its warps share the depth, so that each goes few steps; what they multiply they load themselves. (In tiles of 64 x 64 whose
// block takes one slab after the other, 64 rows of logits took 42 us on an H200, and those of an excitation 15.)
//
// The depth may come in any order, if both operands have the same: a lane loads four values side by side and calls them those
// that the tensor cores want of it. So it does with columns: tile `j` of four has the columns 4 n + j, and a lane ends with eight side by side.
#include "pooled_tile.cuh"

// ---- Forward, and the input's gradient: a row's values lie along the depth ----

// Steps whose values are on their way together; in float32 a step has enough of them.
template <class P>
constexpr int UNROLLED = is_same<P, Float32> ? 1 : 2;

DEVICE int tile_row(int m, int half) { return m * 16 + half * 8 + lane_row(); }

// `a`, of whose rows there are so many, times weight, which if WIDE is [depth, columns], otherwise [columns, depth].
template <class P, bool WIDE, class A>
DEVICE void multiply_pooled(const A& a, int rows, const float* weight, int first_row, int first_column, int depth,
                            int columns, PooledSums& sums) {
  const auto row_of = [&](int i) { return first_row + tile_row(i / 2, i % 2); };
  const auto weights = [&](int column, int at, float(&to)[4]) {
    column += first_column;
    load_floats(WIDE ? weight + static_cast<size_t>(at) * columns + min(column, columns - 4)
                     : weight + static_cast<size_t>(min(column, columns - 1)) * depth + at,
                to);
  };
  // All that is loaded comes before all that is computed of it, so that it is on its way together.
  const auto load = [&](int at, typename A::Raw(&raw)[4], typename A::Coefficients& c) {
    c = a.coefficients(at);
#pragma unroll
    for (int i = 0; i < 4; i++) raw[i] = a.fetch(min(row_of(i), rows - 1), at);
  };
  const auto values = [&](int at, const typename A::Raw(&raw)[4], const typename A::Coefficients& c, float(&to)[4][4]) {
#pragma unroll
    for (int i = 0; i < 4; i++) a.values(raw[i], c, min(row_of(i), rows - 1), at, to[i]);
  };
  const int t = lane_column();
#pragma unroll UNROLLED<P>
  for (int from = own_warp() * 16; from < depth; from += POOLED_WARPS * 16) {
    typename A::Raw raw[4];
    typename A::Coefficients coefficients;
    float x[4][4];
    if constexpr (is_same<P, Float32>) {
#pragma unroll 1
      for (int at = from; at < from + 16; at += 4) {
        float y[8][4];
        load(at, raw, coefficients);
        // Of a wide weight y[2 i] and y[2 i + 1] are eight columns at depth i.
#pragma unroll
        for (int i = 0; i < 8; i++) weights(8 * t + (WIDE ? i % 2 * 4 : i), at + (WIDE ? i / 2 : 0), y[i]);
        values(at, raw, coefficients, x);
#pragma unroll
        for (int i = 0; i < 4; i++) {
          float b[8];
#pragma unroll
          for (int j = 0; j < 8; j++) b[j] = WIDE ? y[2 * i + j / 4][j % 4] : y[j][i];
#pragma unroll
          for (int row = 0; row < 4; row++) sums.add(row / 2, row % 2, x[row][i], b);
        }
      }
    } else {
      // Four values from depth 4 t on: those of depths t and t + 4 of two steps.
      const int at = from + 4 * t;
      float y[4][4];
      load(at, raw, coefficients);
#pragma unroll
      for (int i = 0; i < 4; i++) weights(4 * lane_row() + (WIDE ? 0 : i), at + (WIDE ? i : 0), y[i]);
      values(at, raw, coefficients, x);
#pragma unroll
      for (int step = 0; step < 2; step++) {
        float a_step[2][2][2], b_step[4][2];
#pragma unroll
        for (int i = 0; i < 2; i++) {
#pragma unroll
          for (int row = 0; row < 4; row++) a_step[row / 2][row % 2][i] = x[row][2 * step + i];
#pragma unroll
          for (int j = 0; j < 4; j++) b_step[j][i] = WIDE ? y[2 * step + i][j] : y[j][2 * step + i];
        }
        sums.add(a_step, b_step);
      }
    }
  }
}

// read_output: what is read of the output, as output_reading says; null for nobody who wants it.
template <class P>
DEVICE void pooled_forward(const float* input, const Reading& reading, const float* factors, const float* weight,
                           const float* bias, float* output, const Reading& output_reading, float* read_output, int rows,
                           int inputs, int outputs) {
  const int column_tiles = ceil_div(outputs, POOLED_COLUMNS);
  const int first_row = blockIdx.x / column_tiles * POOLED_ROWS, first_column = blockIdx.x % column_tiles * POOLED_COLUMNS;
  PooledSums sums;
  if (reading.hard_swish || factors) {
    const ReadSource<float, true> a = {input, reading, factors, 1, inputs};
    multiply_pooled<P, false>(a, rows, weight, first_row, first_column, inputs, outputs, sums);
  } else {
    const ReadSource<float, false> a = {input, reading, nullptr, 1, inputs};
    multiply_pooled<P, false>(a, rows, weight, first_row, first_column, inputs, outputs, sums);
  }
  finish_pooled(sums, tile_row, [&](int row, int column, float(&values)[4]) {
    row += first_row, column += first_column;
    if (row >= rows || column >= outputs) return;
    if (bias) {
      float summand[4];
      load_floats(bias + column, summand);
#pragma unroll
      for (int i = 0; i < 4; i++) values[i] += summand[i];
    }
    const size_t at = static_cast<size_t>(row) * outputs + column;
    store_floats(output + at, values);
    if (!read_output) return;
    float scale[4], shift[4];
    load_floats(output_reading.scale + column, scale);
    load_floats(output_reading.shift + column, shift);
#pragma unroll
    for (int i = 0; i < 4; i++) values[i] = read(output_reading, scale[i], shift[i], values[i]);
    store_floats(read_output + at, values);
  });
}

template <class P>
DEVICE void pooled_input_gradient(const float* gradient, const float* output, const GradientReading& reading,
                                  const float* weight, const float* input, const Reading& input_reading, const float* factors,
                                  float* input_gradient, int accumulate, float* output_gradient, int rows, int inputs,
                                  int outputs) {
  const int column_tiles = ceil_div(inputs, POOLED_COLUMNS);
  const int first_row = blockIdx.x / column_tiles * POOLED_ROWS, first_column = blockIdx.x % column_tiles * POOLED_COLUMNS;
  PooledSums sums;
  const GradientSource<float> a = {gradient, output, reading, outputs, nullptr};
  multiply_pooled<P, true>(a, rows, weight, first_row, first_column, outputs, inputs, sums);
  finish_pooled(sums, tile_row, [&](int row, int column, float(&values)[4]) {
    row += first_row, column += first_column;
    if (row >= rows || column >= inputs) return;
    const size_t at = static_cast<size_t>(row) * inputs + column;
    float factor[4] = {1.0f, 1.0f, 1.0f, 1.0f}, before[4] = {}, y[4], scale[4], shift[4];
    if (factors) load_floats(factors + at, factor);
    if (accumulate) load_floats(input_gradient + at, before);
    load_floats(input + at, y);
    load_floats(input_reading.scale + column, scale);
    load_floats(input_reading.shift + column, shift);
#pragma unroll
    for (int i = 0; i < 4; i++)
      values[i] = times_slope(input_reading, values[i] * factor[i] + before[i], fmaf(y[i], scale[i], shift[i]));
    store_floats(input_gradient + at, values);
  });
  if (first_column > 0) return;
  // For the weights' pass; of what was just read.
  const int quads = outputs / 4;
#pragma unroll 2
  for (int at = threadIdx.x; at < POOLED_ROWS * quads; at += PRODUCT_THREADS) {
    const int row = first_row + at / quads, channel = at % quads * 4;
    if (row >= rows) break;
    float values[4];
    a.values(a.fetch(row, channel), a.coefficients(channel), row, channel, values);
    store_floats(output_gradient + static_cast<size_t>(row) * outputs + channel, values);
  }
}

// ---- The weights' gradient: the depth are the rows ----

// A lane's outputs 4 g .. are rows (m, half) of the tile, so that it loads them at once.
DEVICE int output_row(int m, int half) { return 4 * lane_row() + 2 * m + half; }

// `b` is what is multiplied by the output's gradient, whose sums over the rows go to bias_sums: a lane's own part of them, if
// the products are the tensor cores'.
template <class P, class B>
DEVICE void multiply_pooled_rows(const float* output_gradient, const B& b, int first_output, int first_input, int rows, int inputs,
                                 int outputs, PooledSums& sums, float (&bias_sums)[4]) {
  constexpr int COLUMNS = is_same<P, Float32> ? 2 : 1;  // times four
  const int t = lane_column(), output = min(first_output + 4 * lane_row(), outputs - 4);
  int channels[COLUMNS];
  typename B::Coefficients coefficients[COLUMNS];
#pragma unroll
  for (int i = 0; i < COLUMNS; i++) {
    const int column = is_same<P, Float32> ? 8 * t + 4 * i : 4 * lane_row();
    channels[i] = min(first_input + column, inputs - 4);
    coefficients[i] = b.coefficients(channels[i]);
  }
  // Of a step's rows a lane takes two, or all in turn.
  constexpr int TAKEN = is_same<P, Float32> ? 8 : 2;
#pragma unroll UNROLLED<P>
  for (int from = own_warp() * 8; from < rows; from += POOLED_WARPS * 8) {
    const auto row_of = [&](int i) { return is_same<P, Float32> ? from + i : from + t + 4 * i; };
    float x[TAKEN][4];
    typename B::Raw raw[TAKEN][COLUMNS];
#pragma unroll
    for (int i = 0; i < TAKEN; i++) {
      load_floats(output_gradient + static_cast<size_t>(min(row_of(i), rows - 1)) * outputs + output, x[i]);
#pragma unroll
      for (int j = 0; j < COLUMNS; j++) raw[i][j] = b.fetch(min(row_of(i), rows - 1), channels[j]);
    }
    float y[TAKEN][4 * COLUMNS];
#pragma unroll
    for (int i = 0; i < TAKEN; i++) {
      const bool inside = row_of(i) < rows;
#pragma unroll
      for (int j = 0; j < COLUMNS; j++) {
        float four[4];
        b.values(raw[i][j], coefficients[j], min(row_of(i), rows - 1), channels[j], four);
        // Not only the gradient is nothing there: what is read may be infinite.
#pragma unroll
        for (int at = 0; at < 4; at++) y[i][4 * j + at] = inside ? four[at] : 0.0f;
      }
#pragma unroll
      for (int at = 0; at < 4; at++) {
        if (!inside) x[i][at] = 0.0f;
        bias_sums[at] += x[i][at];
      }
    }
    if constexpr (is_same<P, Float32>) {
#pragma unroll
      for (int i = 0; i < TAKEN; i++)
#pragma unroll
        for (int at = 0; at < 4; at++) sums.add(at / 2, at % 2, x[i][at], y[i]);
    } else {
      float a_step[2][2][2], b_step[4][2];
#pragma unroll
      for (int i = 0; i < 2; i++)
#pragma unroll
        for (int at = 0; at < 4; at++) a_step[at / 2][at % 2][i] = x[i][at], b_step[at][i] = y[i][at];
      sums.add(a_step, b_step);
    }
  }
}

template <class P>
DEVICE void pooled_weight_gradient(const float* output_gradient, const float* input, const Reading& input_reading,
                                   const float* factors, float* weight_gradient, float* bias_gradient, int rows, int inputs,
                                   int outputs) {
  const int input_tiles = ceil_div(inputs, POOLED_COLUMNS);
  const int first_output = blockIdx.x / input_tiles * POOLED_ROWS, first_input = blockIdx.x % input_tiles * POOLED_COLUMNS;
  PooledSums sums;
  float bias_sums[4] = {};
  if (input_reading.hard_swish || factors) {
    const ReadSource<float, true> b = {input, input_reading, factors, 1, inputs};
    multiply_pooled_rows<P>(output_gradient, b, first_output, first_input, rows, inputs, outputs, sums, bias_sums);
  } else {
    const ReadSource<float, false> b = {input, input_reading, nullptr, 1, inputs};
    multiply_pooled_rows<P>(output_gradient, b, first_output, first_input, rows, inputs, outputs, sums, bias_sums);
  }
  finish_pooled(sums, output_row, [&](int row, int column, const float(&values)[4]) {
    row += first_output, column += first_input;
    if (row < outputs && column < inputs) store_floats(weight_gradient + static_cast<size_t>(row) * inputs + column, values);
  });

  if (first_input > 0) return;
  SHARED(float, biases, POOLED_WARPS * POOLED_ROWS);
#pragma unroll
  for (int i = 0; i < 4; i++) {
    // In float32 each lane has seen all rows.
    if constexpr (!is_same<P, Float32>) {
      bias_sums[i] += __shfl_xor_sync(0xffffffffu, bias_sums[i], 1);
      bias_sums[i] += __shfl_xor_sync(0xffffffffu, bias_sums[i], 2);
    }
    if (lane_column() == 0) biases[own_warp() * POOLED_ROWS + 4 * lane_row() + i] = bias_sums[i];
  }
  __syncthreads();
  if (threadIdx.x >= POOLED_ROWS || first_output + threadIdx.x >= outputs) return;
  float sum = 0.0f;
#pragma unroll
  for (int warp = 0; warp < POOLED_WARPS; warp++) sum += biases[warp * POOLED_ROWS + threadIdx.x];
  bias_gradient[first_output + threadIdx.x] = sum;
}

#define POOLED_PRODUCTS(name, P)                                                                                         \
  KERNEL(pooled_forward_##name, PRODUCT_THREADS)                                                                         \
  (const float* input, Reading reading, const float* factors, const float* weight, const float* bias, float* output,     \
   Reading output_reading, float* read_output, int rows, int inputs, int outputs) {                                      \
    begin_kernel();                                                                                                      \
    pooled_forward<P>(input, reading, factors, weight, bias, output, output_reading, read_output, rows, inputs, outputs); \
  }                                                                                                                      \
  END_KERNEL(pooled_forward_##name)                                                                                      \
  KERNEL(pooled_input_gradient_##name, PRODUCT_THREADS)                                                                  \
  (const float* gradient, const float* output, GradientReading reading, const float* weight, const float* input,         \
   Reading input_reading, const float* factors, float* input_gradient, int accumulate, float* output_gradient, int rows, \
   int inputs, int outputs) {                                                                                            \
    begin_kernel();                                                                                                      \
    pooled_input_gradient<P>(gradient, output, reading, weight, input, input_reading, factors, input_gradient,           \
                             accumulate, output_gradient, rows, inputs, outputs);                                        \
  }                                                                                                                      \
  END_KERNEL(pooled_input_gradient_##name)                                                                               \
  KERNEL(pooled_weight_gradient_##name, PRODUCT_THREADS)                                                                 \
  (const float* output_gradient, const float* input, Reading input_reading, const float* factors, float* weight_gradient, \
   float* bias_gradient, int rows, int inputs, int outputs) {                                                            \
    begin_kernel();                                                                                                      \
    pooled_weight_gradient<P>(output_gradient, input, input_reading, factors, weight_gradient, bias_gradient, rows,      \
                              inputs, outputs);                                                                          \
  }                                                                                                                      \
  END_KERNEL(pooled_weight_gradient_##name)
POOLED_PRODUCTS(f32, Float32)
POOLED_PRODUCTS(tf32, Tf32)
