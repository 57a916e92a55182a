// A pointwise convolution or linear layer forward: normalise and activate on load, multiply, gather the sums.
#include "product_tile.cuh"

template <class P, class T>
DEVICE void product_forward(const typename P::Map* input, const Reading& reading, const float* factors, int pixels,
                            const typename P::Weight* weight, const float* bias, typename P::Map* output, float* partials,
                            int rows, int inputs, int outputs) {
  using Map = typename P::Map;
  using A = DeepOperand<P, ReadSource<Map, false>, T::BM, false, T::THREADS>;
  using General = DeepOperand<P, ReadSource<Map, true>, T::BM, false, T::THREADS>;
  using B = DeepOperand<P, PlainSource<typename P::Weight>, T::BN, true, T::THREADS>;
  const int column_tiles = ceil_div(outputs, T::BN);
  const int row_tile = blockIdx.x / column_tiles, first_column = blockIdx.x % column_tiles * T::BN;
  const int first_row = row_tile * T::BM;
  const B b({weight, inputs}, first_column, outputs, inputs);
  const Slabs slabs = slabs_of<T, A, B>();
  Sums<T> sums;
  if (reading.hard_swish || factors) {
    const General a({input, reading, factors, pixels, inputs}, first_row, rows, inputs);
    multiply<P, T>(a, b, 0, inputs, slabs, sums);
  } else {
    const A a({input, reading, nullptr, 1, inputs}, first_row, rows, inputs);
    multiply<P, T>(a, b, 0, inputs, slabs, sums);
  }

  float first[T::N * 2] = {}, second[T::N * 2] = {};
#pragma unroll
  for (int group = 0; group < T::N / 4; group++) {
    const int column = first_column + Place<T>::column_of(group);
#pragma unroll
    for (int m = 0; m < T::M; m++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int row = first_row + Place<T>::row_of(m, half);
        if (row >= rows || column >= outputs) continue;
        float values[8];
        eight<T>(sums, m, half, group, values);
#pragma unroll
        for (int i = 0; i < 8; i++) {
          if (bias) values[i] += bias[column + i];
          first[group * 8 + i] += values[i];
          second[group * 8 + i] = fmaf(values[i], values[i], second[group * 8 + i]);
        }
        Storage<Map>::store8(output + static_cast<size_t>(row) * outputs + column, values);
      }
  }
  if (partials) write_column_sums<T>(partials, row_tile, first_column, outputs, first, second);
}

#define PRODUCT_FORWARD(name, P, BM, BN, BLOCKS)                                                                       \
  CROWDED_KERNEL(product_forward_##name##_##BM##x##BN, (Tile<BM, BN>::THREADS), BLOCKS)                                        \
  (const P::Map* input, Reading reading, const float* factors, int pixels, const P::Weight* weight, const float* bias, \
   P::Map* output, float* partials, int rows, int inputs, int outputs) {                                               \
    begin_kernel();                                                                                                    \
    product_forward<P, Tile<BM, BN>>(input, reading, factors, pixels, weight, bias, output, partials, rows, inputs,    \
                                     outputs);                                                                         \
  }                                                                                                                    \
  END_KERNEL(product_forward_##name##_##BM##x##BN)

#define PRODUCT_FORWARD_TILES(name, P)  \
  PRODUCT_FORWARD(name, P, 128, 128, 2) \
  PRODUCT_FORWARD(name, P, 128, 64, 2)  \
  PRODUCT_FORWARD(name, P, 64, 64, 3)   \
  PRODUCT_FORWARD(name, P, 128, 32, 4)
PRODUCT_FORWARD_TILES(f32, Float32)
PRODUCT_FORWARD_TILES(tf32, Tf32)
PRODUCT_FORWARD_TILES(bf16, Bf16)
// One block has a multiprocessor to itself.
PRODUCT_FORWARD(tf32, Tf32, 128, 256, 1)
PRODUCT_FORWARD(bf16, Bf16, 128, 256, 1)
