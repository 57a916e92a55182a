// A matrix product's operands: slabs of 16 words of the depth.
//
// An operand's values are made on the way from memory (normalised, activated, or the batch norm's gradient) and packed into
// words: two bfloat16, or one TF32 or float32. While a slab is multiplied, the next one's raw values are already in registers.
// The two kinds of operands:
// - DeepOperand: memory is contiguous along the depth. Words lie [row or column][depth], 20 words apart.
// - WideOperand: memory is contiguous along the rows or columns. Words lie [depth][row or column], bfloat16 as rows of the depth.
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
// A chunk is V values of a row side by side, of 16 bytes; its place is counted in chunks, so that 32 bits reach 64 GiB. Each source
// makes four values at a time, for which it first takes what it has for these channels.

// What is read of a map; GENERAL: it may be a hard swish, or multiplied by factors.
template <class T, bool GENERAL>
struct ReadSource {
  static constexpr int V = Storage<T>::PER_CHUNK;
  const T* map;
  Reading reading;
  const float* factors;
  int pixels, channels;
  struct Raw {
    uint4 y;
  };
  struct Coefficients {
    float scale[4], shift[4];
  };
  static constexpr bool PLAIN = false, KEEPS = false;
  DEVICE Raw fetch(unsigned chunk) const { return {reinterpret_cast<const uint4*>(map)[chunk]}; }
  DEVICE Coefficients coefficients(int channel) const {
    Coefficients c;
    load_floats(reading.scale + channel, c.scale);
    load_floats(reading.shift + channel, c.shift);
    return c;
  }
  DEVICE void values(const Raw& raw, int part, const Coefficients& c, int row, int channel, float (&to)[4]) const {
    Storage<T>::unpack4(raw.y, part, to);
#pragma unroll
    for (int i = 0; i < 4; i++) to[i] = read<GENERAL>(reading, c.scale[i], c.shift[i], to[i]);
    if (GENERAL && factors) {
      float own[4];
      load_floats(factors + static_cast<size_t>(row / pixels) * channels + channel, own);
#pragma unroll
      for (int i = 0; i < 4; i++) to[i] *= own[i];
    }
  }
};

// The gradient of a map from the gradient of what was read of it; GENERAL: by what may be a hard swish. It is left in `kept`
// as the product takes it, if that is not null.
template <class T, bool GENERAL>
struct GradientSource {
  static constexpr int V = Storage<T>::PER_CHUNK;
  const T* gradient;
  const T* map;
  GradientReading reading;
  int channels;
  uint4* kept;
  struct Raw {
    uint4 g, y;
  };
  struct Coefficients {
    float scale[4], shift[4], slope[4], offset[4];
  };
  static constexpr bool PLAIN = false, KEEPS = true;
  DEVICE Raw fetch(unsigned chunk) const {
    return {reinterpret_cast<const uint4*>(gradient)[chunk], reinterpret_cast<const uint4*>(map)[chunk]};
  }
  DEVICE Coefficients coefficients(int channel) const {
    Coefficients c;
    load_floats(reading.reading.scale + channel, c.scale);
    load_floats(reading.reading.shift + channel, c.shift);
    load_floats(reading.slope + channel, c.slope);
    load_floats(reading.offset + channel, c.offset);
    return c;
  }
  DEVICE void values(const Raw& raw, int part, const Coefficients& c, int, int, float (&to)[4]) const {
    float y[4];
    Storage<T>::unpack4(raw.g, part, to);
    Storage<T>::unpack4(raw.y, part, y);
#pragma unroll
    for (int i = 0; i < 4; i++)
      to[i] = read_gradient<GENERAL>(reading.reading, c.scale[i], c.shift[i], c.slope[i], c.offset[i], to[i], y[i]);
  }
};

