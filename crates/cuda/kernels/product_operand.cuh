// A matrix product's operands: slabs of 16 words of the depth.
//
// An operand's values are made on the way from memory (normalised, activated, or the batch norm's gradient) and packed into
// words: two bfloat16, or one TF32 or float32. While a slab is multiplied, the next one's raw values are already in registers.
// The two kinds of operands:
// - DeepOperand: memory is contiguous along the depth. Words lie [row or column][depth], 20 words apart.
// - WideOperand: memory is contiguous along the rows or columns. Words lie [depth][row or column].
// Distances are such that the eight times four words of a fragment fall into 32 banks.
#pragma once
#include "common.cuh"

constexpr int PRODUCT_THREADS = 256;
constexpr int SLAB_WORDS = 16;
constexpr int DEEP_PITCH = 20;
// Columns of four of the tensor cores' tiles, within which columns are renamed: see slot_of_column.
constexpr int GROUP = 32;

// ---- How products are computed ----

struct Float32 {
  using Map = float;
  using Weight = float;
  static constexpr int DEPTH_PER_WORD = 1;
  static DEVICE unsigned pack(float value) { return __float_as_uint(value); }
};

struct Tf32 {
  using Map = float;
  using Weight = float;
  static constexpr int DEPTH_PER_WORD = 1;
  static DEVICE unsigned pack(float value) { return round_tf32(value); }
};

struct Bf16 {
  using Map = bf16;
  using Weight = bf16;
  static constexpr int DEPTH_PER_WORD = 2;
};

template <class P>
constexpr int SLAB_DEPTH = SLAB_WORDS * P::DEPTH_PER_WORD;

// ---- Where columns lie ----

// So that a thread owns eight columns side by side in each group, and stores them at once, the tensor cores' tile `j` of a group
// has the columns 8 * (n / 2) + 2 * j + n % 2. The place of column c in that order:
DEVICE int slot_of_column(int c) {
  const int in_group = c % GROUP;
  return c - in_group + (in_group % 8) / 2 * 8 + in_group / 8 * 2 + in_group % 2;
}
// And the column at a slot.
DEVICE int column_of_slot(int slot) {
  const int in_group = slot % GROUP, j = in_group / 8, n = in_group % 8;
  return slot - in_group + n / 2 * 8 + 2 * j + n % 2;
}

// ---- Where values come from ----

// What is read of a map, times factors.
template <class T>
struct ReadSource {
  const T* map;
  Reading reading;
  const float* factors;
  int pixels, channels;
  struct Raw {
    uint4 y;
  };
  static constexpr bool PLAIN = false;
  DEVICE Raw fetch(int row, int channel) const {
    return {*reinterpret_cast<const uint4*>(map + static_cast<size_t>(row) * channels + channel)};
  }
  template <int V>
  DEVICE void values(const Raw& raw, int row, int channel, float (&to)[V]) const {
    Storage<T>::unpack(raw.y, to);
#pragma unroll
    for (int i = 0; i < V; i++) to[i] = read(reading, reading.scale[channel + i], reading.shift[channel + i], to[i]);
    if (factors) {
      const float* own = factors + static_cast<size_t>(row / pixels) * channels + channel;
#pragma unroll
      for (int i = 0; i < V; i++) to[i] *= own[i];
    }
  }
};

// The gradient of a map from the gradient of what was read of it.
template <class T>
struct GradientSource {
  const T* gradient;
  const T* map;
  GradientReading reading;
  int channels;
  struct Raw {
    uint4 g, y;
  };
  static constexpr bool PLAIN = false;
  DEVICE Raw fetch(int row, int channel) const {
    const size_t at = static_cast<size_t>(row) * channels + channel;
    return {*reinterpret_cast<const uint4*>(gradient + at), *reinterpret_cast<const uint4*>(map + at)};
  }
  template <int V>
  DEVICE void values(const Raw& raw, int, int channel, float (&to)[V]) const {
    float y[V];
    Storage<T>::unpack(raw.g, to);
    Storage<T>::unpack(raw.y, y);
    const Reading& r = reading.reading;
#pragma unroll
    for (int i = 0; i < V; i++)
      to[i] = read_gradient(r, r.scale[channel + i], r.shift[channel + i], reading.slope[channel + i],
                            reading.offset[channel + i], to[i], y[i]);
  }
};

// A weight as it is.
template <class W>
struct WeightSource {
  const W* weight;
  int channels;
  struct Raw {
    uint4 w;
  };
  static constexpr bool PLAIN = true;
  DEVICE Raw fetch(int row, int channel) const {
    return {*reinterpret_cast<const uint4*>(weight + static_cast<size_t>(row) * channels + channel)};
  }
  template <int V>
  DEVICE void values(const Raw& raw, int, int, float (&to)[V]) const {
    Storage<W>::unpack(raw.w, to);
  }
};

// ---- Operands ----

