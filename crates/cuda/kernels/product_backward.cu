// A product backward. The gradient of the output is made on load from that of its normalised values (batch norm's backward). The
// pass for the input's gradient comes first and leaves it for that of the weights.
#include "product_tile.cuh"

template <class P, class T>
DEVICE void product_input_gradient(const typename P::Map* gradient, const typename P::Map* output,
                                   const GradientReading& reading, const typename P::Weight* weight,
                                   const typename P::Map* input, const SumReading& input_reading, const float* factors,
                                   int pixels, int excited, typename P::Map* input_gradient, int accumulate,
                                   typename P::Map* output_gradient, float* partials, int rows, int inputs, int outputs) {
  using Map = typename P::Map;
  using A = DeepOperand<P, GradientSource<Map>, T::BM, false, T::THREADS>;
  using B = WideOperand<P, PlainSource<typename P::Weight>, T::BN, true, T::THREADS>;
  const int column_tiles = ceil_div(inputs, T::BN);
  const int row_tile = blockIdx.x / column_tiles, first_column = blockIdx.x % column_tiles * T::BN;
  const int first_row = row_tile * T::BM;
  const B b({weight, inputs}, first_column, inputs, outputs);
  const bool sum = partials && !excited;
  const auto meanwhile = [&] {
    if (sum) prefetch_tile<T>(input, first_row, rows, first_column, inputs);
    if (accumulate) prefetch_tile<T>(input_gradient, first_row, rows, first_column, inputs);
  };
  Map* const kept = first_column == 0 ? output_gradient : nullptr;
  const Slabs slabs = slabs_of<T, A, B>();
  Sums<T> sums;
  const A a({gradient, output, reading, outputs, kept}, first_row, rows, outputs);
  multiply<P, T>(a, b, 0, outputs, slabs, sums, meanwhile);

  // What is read of a map is on its way for all rows before any of it is needed, and apart from what is written, behind which nothing
  // is brought forward.
  using Eight = typename Storage<Map>::Eight;
  const auto row_of = [&](int m, int half) { return first_row + Place<T>::row_of(m, half); };
  const auto load = [&](const Map* from, int column, auto(&to)[T::M][2]) {
    each_row<T>([&](int m, int half) {
      const size_t row = min(row_of(m, half), rows - 1);
      to[m][half] = *reinterpret_cast<const std::remove_reference_t<decltype(to[0][0])>*>(from + row * inputs + column);
    });
  };
  const Reading& r = input_reading.reading;
  float first[T::N * 2] = {}, second[T::N * 2] = {};
  // The next group's are on their way before this one's results are written, where registers hold them.
  constexpr bool EARLY = is_same<Map, bf16>;
  Eight ys[T::M][2];
  const auto finish = [&](int group, int column, auto hard_swish) {
    if (factors && !excited) {
      const Divisor picture(pixels);
      each_row<T>([&](int m, int half) {
        float own[8];
        load_floats(factors + static_cast<size_t>(picture.divide(min(row_of(m, half), rows - 1))) * inputs + column, own);
#pragma unroll
        for (int i = 0; i < 8; i++) value_of<T>(sums, m, half, group, i) *= own[i];
      });
    }
    if (accumulate) {
      Eight before[T::M][2];
      load(input_gradient, column, before);
      each_row<T>([&](int m, int half) {
        float own[8];
        Storage<Map>::unpack(before[m][half], own);
#pragma unroll
        for (int i = 0; i < 8; i++) value_of<T>(sums, m, half, group, i) += own[i];
      });
    }
    if (!sum) return;
#pragma unroll
    for (int from = 0; from < 8; from += 4) {
      float scale[4], shift[4], mean[4];
      load_floats(r.scale + column + from, scale);
      load_floats(r.shift + column + from, shift);
      load_floats(input_reading.mean + column + from, mean);
      typename Storage<Map>::Four fours[T::M][2];
      if (!EARLY) load(input, column + from, fours);
      each_row<T>([&](int m, int half) {
        if (row_of(m, half) >= rows) return;
        float y[8];
        if constexpr (EARLY) {
          Storage<Map>::unpack(ys[m][half], y);
        } else {
          float four[4];
          Storage<Map>::unpack(fours[m][half], four);
#pragma unroll
          for (int i = 0; i < 4; i++) y[from + i] = four[i];
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const int at = group * 8 + from + i;
          float& value = value_of<T>(sums, m, half, group, from + i);
          const float own = y[from + i];
          value = times_slope<decltype(hard_swish)::value>(r, value, fmaf(own, scale[i], shift[i]));
          first[at] += value;
          second[at] = fmaf(value, own - mean[i], second[at]);
        }
      });
    }
  };
  const auto column_of = [&](int group) { return first_column + Place<T>::column_of(group); };
  if (EARLY && sum && column_of(0) < inputs) load(input, column_of(0), ys);
#pragma unroll
  for (int group = 0; group < T::N / 4; group++) {
    const int column = column_of(group);
    if (column >= inputs) continue;
    r.hard_swish ? finish(group, column, Is<true>()) : finish(group, column, Is<false>());
    if (EARLY && sum && group + 1 < T::N / 4 && column_of(group + 1) < inputs) load(input, column_of(group + 1), ys);
    each_row<T>([&](int m, int half) {
      if (row_of(m, half) >= rows) return;
      float values[8];
      eight<T>(sums, m, half, group, values);
      Storage<Map>::store8(input_gradient + static_cast<size_t>(row_of(m, half)) * inputs + column, values);
    });
  }
  if (!sum) return;
  write_column_sums<T>(partials, row_tile, first_column, inputs, first, second);
}

