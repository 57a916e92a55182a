// A product backward. The gradient of the output is made on load from the gradient of what was read of it (batch norm's and
// the activation's backward). The pass for the input's gradient comes first and leaves it for that of the weights.
#include "product_tile.cuh"

template <class P, class T>
DEVICE void product_input_gradient(const typename P::Map* gradient, const typename P::Map* output,
                                   const GradientReading& reading, const typename P::Weight* weight,
                                   const typename P::Map* input, const SumReading& input_reading, const float* factors,
                                   int pixels, int excited, typename P::Map* input_gradient, int accumulate,
                                   typename P::Map* output_gradient, float* partials, int rows, int inputs, int outputs) {
  using Map = typename P::Map;
  using A = DeepOperand<P, GradientSource<Map, false>, T::BM, false>;
  using General = DeepOperand<P, GradientSource<Map, true>, T::BM, false>;
  using B = WideOperand<P, PlainSource<typename P::Weight>, T::BN, true>;
  const int column_tiles = ceil_div(inputs, T::BN);
  const int row_tile = blockIdx.x / column_tiles, first_column = blockIdx.x % column_tiles * T::BN;
  const int first_row = row_tile * T::BM;
  const B b({weight, inputs}, first_column, inputs, outputs);
  Four<P>* const kept = first_column == 0 ? reinterpret_cast<Four<P>*>(output_gradient) : nullptr;
  SLABS(slabs, A, B);
  Sums<T> sums;
  if (reading.reading.hard_swish) {
    const General a({gradient, output, reading, outputs, kept}, first_row, rows, outputs);
    multiply<P, T>(a, b, 0, outputs, slabs, sums);
  } else {
    const A a({gradient, output, reading, outputs, kept}, first_row, rows, outputs);
    multiply<P, T>(a, b, 0, outputs, slabs, sums);
  }

  const bool sum = partials && !excited;
  const Reading& r = input_reading.reading;
  float first[T::N / 4][8] = {}, second[T::N / 4][8] = {};
#pragma unroll
  for (int group = 0; group < T::N / 4; group++) {
    const int column = first_column + Place<T>::column_of(group);
    if (column >= inputs) continue;
    float scale[8], shift[8], mean[8];
    if (sum) {
      load_floats(r.scale + column, scale);
      load_floats(r.shift + column, shift);
      load_floats(input_reading.mean + column, mean);
    }
#pragma unroll
    for (int m = 0; m < T::M; m++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int row = first_row + Place<T>::row_of(m, half);
        if (row >= rows) continue;
        const size_t at = static_cast<size_t>(row) * inputs + column;
        float values[8];
        eight<T>(sums, m, half, group, values);
        if (factors && !excited) {
          float own[8];
          load_floats(factors + static_cast<size_t>(row / pixels) * inputs + column, own);
#pragma unroll
          for (int i = 0; i < 8; i++) values[i] *= own[i];
        }
        if (accumulate) {
          float before[8];
          Storage<Map>::load8(input_gradient + at, before);
#pragma unroll
          for (int i = 0; i < 8; i++) values[i] += before[i];
        }
        Storage<Map>::store8(input_gradient + at, values);
        if (!sum) continue;
        float y[8];
        Storage<Map>::load8(input + at, y);
#pragma unroll
        for (int i = 0; i < 8; i++) {
          const float g = times_slope(r, values[i], fmaf(y[i], scale[i], shift[i]));
          first[group][i] += g;
          second[group][i] = fmaf(g, y[i] - mean[i], second[group][i]);
        }
      }
  }
  if (sum) write_column_sums<T>(partials, row_tile, first_column, inputs, first, second);
}

