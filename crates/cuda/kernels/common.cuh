// What all kernels share: how values are stored, how a stored map is read, and sums a channel.
//
// The same sources are compiled by nvcc and, for tests, by g++ against emulation/cuda_emulation.h. All that differs between
// the two stands in platform.cuh.
#pragma once
#include "platform.cuh"

template <class A, class B>
constexpr bool is_same = false;
template <class A>
constexpr bool is_same<A, A> = true;

// A value that the compiler knows, as an argument.
template <bool VALUE>
struct Is {
  static constexpr bool value = VALUE;
  DEVICE constexpr operator bool() const { return VALUE; }
};

// ---- What maps are stored in ----

// V numbers side by side, four at a time.
template <int V>
DEVICE void load_floats(const float* from, float (&to)[V]) {
#pragma unroll
  for (int i = 0; i < V; i += 4) {
    const float4 four = *reinterpret_cast<const float4*>(from + i);
    to[i] = four.x, to[i + 1] = four.y, to[i + 2] = four.z, to[i + 3] = four.w;
  }
}

struct bf16 {
  unsigned short bits;
};

template <class T>
struct Storage;

// Four and Eight: as many values that lie side by side, as they are stored.
template <>
struct Storage<float> {
  using Four = uint4;
  struct Eight {
    uint4 low, high;
  };
  static DEVICE float2 load2(const float* from) { return *reinterpret_cast<const float2*>(from); }
  static DEVICE void store2(float* to, float a, float b) { *reinterpret_cast<float2*>(to) = make_float2(a, b); }
  static DEVICE void unpack(const Four& raw, float (&values)[4]) {
    values[0] = __uint_as_float(raw.x), values[1] = __uint_as_float(raw.y);
    values[2] = __uint_as_float(raw.z), values[3] = __uint_as_float(raw.w);
  }
  static DEVICE void unpack(const Eight& raw, float (&values)[8]) {
    float low[4], high[4];
    unpack(raw.low, low), unpack(raw.high, high);
#pragma unroll
    for (int i = 0; i < 4; i++) values[i] = low[i], values[4 + i] = high[i];
  }
  static DEVICE void store8(float* to, const float (&v)[8]) {
    reinterpret_cast<float4*>(to)[0] = make_float4(v[0], v[1], v[2], v[3]);
    reinterpret_cast<float4*>(to)[1] = make_float4(v[4], v[5], v[6], v[7]);
  }
};

DEVICE float low_half(unsigned word) { return __uint_as_float(word << 16); }
DEVICE float high_half(unsigned word) { return __uint_as_float(word & 0xffff0000u); }

template <>
struct Storage<bf16> {
  using Four = uint2;
  using Eight = uint4;
  static DEVICE float2 load2(const bf16* from) {
    const unsigned word = *reinterpret_cast<const unsigned*>(from);
    return make_float2(low_half(word), high_half(word));
  }
  static DEVICE void store2(bf16* to, float a, float b) { *reinterpret_cast<unsigned*>(to) = pack_bf16(a, b); }
  static DEVICE void unpack(const Four& raw, float (&values)[4]) {
    values[0] = low_half(raw.x), values[1] = high_half(raw.x);
    values[2] = low_half(raw.y), values[3] = high_half(raw.y);
  }
  static DEVICE void unpack(const Eight& raw, float (&values)[8]) {
    values[0] = low_half(raw.x), values[1] = high_half(raw.x);
    values[2] = low_half(raw.y), values[3] = high_half(raw.y);
    values[4] = low_half(raw.z), values[5] = high_half(raw.z);
    values[6] = low_half(raw.w), values[7] = high_half(raw.w);
  }
  static DEVICE void store8(bf16* to, const float (&v)[8]) {
    *reinterpret_cast<uint4*>(to) =
        make_uint4(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]), pack_bf16(v[4], v[5]), pack_bf16(v[6], v[7]));
  }
};

// ---- How a stored map is read (core's Affine and Gradient) ----

struct Reading {
  const float* scale;
  const float* shift;
  float low, high;
  int hard_swish;
  int unused;
};

// Gradients are stored as those of the map's normalised values, in front of the curve: the pass that has all of one, and gathers its
// sums, multiplies it by the curve's slope, and none of those that read it has to do it again.
struct GradientReading {
  const float* scale;
  const float* slope;
  const float* offset;
};

struct SumReading {
  Reading reading;
  const float* mean;
};

