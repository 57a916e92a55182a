// Passes over maps that no convolution does: pooling, shortcuts, factors, and sums by themselves.
#include "common.cuh"

// Passes over a picture's pixels: a block's lanes share them, and add up what they have; it goes on with the picture gridDim.y
// further. `term` gives a thread's summand at a place of the maps, `finish` takes two channels' sums.
template <class Term, class Finish>
DEVICE void sum_pixels(int pictures, int pixels, int channels, const Term& term, const Finish& finish) {
  const int channel = pair_channel();
  for (int picture = blockIdx.y; picture < pictures; picture += gridDim.y) {
    const size_t from = static_cast<size_t>(picture) * pixels * channels + channel;
    float2 sum = make_float2(0.0f, 0.0f);
#pragma unroll 4
    for (int pixel = threadIdx.y; pixel < pixels; pixel += blockDim.y)
      term(from + static_cast<size_t>(pixel) * channels, sum);
    const float4 total = sum_lanes(make_float4(sum.x, sum.y, 0.0f, 0.0f));
    if (threadIdx.y == 0) finish(static_cast<size_t>(picture) * channels + channel, total.x, total.y);
  }
}

template <class T>
DEVICE void pool_forward(const T* map, const Reading& reading, float* features, int pictures, int pixels, int channels) {
  const Affine2 affine(reading, pair_channel());
  const float share = 1.0f / static_cast<float>(pixels);
  sum_pixels(
      pictures, pixels, channels,
      [&](size_t at, float2& sum) {
        const float2 a = affine.read(reading, Storage<T>::load2(map + at));
        sum.x += a.x, sum.y += a.y;
      },
      [&](size_t at, float a, float b) { Storage<float>::store2(features + at, a * share, b * share); });
}

template <class T>
DEVICE void excitation_gradient(const T* gradient, const T* map, const Reading& reading, float* factors_gradient,
                                int pictures, int pixels, int channels) {
  const Affine2 affine(reading, pair_channel());
  sum_pixels(
      pictures, pixels, channels,
      [&](size_t at, float2& sum) {
        const float2 a = affine.read(reading, Storage<T>::load2(map + at)), g = Storage<T>::load2(gradient + at);
        sum.x = fmaf(g.x, a.x, sum.x), sum.y = fmaf(g.y, a.y, sum.y);
      },
      [&](size_t at, float a, float b) { Storage<float>::store2(factors_gradient + at, a, b); });
}

template <class T>
DEVICE void pool_backward(const T* map, const SumReading& reading, const float* features_gradient, const float* factors,
                          T* gradient, float* partials, int pictures, int pixels, int channels) {
  const int channel = pair_channel(), rows = pictures * pixels;
  const Affine2 affine(reading.reading, channel);
  const float2 mean = Storage<float>::load2(reading.mean + channel);
  const float share = 1.0f / static_cast<float>(pixels);
  PairSums sums;
  for (int row = first_unit(); row < rows; row += unit_step()) {
    const size_t at = static_cast<size_t>(row) * channels + channel;
    const size_t one = static_cast<size_t>(row / pixels) * channels + channel;
    const float2 feature = Storage<float>::load2(features_gradient + one);
    float2 g = make_float2(feature.x * share, feature.y * share);
    if (factors) {
      const float2 factor = Storage<float>::load2(factors + one), multiplied = Storage<T>::load2(gradient + at);
      g = make_float2(fmaf(multiplied.x, factor.x, g.x), fmaf(multiplied.y, factor.y, g.y));
    }
    Storage<T>::store2(gradient + at, g.x, g.y);
    sums.add_gradient(reading.reading, affine, mean, g, Storage<T>::load2(map + at));
  }
  write_sums(partials, sums, channel, channels);
}