template <class P, class T>
DEVICE void product_weight_gradient(const typename P::Map* output_gradient, const typename P::Map* input,
                                    const Reading& input_reading, const float* factors, int pixels, float* parts, int rows,
                                    int rows_per_split, int inputs, int outputs) {
  using Map = typename P::Map;
  using A = WideOperand<P, PlainSource<Map>, T::BM, false>;
  using B = WideOperand<P, ReadSource<Map, false>, T::BN, true>;
  using General = WideOperand<P, ReadSource<Map, true>, T::BN, true>;
  const int input_tiles = ceil_div(inputs, T::BN), tiles = ceil_div(outputs, T::BM) * input_tiles;
  const int split = blockIdx.x / tiles, tile = blockIdx.x % tiles;
  const int first_output = tile / input_tiles * T::BM, first_input = tile % input_tiles * T::BN;
  const int start = split * rows_per_split, end = min(rows, start + rows_per_split);
  const A a({output_gradient, outputs}, first_output, outputs, end);
  SLABS(slabs, A, B);
  Sums<T> sums;
  if (input_reading.hard_swish || factors) {
    const General b({input, input_reading, factors, pixels, inputs}, first_input, inputs, end);
    multiply<P, T>(a, b, start, end, slabs, sums);
  } else {
    const B b({input, input_reading, nullptr, 1, inputs}, first_input, inputs, end);
    multiply<P, T>(a, b, start, end, slabs, sums);
  }

  float* to = parts + static_cast<size_t>(split) * outputs * inputs;
#pragma unroll
  for (int group = 0; group < T::N / 4; group++)
#pragma unroll
    for (int m = 0; m < T::M; m++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int row = first_output + Place<T>::row_of(m, half), column = first_input + Place<T>::column_of(group);
        if (row >= outputs || column >= inputs) continue;
        float values[8];
        eight<T>(sums, m, half, group, values);
        Storage<float>::store8(to + static_cast<size_t>(row) * inputs + column, values);
      }
}

#define INPUT_GRADIENT(name, P, BM, BN, BLOCKS)                                                                         \
  CROWDED_KERNEL(product_input_gradient_##name##_##BM##x##BN, PRODUCT_THREADS, BLOCKS)                                  \
  (const P::Map* gradient, const P::Map* output, GradientReading reading, const P::Weight* weight, const P::Map* input, \
   SumReading input_reading, const float* factors, int pixels, int excited, P::Map* input_gradient, int accumulate,     \
   P::Map* output_gradient, float* partials, int rows, int inputs, int outputs) {                                       \
    product_input_gradient<P, Tile<BM, BN>>(gradient, output, reading, weight, input, input_reading, factors, pixels,   \
                                            excited, input_gradient, accumulate, output_gradient, partials, rows,       \
                                            inputs, outputs);                                                           \
  }                                                                                                                     \
  END_KERNEL(product_input_gradient_##name##_##BM##x##BN)

#define WEIGHT_GRADIENT(name, P, BM, BN, BLOCKS)                                                                     \
  CROWDED_KERNEL(product_weight_gradient_##name##_##BM##x##BN, PRODUCT_THREADS, BLOCKS)                              \
  (const P::Map* output_gradient, const P::Map* input, Reading input_reading, const float* factors, int pixels,      \
   float* parts, int rows, int rows_per_split, int inputs, int outputs) {                                            \
    product_weight_gradient<P, Tile<BM, BN>>(output_gradient, input, input_reading, factors, pixels, parts, rows,    \
                                             rows_per_split, inputs, outputs);                                       \
  }                                                                                                                  \
  END_KERNEL(product_weight_gradient_##name##_##BM##x##BN)

// As many blocks side by side as the registers hold.
#define PRODUCT_BACKWARD_TILES(name, P, BLOCKS) \
  INPUT_GRADIENT(name, P, 128, 128, BLOCKS)     \
  INPUT_GRADIENT(name, P, 128, 64, 2)           \
  INPUT_GRADIENT(name, P, 64, 64, 3)            \
  WEIGHT_GRADIENT(name, P, 128, 128, BLOCKS)    \
  WEIGHT_GRADIENT(name, P, 64, 64, 3)
PRODUCT_BACKWARD_TILES(f32, Float32, 1)
PRODUCT_BACKWARD_TILES(tf32, Tf32, 2)
PRODUCT_BACKWARD_TILES(bf16, Bf16, 2)