// min(max(low, n), high) that keeps a NaN, so that a diverged run shows as one.
DEVICE float cut(float n, float low, float high) { return min_nan(max_nan(n, low), high); }

// HARD_SWISH: whether it may be one. Where it can't, nothing is computed for it.
template <bool HARD_SWISH = true>
DEVICE float curve_at(const Reading& reading, float n) {
  if constexpr (!HARD_SWISH) return cut(n, reading.low, reading.high);
  // A hard swish has the bounds 0 and 1: both are cut alike.
  const float cut_off = cut(reading.hard_swish ? fmaf(n, 1.0f / 6.0f, 0.5f) : n, reading.low, reading.high);
  return reading.hard_swish ? n * cut_off : cut_off;
}

// g times the curve's slope at n.
template <bool HARD_SWISH = true>
DEVICE float times_slope(const Reading& reading, float g, float n) {
  if (HARD_SWISH && reading.hard_swish) {
    const float slope = n > -3.0f ? fmaf(n, 1.0f / 3.0f, 0.5f) : 0.0f;
    return g * (n < 3.0f ? slope : 1.0f);
  }
  return n > reading.low && n < reading.high ? g : 0.0f;
}

template <bool HARD_SWISH = true>
DEVICE float read(const Reading& reading, float scale, float shift, float y) {
  return curve_at<HARD_SWISH>(reading, fmaf(y, scale, shift));
}

// The gradient of a stored value y from that of its normalised value.
DEVICE float read_gradient(float scale, float slope, float offset, float g, float y) {
  return fmaf(g, scale, fmaf(y, slope, offset));
}

// ---- Channel pairs: a block is (pairs, lanes), and a thread owns two channels ----

// The threads of a block in that shape.
constexpr int PAIR_THREADS = 256;

// Two channels as they are stored, so that a thread can hold what is still on its way.
template <class T>
struct Pair;
template <>
struct Pair<float> {
  float2 values;
};
template <>
struct Pair<bf16> {
  unsigned word;
};
DEVICE Pair<float> load_pair(const float* from) { return {*reinterpret_cast<const float2*>(from)}; }
DEVICE Pair<bf16> load_pair(const bf16* from) { return {*reinterpret_cast<const unsigned*>(from)}; }
DEVICE float2 unpack_pair(Pair<float> pair) { return pair.values; }
DEVICE float2 unpack_pair(Pair<bf16> pair) { return make_float2(low_half(pair.word), high_half(pair.word)); }

// The values, or zeros: a choice between two numbers, where a branch around what makes them would cost more.
DEVICE float2 only_if(bool so, float2 values) { return make_float2(so ? values.x : 0.0f, so ? values.y : 0.0f); }

struct Affine2 {
  float2 scale, shift;
  DEVICE Affine2(const Reading& reading, int channel)
      : scale(Storage<float>::load2(reading.scale + channel)), shift(Storage<float>::load2(reading.shift + channel)) {}
  template <bool HARD_SWISH = true>
  DEVICE float2 read(const Reading& reading, float2 y) const {
    return make_float2(::read<HARD_SWISH>(reading, scale.x, shift.x, y.x), ::read<HARD_SWISH>(reading, scale.y, shift.y, y.y));
  }
};

struct Gradient2 {
  float2 scale, slope, offset;
  DEVICE Gradient2(const GradientReading& reading, int channel)
      : scale(Storage<float>::load2(reading.scale + channel)),
        slope(Storage<float>::load2(reading.slope + channel)),
        offset(Storage<float>::load2(reading.offset + channel)) {}
  DEVICE float2 read(float2 g, float2 y) const {
    return make_float2(read_gradient(scale.x, slope.x, offset.x, g.x, y.x),
                       read_gradient(scale.y, slope.y, offset.y, g.y, y.y));
  }
};

// Two sums for each of a thread's two channels.
struct PairSums {
  float2 first = {0.0f, 0.0f}, second = {0.0f, 0.0f};

  // What a map's batch norm needs forward.
  DEVICE void add_value(float2 y) {
    first.x += y.x, first.y += y.y;
    second.x = fmaf(y.x, y.x, second.x), second.y = fmaf(y.y, y.y, second.y);
  }
  // And backward: g is the gradient of what was read of y. Gives that of its normalised value.
  template <bool HARD_SWISH = true>
  DEVICE float2 add_gradient(const Reading& reading, const Affine2& affine, float2 mean, float2 g, float2 y) {
    const float a = times_slope<HARD_SWISH>(reading, g.x, fmaf(y.x, affine.scale.x, affine.shift.x));
    const float b = times_slope<HARD_SWISH>(reading, g.y, fmaf(y.y, affine.scale.y, affine.shift.y));
    first.x += a, first.y += b;
    second.x = fmaf(a, y.x - mean.x, second.x), second.y = fmaf(b, y.y - mean.y, second.y);
    return make_float2(a, b);
  }
};