template <class T>
DEVICE void sum_gradient(const T* gradient, const T* map, const SumReading& reading, float* partials, int rows,
                         int channels) {
  const int channel = pair_channel();
  const Affine2 affine(reading.reading, channel);
  const float2 mean = Storage<float>::load2(reading.mean + channel);
  PairSums sums;
  for (int row = first_unit(); row < rows; row += unit_step()) {
    const size_t at = static_cast<size_t>(row) * channels + channel;
    sums.add_gradient(reading.reading, affine, mean, Storage<T>::load2(gradient + at), Storage<T>::load2(map + at));
  }
  write_sums(partials, sums, channel, channels);
}

template <class T>
DEVICE void add_forward(const T* a, const Reading& a_reading, const T* b, const Reading& b_reading, T* output, int rows,
                        int channels) {
  const size_t at = 2 * flat_index();
  if (at >= static_cast<size_t>(rows) * channels) return;
  const int channel = static_cast<int>(at % channels);
  const float2 first = Affine2(a_reading, channel).read(a_reading, Storage<T>::load2(a + at));
  const float2 second = Affine2(b_reading, channel).read(b_reading, Storage<T>::load2(b + at));
  Storage<T>::store2(output + at, first.x + second.x, first.y + second.y);
}

#define MAPS(name, T)                                                                                                  \
  KERNEL(pool_forward_##name, PAIR_THREADS)                                                                            \
  (const T* map, Reading reading, float* features, int pictures, int pixels, int channels) {                           \
    pool_forward<T>(map, reading, features, pictures, pixels, channels);                                               \
  }                                                                                                                    \
  END_KERNEL(pool_forward_##name)                                                                                      \
  KERNEL(excitation_gradient_##name, PAIR_THREADS)                                                                     \
  (const T* gradient, const T* map, Reading reading, float* factors_gradient, int pictures, int pixels, int channels) { \
    excitation_gradient<T>(gradient, map, reading, factors_gradient, pictures, pixels, channels);                      \
  }                                                                                                                    \
  END_KERNEL(excitation_gradient_##name)                                                                               \
  KERNEL(pool_backward_##name, PAIR_THREADS)                                                                           \
  (const T* map, SumReading reading, const float* features_gradient, const float* factors, T* gradient,                \
   float* partials, int pictures, int pixels, int channels) {                                                          \
    pool_backward<T>(map, reading, features_gradient, factors, gradient, partials, pictures, pixels, channels);        \
  }                                                                                                                    \
  END_KERNEL(pool_backward_##name)                                                                                     \
  KERNEL(sum_gradient_##name, PAIR_THREADS)                                                                            \
  (const T* gradient, const T* map, SumReading reading, float* partials, int rows, int channels) {                     \
    sum_gradient<T>(gradient, map, reading, partials, rows, channels);                                                 \
  }                                                                                                                    \
  END_KERNEL(sum_gradient_##name)                                                                                      \
  KERNEL(add_forward_##name, 256)                                                                                      \
  (const T* a, Reading a_reading, const T* b, Reading b_reading, T* output, int rows, int channels) {                  \
    add_forward<T>(a, a_reading, b, b_reading, output, rows, channels);                                                \
  }                                                                                                                    \
  END_KERNEL(add_forward_##name)
MAPS(f32, float)
MAPS(bf16, bf16)

KERNEL(read_factors, 256)(const float* map, Reading reading, float* factors, int pictures, int channels) {
  const size_t at = flat_index();
  if (at >= static_cast<size_t>(pictures) * channels) return;
  const int channel = static_cast<int>(at % channels);
  factors[at] = read(reading, reading.scale[channel], reading.shift[channel], map[at]);
}
END_KERNEL(read_factors)

KERNEL(dropout_factors, 256)(const unsigned* kept_bits, float kept, float* factors, int count) {
  const size_t at = flat_index();
  if (at < count) factors[at] = kept_bits[at / 32] >> at % 32 & 1 ? kept : 0.0f;
}
END_KERNEL(dropout_factors)