// Weights, or a gradient that was kept: as it is.
template <class W>
struct PlainSource {
  static constexpr int V = Storage<W>::PER_CHUNK;
  const W* stored;
  int channels;
  struct Raw {
    uint4 w;
  };
  struct Coefficients {};
  static constexpr bool PLAIN = true, KEEPS = false;
  DEVICE Raw fetch(unsigned chunk) const { return {reinterpret_cast<const uint4*>(stored)[chunk]}; }
  DEVICE Coefficients coefficients(int) const { return {}; }
  DEVICE void values(const Raw& raw, int part, const Coefficients&, int, int, float (&to)[4]) const {
    Storage<W>::unpack4(raw.w, part, to);
  }
};

// CHUNKS chunks of the same channels as words of the product; row_of(chunk) is a chunk's row.
template <class P, class Source, int CHUNKS, class RowOf>
DEVICE void pack_chunks(const Source& source, const typename Source::Raw (&raw)[CHUNKS], int channel, const RowOf& row_of,
                        uint4 (&to)[CHUNKS]) {
  if constexpr (Source::PLAIN && P::DEPTH_PER_WORD == 2) {
#pragma unroll
    for (int chunk = 0; chunk < CHUNKS; chunk++) to[chunk] = raw[chunk].w;
  } else {
#pragma unroll
    for (int part = 0; part < Source::V / 4; part++) {
      const typename Source::Coefficients coefficients = source.coefficients(channel + 4 * part);
#pragma unroll
      for (int chunk = 0; chunk < CHUNKS; chunk++) {
        float v[4];
        source.values(raw[chunk], part, coefficients, row_of(chunk), channel + 4 * part, v);
        if constexpr (P::DEPTH_PER_WORD == 1) {
          to[chunk] = make_uint4(P::pack(v[0]), P::pack(v[1]), P::pack(v[2]), P::pack(v[3]));
        } else if (part == 0) {
          to[chunk].x = pack_bf16(v[0], v[1]), to[chunk].y = pack_bf16(v[2], v[3]);
        } else {
          to[chunk].z = pack_bf16(v[0], v[1]), to[chunk].w = pack_bf16(v[2], v[3]);
        }
      }
    }
  }
}

// ---- Operands ----
// Each gives the tensor cores' fragments of M tiles of 16 rows, or N tiles of 8 columns, at word `k` of the depth.
//
// Rows and columns behind the last are read as the last: what they give is not used. So is what lies behind the depth's end, but
// that is used: there the second operand, whose rows are the tile's COLUMNS, is zero.

// The fragments of N tiles of columns, of which `load` gives two at once: those of tiles n and n + 1.
template <int N, class Load>
DEVICE void load_columns(unsigned (&b)[N][2], const Load& load) {
#pragma unroll
  for (int n = 0; n < N; n += 2) {
    unsigned both[4];
    load(n, both);
    b[n][0] = both[0], b[n][1] = both[1], b[n + 1][0] = both[2], b[n + 1][1] = both[3];
  }
}

// `SIZE` rows or columns of the tile, contiguous along the depth. Columns are put into their slots.
template <class P, class Source, int SIZE, bool COLUMNS>
struct DeepOperand {
  static constexpr int V = Source::V;
  static constexpr int CHUNKS = SIZE * 4 / PRODUCT_THREADS;
  static constexpr int WORDS = SIZE * DEEP_PITCH;
  static_assert(V / P::DEPTH_PER_WORD == 4 && CHUNKS >= 1);
  Source source;
  int first, end, depth;  // rows or columns first .. end, and the depth's end
  unsigned start[CHUNKS];  // where the chunk's row begins
  typename Source::Raw raw[CHUNKS];
  int slab;

  DEVICE DeepOperand(const Source& source, int first, int end, int depth)
      : source(source), first(first), end(end), depth(depth) {
#pragma unroll
    for (int chunk = 0; chunk < CHUNKS; chunk++) start[chunk] = static_cast<unsigned>(row(chunk)) * (source.channels / V);
  }
  DEVICE int place(int chunk) const { return (threadIdx.x + chunk * PRODUCT_THREADS) / 4; }
  DEVICE int row(int chunk) const { return min(first + place(chunk), end - 1); }
  DEVICE int channel() const { return slab + threadIdx.x % 4 * V; }