// One array for all that a kernel adds up so, whatever it is.
template <int VALUES>
DEVICE float2* lanes_room() {
  SHARED(float2, room, VALUES * PAIR_THREADS);
  return room;
}

// Adds up N values of all lanes of a block, column by column and in the lanes' order: put(i, total) gets the sum of what value(i)
// was in the lanes of a thread's column, each i in one of them. All threads must call it.
template <int N, class Value, class Put>
DEVICE void sum_lanes(const Value& value, const Put& put) {
  // So many at a time: 18 KB leave room for two blocks on every card.
  constexpr int ROUND = N < 9 ? N : 9;
  float2* const all = lanes_room<ROUND>();
  const int columns = blockDim.x;
#pragma unroll
  for (int first = 0; first < N; first += ROUND) {
    __syncthreads();
#pragma unroll
    for (int i = 0; i < ROUND; i++)
      if (first + i < N) all[i * PAIR_THREADS + threadIdx.y * columns + threadIdx.x] = value(first + i);
    __syncthreads();
    for (int i = threadIdx.y; i < min(N - first, ROUND); i += blockDim.y) {
      const float2* from = all + i * PAIR_THREADS + threadIdx.x;
      float2 total = make_float2(0.0f, 0.0f);
#pragma unroll 1
      for (int lane = 0; lane < blockDim.y; lane += 4, from += 4 * columns) {
        // There are 8 lanes, 16 or 32, or few parts to be added up.
        float2 four[4];
#pragma unroll
        for (int j = 0; j < 4; j++) four[j] = lane + j < blockDim.y ? from[j * columns] : make_float2(0.0f, 0.0f);
#pragma unroll
        for (int j = 0; j < 4; j++) total.x += four[j].x, total.y += four[j].y;
      }
      put(first + i, total);
    }
  }
}

// The thread's first channel.
DEVICE int pair_channel() { return 2 * (blockIdx.x * blockDim.x + threadIdx.x); }

// Writes a block's share of partials [gridDim.y][2][channels]. All threads must call it, with the same partials.
DEVICE void write_sums(float* partials, const PairSums& sums, int channels) {
  if (!partials) return;
  float* to = partials + static_cast<size_t>(blockIdx.y) * 2 * channels + pair_channel();
  sum_lanes<2>([&](int i) { return i == 0 ? sums.first : sums.second; },
               [&](int i, float2 total) { Storage<float>::store2(to + i * channels, total.x, total.y); });
}

// The thread's first unit of work, and the distance to the next.
DEVICE int first_unit() { return blockIdx.y * blockDim.y + threadIdx.y; }
DEVICE int unit_step() { return gridDim.y * blockDim.y; }

// What a kernel divides by often, as long as what it divides is not negative: by its inverse, rounded down, it is at most one too few.
struct Divisor {
  unsigned value, inverse;
  DEVICE Divisor(int value) : value(value), inverse(0xffffffffu / value) {}
  DEVICE unsigned divide(unsigned number) const {
    const unsigned quotient = __umulhi(number, inverse);
    return quotient + (number - quotient * value >= value);
  }
};

DEVICE int ceil_div(int a, int b) { return (a + b - 1) / b; }
DEVICE size_t flat_index() { return static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x; }

// Goes through first, first + step, .. below end, COUNT at a time: all that load(at) gives is on its way before any of it goes to
// use(at, loaded). In a loop that is merely unrolled, nothing is loaded before it is known that the loop goes on.
template <int COUNT, class Load, class Use>
DEVICE void in_batches(int first, int end, int step, const Load& load, const Use& use) {
  for (int from = first; from < end; from += COUNT * step) {
    decltype(load(0)) loaded[COUNT];
#pragma unroll
    for (int i = 0; i < COUNT; i++) loaded[i] = load(min(from + i * step, end - 1));
#pragma unroll
    for (int i = 0; i < COUNT; i++)
      if (from + i * step < end) use(from + i * step, loaded[i]);
  }
}
