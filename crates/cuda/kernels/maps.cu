// Passes over maps that no convolution does: pooling, shortcuts, dropout's factors, and sums by themselves.
#include "common.cuh"

// Passes over a picture's pixels: a block's lanes share them, and add up what they have; it goes on with the picture gridDim.y
// further. `load` gives what a thread takes from a place of the maps, `term` its summand, and `finish` takes two channels' sums.
template <class Load, class Term, class Finish>
DEVICE void sum_pixels(int pictures, int pixels, int channels, const Load& load, const Term& term, const Finish& finish) {
  const int channel = pair_channel();
  for (int picture = blockIdx.y; picture < pictures; picture += gridDim.y) {
    const size_t from = static_cast<size_t>(picture) * pixels * channels + channel;
    float2 sum = make_float2(0.0f, 0.0f);
    in_batches<8>(
        threadIdx.y, pixels, blockDim.y, [&](int pixel) { return load(from + static_cast<size_t>(pixel) * channels); },
        [&](int, const auto& loaded) {
          const float2 own = term(loaded);
          sum.x += own.x, sum.y += own.y;
        });
    sum_lanes<1>([&](int) { return sum; },
                 [&](int, float2 total) { finish(static_cast<size_t>(picture) * channels + channel, total.x, total.y); });
  }
}

// A place of a map, and of the gradient of what is read of it.
template <class T>
struct Both {
  Pair<T> gradient, value;
};

template <class T>
DEVICE void pool_forward(const T* map, const Reading& reading, float* features, int pictures, int pixels, int channels) {
  const Affine2 affine(reading, pair_channel());
  const float share = 1.0f / static_cast<float>(pixels);
  sum_pixels(
      pictures, pixels, channels, [&](size_t at) { return load_pair(map + at); },
      [&](Pair<T> value) { return affine.read(reading, unpack_pair(value)); },
      [&](size_t at, float a, float b) { Storage<float>::store2(features + at, a * share, b * share); });
}

template <class T>
DEVICE void excitation_gradient(const T* gradient, const T* map, const Reading& reading, const float* excitation,
                                const Reading& excitation_reading, float* to, int pictures, int pixels,
                                int channels) {
  const Affine2 affine(reading, pair_channel()), excited(excitation_reading, pair_channel());
  sum_pixels(
      pictures, pixels, channels, [&](size_t at) { return Both<T>{load_pair(gradient + at), load_pair(map + at)}; },
      [&](const Both<T>& both) {
        const float2 a = affine.read(reading, unpack_pair(both.value)), g = unpack_pair(both.gradient);
        return make_float2(g.x * a.x, g.y * a.y);
      },
      [&](size_t at, float a, float b) {
        const float2 y = Storage<float>::load2(excitation + at);
        Storage<float>::store2(to + at,
                               times_slope(excitation_reading, a, fmaf(y.x, excited.scale.x, excited.shift.x)),
                               times_slope(excitation_reading, b, fmaf(y.y, excited.scale.y, excited.shift.y)));
      });
}

template <class T>
DEVICE void pool_backward(const T* map, const SumReading& reading, const float* features_gradient, const float* factors,
                          T* gradient, float* partials, int pictures, int pixels, int channels) {
  const int channel = pair_channel(), rows = pictures * pixels;
  const Affine2 affine(reading.reading, channel);
  const float2 mean = Storage<float>::load2(reading.mean + channel);
  const float share = 1.0f / static_cast<float>(pixels);
  const Divisor pictures_of(pixels);
  PairSums sums;
  const auto place = [&](int row) { return static_cast<size_t>(row) * channels + channel; };
  struct Loaded {
    Both<T> both;
    float2 feature, factor;
  };
  const auto pass = [&](auto multiplied) {
    in_batches<4>(
        first_unit(), rows, unit_step(),
        [&](int row) {
          const size_t at = place(row), one = place(pictures_of.divide(row));
          Loaded loaded = {{{}, load_pair(map + at)}, Storage<float>::load2(features_gradient + one), {}};
          if (multiplied.value)
            loaded.both.gradient = load_pair(gradient + at), loaded.factor = Storage<float>::load2(factors + one);
          return loaded;
        },
        [&](int row, const Loaded& loaded) {
          float2 g = make_float2(loaded.feature.x * share, loaded.feature.y * share);
          if (multiplied.value) {
            const float2 own = unpack_pair(loaded.both.gradient);
            g = make_float2(fmaf(own.x, loaded.factor.x, g.x), fmaf(own.y, loaded.factor.y, g.y));
          }
          g = sums.add_gradient(reading.reading, affine, mean, g, unpack_pair(loaded.both.value));
          Storage<T>::store2(gradient + place(row), g.x, g.y);
        });
  };
  factors ? pass(Is<true>()) : pass(Is<false>());
  write_sums(partials, sums, channels);
}