  DEVICE void fetch(int from) {
    slab = from;
    const unsigned at = static_cast<unsigned>(min(channel(), depth - V)) / V;
#pragma unroll
    for (int chunk = 0; chunk < CHUNKS; chunk++) raw[chunk] = source.fetch(start[chunk] + at);
  }
  DEVICE void store(unsigned* words) const {
    uint4 packed[CHUNKS] = {};
    pack_chunks<P>(source, raw, min(channel(), depth - V), [&](int chunk) { return row(chunk); }, packed);
#pragma unroll
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
      if constexpr (Source::KEEPS) {
        if (source.kept && first + place(chunk) < end && channel() < depth)
          source.kept[start[chunk] + static_cast<unsigned>(channel()) / V] = packed[chunk];
      }
      if (COLUMNS && channel() >= depth) packed[chunk] = make_uint4(0, 0, 0, 0);
      const int at = COLUMNS ? slot_of_column(place(chunk)) : place(chunk);
      *reinterpret_cast<uint4*>(words + at * DEEP_PITCH + threadIdx.x % 4 * 4) = packed[chunk];
    }
  }
  static DEVICE unsigned word(const unsigned* words, int at, int depth_word) { return words[at * DEEP_PITCH + depth_word]; }
  template <int M>
  static DEVICE void rows(const unsigned* words, int row, int k, unsigned (&a)[M][4]) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int m = 0; m < M; m++) load_matrices(a[m], words + (row + m * 16 + lane % 16) * DEEP_PITCH + k + lane / 16 * 4);
  }
  template <int N>
  static DEVICE void columns(const unsigned* words, int column, int k, unsigned (&b)[N][2]) {
    const int lane = threadIdx.x % 32;
    load_columns(b, [&](int n, unsigned (&both)[4]) {
      load_matrices(both, words + (column + n * 8 + lane / 16 * 8 + lane % 8) * DEEP_PITCH + k + lane / 8 % 2 * 4);
    });
  }
};

// What both kinds of wide operands share: memory is contiguous along the `SIZE` rows or columns of the tile.
template <class P, class Source, int SIZE, bool COLUMNS>
struct WideChunks {
  static constexpr int V = Source::V;
  static constexpr int CHUNKS_A_ROW = SIZE / V;
  static constexpr int CHUNKS = SLAB_DEPTH<P> * CHUNKS_A_ROW / PRODUCT_THREADS;
  static_assert(CHUNKS >= 1 && PRODUCT_THREADS % CHUNKS_A_ROW == 0);
  Source source;
  int first, end, depth;
  typename Source::Raw raw[CHUNKS];
  int slab;

  DEVICE WideChunks(const Source& source, int first, int end, int depth)
      : source(source), first(first), end(end), depth(depth) {}
  DEVICE int place() const { return threadIdx.x % CHUNKS_A_ROW * V; }
  DEVICE int channel() const { return min(first + place(), end - V); }
  DEVICE int deep(int chunk) const { return (threadIdx.x + chunk * PRODUCT_THREADS) / CHUNKS_A_ROW; }
  DEVICE int row(int chunk) const { return min(slab + deep(chunk), depth - 1); }

  DEVICE void fetch(int from) {
    slab = from;
#pragma unroll
    for (int chunk = 0; chunk < CHUNKS; chunk++)
      raw[chunk] = source.fetch(static_cast<unsigned>(row(chunk)) * (source.channels / V) + channel() / V);
  }
  DEVICE void pack(uint4 (&packed)[CHUNKS]) const {
    pack_chunks<P>(source, raw, channel(), [&](int chunk) { return row(chunk); }, packed);
#pragma unroll
    for (int chunk = 0; chunk < CHUNKS; chunk++)
      if (COLUMNS && slab + deep(chunk) >= depth) packed[chunk] = make_uint4(0, 0, 0, 0);
  }
};