// `SIZE` rows or columns of the tile, contiguous along the depth. SLOTS: they are columns, and are put into their slots.
template <class P, class Source, int SIZE, bool SLOTS>
struct DeepOperand {
  static constexpr int V = Storage<typename P::Map>::PER_CHUNK;
  static constexpr int CHUNKS = SIZE * 4 / PRODUCT_THREADS;
  static constexpr int WORDS = SIZE * DEEP_PITCH;
  static_assert(V / P::DEPTH_PER_WORD == 4 && CHUNKS >= 1);
  Source source;
  int first, end, depth;  // rows or columns first .. end, and the depth's end
  typename Source::Raw raw[CHUNKS];
  int slab;

  DEVICE int place(int chunk) const { return (threadIdx.x + chunk * PRODUCT_THREADS) / 4; }
  DEVICE bool inside(int chunk) const { return first + place(chunk) < end && channel() < depth; }
  DEVICE int channel() const { return slab + threadIdx.x % 4 * V; }

  DEVICE void fetch(int from) {
    slab = from;
#pragma unroll
    for (int chunk = 0; chunk < CHUNKS; chunk++)
      if (inside(chunk)) raw[chunk] = source.fetch(first + place(chunk), channel());
  }
  DEVICE void store(unsigned* words) const {
#pragma unroll
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
      uint4 packed = make_uint4(0, 0, 0, 0);
      if (inside(chunk)) {
        float values[V];
        source.values(raw[chunk], first + place(chunk), channel(), values);
        if constexpr (P::DEPTH_PER_WORD == 2) {
          packed = make_uint4(pack_bf16(values[0], values[1]), pack_bf16(values[2], values[3]),
                              pack_bf16(values[4], values[5]), pack_bf16(values[6], values[7]));
        } else {
          packed = make_uint4(P::pack(values[0]), P::pack(values[1]), P::pack(values[2]), P::pack(values[3]));
        }
      }
      const int at = SLOTS ? slot_of_column(place(chunk)) : place(chunk);
      *reinterpret_cast<uint4*>(words + at * DEEP_PITCH + threadIdx.x % 4 * 4) = packed;
    }
  }
  static DEVICE unsigned word(const unsigned* words, int at, int depth_word) { return words[at * DEEP_PITCH + depth_word]; }
};

// `SIZE` rows or columns of the tile, which memory is contiguous along. SLOTS: they are columns.
template <class P, class Source, int SIZE, bool SLOTS>
struct WideOperand {
  static constexpr int V = Storage<typename P::Map>::PER_CHUNK;
  static constexpr int D = P::DEPTH_PER_WORD;
  static constexpr int CHUNKS_A_ROW = SIZE / V;
  static constexpr int ALL = SLAB_WORDS * CHUNKS_A_ROW;
  static constexpr int CHUNKS = (ALL + PRODUCT_THREADS - 1) / PRODUCT_THREADS;
  // A fragment's lanes read columns 0, 1, 8, 9, .. of a group (slots), or rows 0 to 7.
  static constexpr int PITCH = SIZE + (SLOTS ? 2 : 8);
  static constexpr int WORDS = SLAB_WORDS * PITCH;
  Source source;
  int first, end, depth;
  typename Source::Raw raw[CHUNKS][D];
  int slab;

  DEVICE int unit(int chunk) const { return threadIdx.x + chunk * PRODUCT_THREADS; }
  DEVICE int place(int chunk) const { return unit(chunk) % CHUNKS_A_ROW * V; }
  DEVICE int row(int chunk, int d) const { return slab + unit(chunk) / CHUNKS_A_ROW * D + d; }
  DEVICE bool inside(int chunk, int d) const { return row(chunk, d) < depth && first + place(chunk) < end; }

  DEVICE void fetch(int from) {
    slab = from;
#pragma unroll
    for (int chunk = 0; chunk < CHUNKS; chunk++)
#pragma unroll
      for (int d = 0; d < D; d++)
        if (unit(chunk) < ALL && inside(chunk, d)) raw[chunk][d] = source.fetch(row(chunk, d), first + place(chunk));
  }
  DEVICE void store(unsigned* words) const {
#pragma unroll
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
      if (unit(chunk) >= ALL) continue;
      float values[D][V];
#pragma unroll
      for (int d = 0; d < D; d++) {
        if (inside(chunk, d)) {
          source.values(raw[chunk][d], row(chunk, d), first + place(chunk), values[d]);
        } else {
#pragma unroll
          for (int i = 0; i < V; i++) values[d][i] = 0.0f;
        }
      }
      unsigned* to = words + unit(chunk) / CHUNKS_A_ROW * PITCH + place(chunk);
#pragma unroll
      for (int i = 0; i < V; i += 2) {
        uint2 packed;
        if constexpr (D == 2) {
          packed = make_uint2(pack_bf16(values[0][i], values[1][i]), pack_bf16(values[0][i + 1], values[1][i + 1]));
        } else {
          packed = make_uint2(P::pack(values[0][i]), P::pack(values[0][i + 1]));
        }
        *reinterpret_cast<uint2*>(to + i) = packed;
      }
    }
  }
  static DEVICE unsigned word(const unsigned* words, int at, int depth_word) {
    return words[depth_word * PITCH + (SLOTS ? column_of_slot(at) : at)];
  }
};