template <class P, class T>
DEVICE void product_weight_gradient(const typename P::Map* output_gradient, const typename P::Map* input,
                                    const Reading& input_reading, const float* factors, int pixels, float* parts, int rows,
                                    int rows_per_split, int inputs, int outputs) {
  using Map = typename P::Map;
  using A = WideOperand<P, PlainSource<Map>, T::BM, false, T::THREADS>;
  using B = WideOperand<P, ReadSource<Map, false>, T::BN, true, T::THREADS>;
  using General = WideOperand<P, ReadSource<Map, true>, T::BN, true, T::THREADS>;
  const int input_tiles = ceil_div(inputs, T::BN), tiles = ceil_div(outputs, T::BM) * input_tiles;
  const int split = blockIdx.x / tiles, tile = blockIdx.x % tiles;
  const int first_output = tile / input_tiles * T::BM, first_input = tile % input_tiles * T::BN;
  const int start = split * rows_per_split, end = min(rows, start + rows_per_split);
  const A a({output_gradient, outputs}, first_output, outputs, end);
  const Slabs slabs = slabs_of<T, A, B>();
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
  CROWDED_KERNEL(product_input_gradient_##name##_##BM##x##BN, (Tile<BM, BN>::THREADS), BLOCKS)                                  \
  (const P::Map* gradient, const P::Map* output, GradientReading reading, const P::Weight* weight, const P::Map* input, \
   SumReading input_reading, const float* factors, int pixels, int excited, P::Map* input_gradient, int accumulate,     \
   P::Map* output_gradient, float* partials, int rows, int inputs, int outputs) {                                       \
    begin_kernel();                                                                                                     \
    product_input_gradient<P, Tile<BM, BN>>(gradient, output, reading, weight, input, input_reading, factors, pixels,   \
                                            excited, input_gradient, accumulate, output_gradient, partials, rows,       \
                                            inputs, outputs);                                                           \
  }                                                                                                                     \
  END_KERNEL(product_input_gradient_##name##_##BM##x##BN)

#define WEIGHT_GRADIENT(name, P, BM, BN, BLOCKS)                                                                     \
  CROWDED_KERNEL(product_weight_gradient_##name##_##BM##x##BN, (Tile<BM, BN>::THREADS), BLOCKS)                              \
  (const P::Map* output_gradient, const P::Map* input, Reading input_reading, const float* factors, int pixels,      \
   float* parts, int rows, int rows_per_split, int inputs, int outputs) {                                            \
    begin_kernel();                                                                                                  \
    product_weight_gradient<P, Tile<BM, BN>>(output_gradient, input, input_reading, factors, pixels, parts, rows,    \
                                             rows_per_split, inputs, outputs);                                       \
  }                                                                                                                  \
  END_KERNEL(product_weight_gradient_##name##_##BM##x##BN)

// As many blocks side by side as the registers hold.
#define PRODUCT_BACKWARD_TILES(name, P)    \
  INPUT_GRADIENT(name, P, 128, 128, 2)     \
  INPUT_GRADIENT(name, P, 128, 64, 2)      \
  INPUT_GRADIENT(name, P, 64, 64, 3)       \
  INPUT_GRADIENT(name, P, 128, 32, 4)      \
  WEIGHT_GRADIENT(name, P, 128, 128, 2)    \
  WEIGHT_GRADIENT(name, P, 64, 64, 3)      \
  WEIGHT_GRADIENT(name, P, 64, 32, 6)      \
  WEIGHT_GRADIENT(name, P, 32, 64, 6)
PRODUCT_BACKWARD_TILES(f32, Float32)
PRODUCT_BACKWARD_TILES(tf32, Tf32)
PRODUCT_BACKWARD_TILES(bf16, Bf16)
// One block has a multiprocessor to itself. Of the weights' gradient, what is made on the way from memory (the inputs) is on the side
// that is not the longer one, so that less is made for each output.
INPUT_GRADIENT(tf32, Tf32, 128, 256, 1)
INPUT_GRADIENT(bf16, Bf16, 128, 256, 1)
WEIGHT_GRADIENT(tf32, Tf32, 256, 128, 1)
WEIGHT_GRADIENT(bf16, Bf16, 256, 128, 1)