// Of one value a word: words lie [depth][row or column].
template <class P, class Source, int SIZE, bool COLUMNS>
struct WideOperand : WideChunks<P, Source, SIZE, COLUMNS> {
  using Chunks = WideChunks<P, Source, SIZE, COLUMNS>;
  using Chunks::Chunks, Chunks::CHUNKS;
  // A fragment's lanes read columns 0, 1, 8, 9, .. of a group, or rows 0 to 7.
  static constexpr int PITCH = SIZE + (COLUMNS ? 2 : 8);
  static constexpr int WORDS = SLAB_WORDS * PITCH;

  DEVICE void store(unsigned* words) const {
    uint4 packed[CHUNKS] = {};
    this->pack(packed);
#pragma unroll
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
      uint2* to = reinterpret_cast<uint2*>(words + this->deep(chunk) * PITCH + this->place());
      to[0] = make_uint2(packed[chunk].x, packed[chunk].y), to[1] = make_uint2(packed[chunk].z, packed[chunk].w);
    }
  }
  static DEVICE unsigned word(const unsigned* words, int at, int depth_word) {
    return words[depth_word * PITCH + (COLUMNS ? column_of_slot(at) : at)];
  }
  template <int M>
  static DEVICE void rows(const unsigned* words, int row, int k, unsigned (&a)[M][4]) {
    const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
      for (int i = 0; i < 4; i++) a[m][i] = word(words, row + m * 16 + i % 2 * 8 + g, k + i / 2 * 4 + t);
  }
  template <int N>
  static DEVICE void columns(const unsigned* words, int column, int k, unsigned (&b)[N][2]) {
    const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
      for (int i = 0; i < 2; i++) b[n][i] = word(words, column + n * 8 + g, k + i * 4 + t);
  }
};

// Of bfloat16: rows of the depth lie one after the other, and are transposed where they are loaded.
template <class Source, int SIZE, bool COLUMNS>
struct WideOperand<Bf16, Source, SIZE, COLUMNS> : WideChunks<Bf16, Source, SIZE, COLUMNS> {
  using Chunks = WideChunks<Bf16, Source, SIZE, COLUMNS>;
  using Chunks::Chunks, Chunks::CHUNKS;
  // Eight rows' 16 bytes fall into 32 banks.
  static constexpr int PITCH = SIZE / 2 + 4;
  static constexpr int WORDS = SLAB_DEPTH<Bf16> * PITCH;

  DEVICE void store(unsigned* words) const {
    uint4 packed[CHUNKS] = {};
    this->pack(packed);
#pragma unroll
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
      unsigned* to = words + this->deep(chunk) * PITCH;
      if constexpr (COLUMNS) {
        // Two columns side by side stay so, in the tile of their own.
        to += slot_of_column(this->place()) / 2;
        to[0] = packed[chunk].x, to[4] = packed[chunk].y, to[8] = packed[chunk].z, to[12] = packed[chunk].w;
      } else {
        *reinterpret_cast<uint4*>(to + this->place() / 2) = packed[chunk];
      }
    }
  }
  template <int M>
  static DEVICE void rows(const unsigned* words, int row, int k, unsigned (&a)[M][4]) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int m = 0; m < M; m++)
      load_matrices_transposed(
          a[m], words + (2 * k + lane / 16 * 8 + lane % 8) * PITCH + (row + m * 16 + lane / 8 % 2 * 8) / 2);
  }
  template <int N>
  static DEVICE void columns(const unsigned* words, int column, int k, unsigned (&b)[N][2]) {
    const int lane = threadIdx.x % 32;
    load_columns(b, [&](int n, unsigned (&both)[4]) {
      load_matrices_transposed(
          both, words + (2 * k + lane / 8 % 2 * 8 + lane % 8) * PITCH + (column + n * 8 + lane / 16 * 8) / 2);
    });
  }
};