template <class T>
DEVICE void sum_gradient(const T* gradient, const T* map, const SumReading& reading, float* partials, int rows,
                         int channels) {
  const int channel = pair_channel();
  const Affine2 affine(reading.reading, channel);
  const float2 mean = Storage<float>::load2(reading.mean + channel);
  PairSums sums;
  in_batches<8>(
      first_unit(), rows, unit_step(),
      [&](int row) {
        const size_t at = static_cast<size_t>(row) * channels + channel;
        return Both<T>{load_pair(gradient + at), load_pair(map + at)};
      },
      [&](int, const Both<T>& both) {
        sums.add_gradient(reading.reading, affine, mean, unpack_pair(both.gradient), unpack_pair(both.value));
      });
  write_sums(partials, sums, channels);
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
    begin_kernel();                                                                                                    \
    pool_forward<T>(map, reading, features, pictures, pixels, channels);                                               \
  }                                                                                                                    \
  END_KERNEL(pool_forward_##name)                                                                                      \
  KERNEL(excitation_gradient_##name, PAIR_THREADS)                                                                     \
  (const T* gradient, const T* map, Reading reading, const float* excitation, Reading excitation_reading,              \
   float* to, int pictures, int pixels, int channels) {                                            \
    begin_kernel();                                                                                                     \
    excitation_gradient<T>(gradient, map, reading, excitation, excitation_reading, to, pictures,   \
                           pixels, channels);                                                                          \
  }                                                                                                                    \
  END_KERNEL(excitation_gradient_##name)                                                                               \
  KERNEL(pool_backward_##name, PAIR_THREADS)                                                                           \
  (const T* map, SumReading reading, const float* features_gradient, const float* factors, T* gradient,                \
   float* partials, int pictures, int pixels, int channels) {                                                          \
    begin_kernel();                                                                                                    \
    pool_backward<T>(map, reading, features_gradient, factors, gradient, partials, pictures, pixels, channels);        \
  }                                                                                                                    \
  END_KERNEL(pool_backward_##name)                                                                                     \
  KERNEL(sum_gradient_##name, PAIR_THREADS)                                                                            \
  (const T* gradient, const T* map, SumReading reading, float* partials, int rows, int channels) {                     \
    begin_kernel();                                                                                                    \
    sum_gradient<T>(gradient, map, reading, partials, rows, channels);                                                 \
  }                                                                                                                    \
  END_KERNEL(sum_gradient_##name)                                                                                      \
  KERNEL(add_forward_##name, 256)                                                                                      \
  (const T* a, Reading a_reading, const T* b, Reading b_reading, T* output, int rows, int channels) {                  \
    begin_kernel();                                                                                                    \
    add_forward<T>(a, a_reading, b, b_reading, output, rows, channels);                                                \
  }                                                                                                                    \
  END_KERNEL(add_forward_##name)
MAPS(f32, float)
MAPS(bf16, bf16)

KERNEL(dropout_factors, 256)(const unsigned* kept_bits, float kept, float* factors, int count) {
  begin_kernel();
  const size_t at = flat_index();
  if (at < count) factors[at] = kept_bits[at / 32] >> at % 32 & 1 ? kept : 0.0f;
}
END_KERNEL(dropout_factors)
