// The stem: a full 3x3 convolution of a picture's three channels. A thread owns two output channels and works on units of 8
// pixels of an output row; the picture's values are the same for all pairs, so they come once for a warp or twice.
#include "common.cuh"

constexpr int TAPS = 27;
// Columns of a unit of work.
constexpr int STEM_COLUMNS = 8;

// One value of a patch; what lies outside of the picture is 0.
DEVICE float patch_value(const float* picture, int side, int top, int left, int tap) {
  const int y = top + tap / 9, x = left + tap / 3 % 3;
  const bool inside = y >= 0 && y < side && x >= 0 && x < side;
  return inside ? picture[(static_cast<size_t>(y) * side + x) * 3 + tap % 3] : 0.0f;
}

template <class T>
DEVICE void stem_forward(const float* input, const float* weight, const float* bias, T* output, float* partials,
                         int pictures, int side, int outputs, int stride, int padding) {
  const int out = (side + 2 * padding - 3) / stride + 1, column_units = ceil_div(out, STEM_COLUMNS);
  const int channel = pair_channel(), units = pictures * out * column_units;
  float2 w[TAPS];
#pragma unroll
  for (int tap = 0; tap < TAPS; tap++) w[tap] = Storage<float>::load2(weight + tap * outputs + channel);
  const float2 summand = bias ? Storage<float>::load2(bias + channel) : make_float2(0.0f, 0.0f);

  PairSums sums;
  for (int unit = first_unit(); unit < units; unit += unit_step()) {
    const int picture = unit / (out * column_units), row = unit / column_units % out;
    const int first_column = unit % column_units * STEM_COLUMNS;
    const float* from = input + static_cast<size_t>(picture) * side * side * 3;
    T* to = output + (static_cast<size_t>(picture) * out + row) * out * outputs + channel;
    for (int column = first_column; column < min(out, first_column + STEM_COLUMNS); column++) {
      float2 sum = make_float2(0.0f, 0.0f);
#pragma unroll
      for (int tap = 0; tap < TAPS; tap++) {
        const float value = patch_value(from, side, row * stride - padding, column * stride - padding, tap);
        sum.x = fmaf(value, w[tap].x, sum.x), sum.y = fmaf(value, w[tap].y, sum.y);
      }
      sum.x += summand.x, sum.y += summand.y;
      Storage<T>::store2(to + static_cast<size_t>(column) * outputs, sum.x, sum.y);
      sums.add_value(sum);
    }
  }
  write_sums(partials, sums, channel, outputs);
}

template <class T>
DEVICE void stem_weight_gradient(const float* input, const T* gradient, const T* output, const GradientReading& reading,
                                 float* weight_partials, int pictures, int side, int outputs, int stride, int padding) {
  const int out = (side + 2 * padding - 3) / stride + 1, column_units = ceil_div(out, STEM_COLUMNS);
  const int channel = pair_channel(), units = pictures * out * column_units;
  const Gradient2 output_gradient(reading, channel);
  float2 dw[TAPS + 1];
#pragma unroll
  for (int tap = 0; tap <= TAPS; tap++) dw[tap] = make_float2(0.0f, 0.0f);

  for (int unit = first_unit(); unit < units; unit += unit_step()) {
    const int picture = unit / (out * column_units), row = unit / column_units % out;
    const int first_column = unit % column_units * STEM_COLUMNS;
    const float* from = input + static_cast<size_t>(picture) * side * side * 3;
    const size_t at = (static_cast<size_t>(picture) * out + row) * out * outputs + channel;
    for (int column = first_column; column < min(out, first_column + STEM_COLUMNS); column++) {
      const size_t place = at + static_cast<size_t>(column) * outputs;
      const float2 g =
          output_gradient.read(reading.reading, Storage<T>::load2(gradient + place), Storage<T>::load2(output + place));
#pragma unroll
      for (int tap = 0; tap < TAPS; tap++) {
        const float value = patch_value(from, side, row * stride - padding, column * stride - padding, tap);
        dw[tap].x = fmaf(g.x, value, dw[tap].x), dw[tap].y = fmaf(g.y, value, dw[tap].y);
      }
    }
  }
  float* to = weight_partials + static_cast<size_t>(blockIdx.y) * TAPS * outputs + channel;
#pragma unroll
  for (int tap = 0; tap < TAPS; tap += 2) {
    const float4 total = sum_lanes(make_float4(dw[tap].x, dw[tap].y, dw[tap + 1].x, dw[tap + 1].y));
    if (threadIdx.y > 0) continue;
    Storage<float>::store2(to + tap * outputs, total.x, total.y);
    if (tap + 1 < TAPS) Storage<float>::store2(to + (tap + 1) * outputs, total.z, total.w);
  }
}

#define STEM(name, T)                                                                                                  \
  KERNEL(stem_forward_##name, PAIR_THREADS)                                                                            \
  (const float* input, const float* weight, const float* bias, T* output, float* partials, int pictures, int side,     \
   int outputs, int stride, int padding) {                                                                             \
    stem_forward<T>(input, weight, bias, output, partials, pictures, side, outputs, stride, padding);                  \
  }                                                                                                                    \
  END_KERNEL(stem_forward_##name)                                                                                      \
  KERNEL(stem_weight_gradient_##name, PAIR_THREADS)                                                                    \
  (const float* input, const T* gradient, const T* output, GradientReading reading, float* weight_partials,            \
   int pictures, int side, int outputs, int stride, int padding) {                                                     \
    stem_weight_gradient<T>(input, gradient, output, reading, weight_partials, pictures, side, outputs, stride, padding); \
  }                                                                                                                    \
  END_KERNEL(stem_weight_gradient_##name)
STEM(f32, float)
STEM(bf16, bf16)
