// Where a product's operands come from: what is read of a map, the gradient of one, or numbers that are taken as they are.
#pragma once
#include "common.cuh"

// ---- How products are computed ----
// In words of the depth: two bfloat16, or one TF32 or float32. `pack` makes four values words.

struct Float32 {
  using Map = float;
  using Weight = float;
  static constexpr int DEPTH_PER_WORD = 1;
  static DEVICE uint4 pack(const float (&v)[4]) {
    return make_uint4(__float_as_uint(v[0]), __float_as_uint(v[1]), __float_as_uint(v[2]), __float_as_uint(v[3]));
  }
};

struct Tf32 {
  using Map = float;
  using Weight = float;
  static constexpr int DEPTH_PER_WORD = 1;
  static DEVICE uint4 pack(const float (&v)[4]) {
    return make_uint4(round_tf32(v[0]), round_tf32(v[1]), round_tf32(v[2]), round_tf32(v[3]));
  }
};

struct Bf16 {
  using Map = bf16;
  using Weight = bf16;
  static constexpr int DEPTH_PER_WORD = 2;
  static DEVICE uint2 pack(const float (&v)[4]) { return make_uint2(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3])); }
};

// Four values as words: those of a map that is stored in as many bits lie alike.
template <class P>
using Four = typename Storage<typename P::Map>::Four;

// ---- Sources ----
// A chunk is four values of a row side by side. Whoever takes chunks of the same channels asks for what there is for these channels
// once.

// Where a chunk of a map lies, by one multiplication. There may be more than 2^32 values.
template <class T>
DEVICE const typename Storage<T>::Four* chunk_at(const T* map, int channels, int row, int channel) {
  const char* const from = reinterpret_cast<const char*>(map + channel);
  const unsigned row_bytes = static_cast<unsigned>(channels) * sizeof(T);
  return reinterpret_cast<const typename Storage<T>::Four*>(from + static_cast<size_t>(static_cast<unsigned>(row)) * row_bytes);
}

// What is read of a map; GENERAL: it may be a hard swish, or multiplied by factors.
template <class T, bool GENERAL>
struct ReadSource {
  const T* map;
  Reading reading;
  const float* factors;
  Divisor pixels;
  int channels;
  struct Raw {
    typename Storage<T>::Four y;
  };
  struct Coefficients {
    float scale[4], shift[4];
  };
  static constexpr bool PLAIN = false, KEEPS = false;
  DEVICE Raw fetch(int row, int channel) const { return {load_ahead(chunk_at(map, channels, row, channel))}; }
  DEVICE Coefficients coefficients(int channel) const {
    Coefficients c;
    load_floats(reading.scale + channel, c.scale);
    load_floats(reading.shift + channel, c.shift);
    return c;
  }
  DEVICE void values(const Raw& raw, const Coefficients& c, int row, int channel, float (&to)[4]) const {
    Storage<T>::unpack(raw.y, to);
#pragma unroll
    for (int i = 0; i < 4; i++) to[i] = read<GENERAL>(reading, c.scale[i], c.shift[i], to[i]);
    if (GENERAL && factors) {
      float own[4];
      load_floats(factors + static_cast<size_t>(pixels.divide(row)) * channels + channel, own);
#pragma unroll
      for (int i = 0; i < 4; i++) to[i] *= own[i];
    }
  }
  template <class P>
  DEVICE Four<P> words(const Raw& raw, const Coefficients& c, int row, int channel) const {
    float v[4];
    if constexpr (!GENERAL && is_same<P, Bf16>) {
      // A curve's bounds are bfloat16, so that to cut what was rounded is the same, two values at a time.
      Storage<T>::unpack(raw.y, v);
#pragma unroll
      for (int i = 0; i < 4; i++) v[i] = fmaf(v[i], c.scale[i], c.shift[i]);
      const Four<P> packed = P::pack(v);
      const unsigned low = pack_bf16(reading.low, reading.low), high = pack_bf16(reading.high, reading.high);
      return make_uint2(cut_pair(packed.x, low, high), cut_pair(packed.y, low, high));
    } else {
      values(raw, c, row, channel, v);
      return P::pack(v);
    }
  }
};

// The gradient of a map. It is left in `kept` as the product takes it, if that is not null.
template <class T>
struct GradientSource {
  const T* gradient;
  const T* map;
  GradientReading reading;
  int channels;
  T* kept;
  struct Raw {
    typename Storage<T>::Four g, y;
  };
  struct Coefficients {
    float scale[4], slope[4], offset[4];
  };
  static constexpr bool PLAIN = false, KEEPS = true;
  DEVICE Raw fetch(int row, int channel) const {
    return {load_ahead(chunk_at(gradient, channels, row, channel)), load_ahead(chunk_at(map, channels, row, channel))};
  }
  DEVICE Coefficients coefficients(int channel) const {
    Coefficients c;
    load_floats(reading.scale + channel, c.scale);
    load_floats(reading.slope + channel, c.slope);
    load_floats(reading.offset + channel, c.offset);
    return c;
  }
  DEVICE void values(const Raw& raw, const Coefficients& c, int, int, float (&to)[4]) const {
    float y[4];
    Storage<T>::unpack(raw.g, to);
    Storage<T>::unpack(raw.y, y);
#pragma unroll
    for (int i = 0; i < 4; i++) to[i] = read_gradient(c.scale[i], c.slope[i], c.offset[i], to[i], y[i]);
  }
  template <class P>
  DEVICE Four<P> words(const Raw& raw, const Coefficients& c, int row, int channel) const {
    float v[4];
    values(raw, c, row, channel, v);
    return P::pack(v);
  }
};

// Weights, or a gradient that was kept: as it is.
template <class W>
struct PlainSource {
  const W* stored;
  int channels;
  struct Raw {
    typename Storage<W>::Four w;
  };
  struct Coefficients {};
  static constexpr bool PLAIN = true, KEEPS = false;
  DEVICE Raw fetch(int row, int channel) const { return {load_ahead(chunk_at(stored, channels, row, channel))}; }
  DEVICE Coefficients coefficients(int) const { return {}; }
  DEVICE void values(const Raw& raw, const Coefficients&, int, int, float (&to)[4]) const {
    Storage<W>::unpack(raw.w, to);
  }
  template <class P>
  DEVICE Four<P> words(const Raw& raw, const Coefficients& c, int row, int channel) const {
    float v[4];
    values(raw, c, row, channel, v);
    return P::pack(v);
  }
};
