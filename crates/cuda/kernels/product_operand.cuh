// A product's operands: how a block brings the slabs of its rows or columns into shared memory.
//
// An operand's values are made on the way from memory (normalised, activated, or the batch norm's gradient): `fetch` takes the raw
// ones into registers, and `store` makes of them what the product takes. What is taken as it is in bfloat16 is copied into
// shared memory by `fetch`, without registers between. The two kinds of operands:
// - DeepOperand: memory is contiguous along the depth.
// - WideOperand: memory is contiguous along the rows or columns.
//
// Rows and columns behind the last are read as the last: what they give is not used. So is what lies behind the depth's end, but
// that is used: there what is taken as it is is zero, as one operand of each product is.
#pragma once
#include "product_layout.cuh"

// `SIZE` rows or columns of the tile, contiguous along the depth. Columns are put into their slots.
template <class P, class Source, int SIZE, bool COLUMNS, int THREADS>
struct DeepOperand : DeepLayout<SIZE> {
  static constexpr bool COPIED = false;
  static constexpr int STAGES = 2;
  static constexpr int CHUNKS_A_ROW = SLAB_DEPTH<P> / 4;
  static constexpr int ROWS = THREADS / CHUNKS_A_ROW;  // that all threads take at once
  static constexpr int CHUNKS = SIZE / ROWS;
  static_assert(CHUNKS >= 1 && ROWS % (COLUMNS ? GROUP : 8) == 0);
  Source source;
  int first, end, depth;  // rows or columns first .. end, and the depth's end
  int to;                 // where the first chunk is stored
  typename Source::Raw raw[CHUNKS];
  int slab;

  DEVICE DeepOperand(const Source& source, int first, int end, int depth)
      : source(source), first(first), end(end), depth(depth) {
    to = DeepOperand::place(COLUMNS ? slot_of_column(place_of(0)) : place_of(0),
                                 threadIdx.x % CHUNKS_A_ROW * (4 / P::DEPTH_PER_WORD));
  }
  static DEVICE int place_of(int chunk) { return threadIdx.x / CHUNKS_A_ROW + chunk * ROWS; }
  DEVICE int row(int chunk) const { return min(first + place_of(chunk), end - 1); }
  DEVICE int channel() const { return slab + threadIdx.x % CHUNKS_A_ROW * 4; }

  DEVICE void fetch(int from, unsigned*) {
    slab = from;
    const int own = min(channel(), depth - 4);
#pragma unroll
    for (int chunk = 0; chunk < CHUNKS; chunk++) raw[chunk] = source.fetch(row(chunk), own);
  }
  DEVICE void store(unsigned* words) const {
    const int own = min(channel(), depth - 4);
    const bool real = channel() < depth;
    const typename Source::Coefficients coefficients = source.coefficients(own);
    Four<P> packed[CHUNKS];
#pragma unroll
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
      packed[chunk] = source.template words<P>(raw[chunk], coefficients, row(chunk), own);
      if (Source::PLAIN && !real) packed[chunk] = {};
      *reinterpret_cast<Four<P>*>(words + to + chunk * ROWS * SLAB_WORDS) = packed[chunk];
    }
    if constexpr (Source::KEEPS) {
      if (!source.kept || !real) return;
#pragma unroll
      for (int chunk = 0; chunk < CHUNKS; chunk++)
        if (first + place_of(chunk) < end)
          *const_cast<Four<P>*>(chunk_at(source.kept, source.channels, row(chunk), own)) = packed[chunk];
    }
  }
};

template <int SIZE, bool COLUMNS, int THREADS>
struct DeepOperand<Bf16, PlainSource<bf16>, SIZE, COLUMNS, THREADS> : DeepLayout<SIZE> {
  static constexpr bool COPIED = true;
  static constexpr int STAGES = 3;
  static constexpr int COPIES = SIZE * 4 / THREADS;
  static_assert(COPIES >= 1 && THREADS / 4 % GROUP == 0);
  PlainSource<bf16> source;
  int first, end, depth, to;

  DEVICE DeepOperand(const PlainSource<bf16>& source, int first, int end, int depth)
      : source(source), first(first + threadIdx.x / 4), end(end), depth(depth) {
    const int at = threadIdx.x / 4;
    to = DeepOperand::place(COLUMNS ? slot_of_column(at) : at, threadIdx.x % 4 * 4);
  }
  DEVICE void fetch(int from, unsigned* words) const {
    const int channel = from + threadIdx.x % 4 * 8;
#pragma unroll
    for (int i = 0; i < COPIES; i++)
      copy_later<16>(words + to + i * THREADS / 4 * SLAB_WORDS,
                     chunk_at(source.stored, source.channels, min(first + i * THREADS / 4, end - 1), channel),
                     channel < depth);
  }
  DEVICE void store(unsigned*) const {}
};

// Memory is contiguous along the `SIZE` rows or columns of the tile.
template <class P, class Source, int SIZE, bool COLUMNS, int THREADS>
struct WideOperand : WideLayout<P, SIZE, COLUMNS> {
  static constexpr bool COPIED = false;
  static constexpr int STAGES = 2;
  static constexpr int CHUNKS_A_ROW = SIZE / 4;
  static constexpr int ROWS = THREADS / CHUNKS_A_ROW;  // that all threads take at once
  static constexpr int CHUNKS = SLAB_DEPTH<P> / ROWS;
  static_assert(CHUNKS >= 1 && THREADS % CHUNKS_A_ROW == 0 && (SIZE > GROUP || ROWS % 8 == 0));
  Source source;
  int channel, depth;  // the thread's own channels, and the depth's end
  int to;              // where the first chunk is stored
  typename Source::Coefficients coefficients;
  typename Source::Raw raw[CHUNKS];
  int slab;

  DEVICE WideOperand(const Source& source, int first, int end, int depth)
      : source(source),
        channel(min(first + place_of(), end - 4)),
        depth(depth),
        to(WideOperand::place_of_four(deep(0), place_of())),
        coefficients(source.coefficients(channel)) {}
  static DEVICE int place_of() { return threadIdx.x % CHUNKS_A_ROW * 4; }
  static DEVICE int deep(int chunk) { return WideOperand::deep_of(threadIdx.x / CHUNKS_A_ROW) + chunk * ROWS; }
  DEVICE int row(int chunk) const { return min(slab + deep(chunk), depth - 1); }

  DEVICE void fetch(int from, unsigned*) {
    slab = from;
#pragma unroll
    for (int chunk = 0; chunk < CHUNKS; chunk++) raw[chunk] = source.fetch(row(chunk), channel);
  }
  DEVICE void store(unsigned* words) const {
#pragma unroll
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
      Four<P> packed = source.template words<P>(raw[chunk], coefficients, row(chunk), channel);
      if (Source::PLAIN && slab + deep(chunk) >= depth) packed = {};
      WideOperand::put(words + to + chunk * ROWS * WideOperand::PITCH, packed);
    }
  }
};

template <int SIZE, bool COLUMNS, int THREADS>
struct WideOperand<Bf16, PlainSource<bf16>, SIZE, COLUMNS, THREADS> : WideLayout<Bf16, SIZE, COLUMNS> {
  static constexpr bool COPIED = true;
  static constexpr int STAGES = 3;
  // Columns are renamed in twos.
  static constexpr int V = COLUMNS ? 2 : 8;
  static constexpr int COPIES_A_ROW = SIZE / V;
  static constexpr int ROWS = THREADS / COPIES_A_ROW;
  static constexpr int COPIES = SLAB_DEPTH<Bf16> / ROWS;
  static_assert(COPIES >= 1 && (SIZE > GROUP || ROWS % 8 == 0));
  PlainSource<bf16> source;
  int channel, depth, to;

  DEVICE WideOperand(const PlainSource<bf16>& source, int first, int end, int depth) : source(source), depth(depth) {
    const int at = threadIdx.x % COPIES_A_ROW * V;
    channel = min(first + at, end - V);
    to = WideOperand::place(deep(0), COLUMNS ? slot_of_column(at) : at);
  }
  static DEVICE int deep(int i) { return WideOperand::deep_of(threadIdx.x / COPIES_A_ROW) + i * ROWS; }
  DEVICE void fetch(int from, unsigned* words) const {
#pragma unroll
    for (int i = 0; i < COPIES; i++) {
      const int row = from + deep(i);
      // Of weights the depth is whole channels: a multiple of 16.
      const bool real = COLUMNS ? from + i * ROWS / 16 * 16 < depth : row < depth;
      copy_later<2 * V>(words + to + i * ROWS * WideOperand::PITCH,
                        chunk_at(source.stored, source.channels, row, channel), real);
    }
  }
  DEVICE void store(unsigned*) const {}
};
