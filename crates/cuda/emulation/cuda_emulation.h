// The part of CUDA C++ that the kernels use, for g++: a block's threads run as fibers of one thread of the machine.
//
// Checked on the way: threads that did not call begin_kernel(), barriers that not all threads reach, warps whose lanes are at different
// places, blocks larger than the kernel's bound, more static shared memory than 48 KB, more dynamic than the launch gives, and more of
// both than every card has. Shared memory begins as NaNs. That there is a barrier wherever one is needed shows when blocks run with
// their threads in the opposite order (`emulation::reversed`) and give the same bits. Copies into shared memory are made as late as a
// card may, when their thread waits for them, and in the opposite order as early, at once.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#define DEVICE inline
#define KERNEL(name, threads)                        \
  static constexpr unsigned bound_of_##name = threads; \
  static void name
#define CROWDED_KERNEL(name, threads, blocks) KERNEL(name, threads)
#define END_KERNEL(name) static const emulation::Registration registration_of_##name(#name, bound_of_##name, &name);
#define SHARED(type, name, count)                               \
  static emulation::SharedArray<type, (count)> shared_##name;   \
  type(&name)[count] = shared_##name.enter()
// An array by itself, so that what is written behind it shows as with the static ones.
#define DYNAMIC_SHARED(name, first, count)                       \
  static emulation::SharedArray<uint4, (count)> shared_##name;   \
  uint4* const name = shared_##name.enter_dynamic(first)

struct uint3 {
  unsigned x, y, z;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

inline uint3 threadIdx, blockIdx, blockDim, gridDim;

inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
inline float __uint_as_float(unsigned word) {
  float value;
  std::memcpy(&value, &word, 4);
  return value;
}
inline unsigned __float_as_uint(float value) {
  unsigned word;
  std::memcpy(&word, &value, 4);
  return word;
}
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(uint64_t{a} * b >> 32); }
// Compiled without contraction, so that each rounds by itself.
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }

namespace emulation {

constexpr unsigned WARP_LANES = 32;
constexpr size_t STATIC_SHARED_BYTES = 48 << 10;
// Of static and dynamic shared memory together; cards of compute capability 8.6 and 8.9 have no more for a block, others do.
constexpr size_t MOST_SHARED_BYTES = 99 << 10;

// ---- Blocks and barriers (block.cpp) ----

// Threads of a block and blocks of a grid run from the last to the first.
extern bool reversed;
// Which block this is, counted through all launches.
extern uint64_t block_serial;
// Threads of this block that called begin_kernel().
extern unsigned begun;
[[noreturn]] void fail(const char* message);
void block_barrier();
// What all lanes of a warp do together: each brings `operand`, and the last to come does the work for all.
using Collective = void (*)(void* const (&operands)[WARP_LANES]);
void warp_collective(Collective work, void* operand);
void count_shared(size_t bytes);
// Of the block's dynamic shared memory the bytes from `first` on.
void check_dynamic_shared(size_t first, size_t bytes);

template <class T, size_t COUNT>
class SharedArray {
  uint64_t serial_ = 0;
  T values_[COUNT];  // last, so that what is written behind it is written behind this variable

 public:
  T (&enter())[COUNT] {
    if (begins()) count_shared(sizeof values_);
    return values_;
  }
  // The same, from the array's value `first` on in the block's dynamic shared memory.
  T* enter_dynamic(size_t first) {
    if (begins()) check_dynamic_shared(first * sizeof(T), sizeof values_);
    return values_;
  }

 private:
  // Whether the block comes here for the first time.
  bool begins() {
    if (serial_ == block_serial) return false;
    serial_ = block_serial;
    std::memset(static_cast<void*>(values_), 0xff, sizeof values_);
    return true;
  }
};

// Copies that a thread has asked for and not waited for.
struct Copies {
  struct One {
    void* to;
    const void* from;
    size_t bytes;
    bool real;
    void make() const {
      if (real) {
        std::memcpy(to, from, bytes);
      } else {
        std::memset(to, 0, bytes);
      }
    }
  };
  std::vector<One> all;
  std::vector<size_t> ends;  // of the groups
  void clear() { all.clear(), ends.clear(); }
};
// Those of this thread.
Copies& copies();

// ---- Kernels by name ----

// The pointers among a launch's arguments; the driver asks whether they point to memory of the card, and how they are aligned.
struct Pointers {
  struct One {
    const void* address;
    size_t alignment;
  };
  std::vector<One> values;
  template <class T>
  void add(T* pointer) {
    // Kernels read and write several numbers at once.
    constexpr bool numbers = sizeof(T) == 2 || std::is_floating_point<T>::value;
    if (pointer) values.push_back({pointer, numbers ? 16 : alignof(T)});
  }
};
template <class T>
void add_pointers(T* pointer, Pointers& to) {
  to.add(pointer);
}
inline void add_pointers(int, Pointers&) {}
inline void add_pointers(float, Pointers&) {}
inline void add_pointers(double, Pointers&) {}

struct Kernel {
  const char* name;
  unsigned most_threads;
  std::vector<size_t> argument_bytes;
  void (*call)(const Kernel&, const void* const* arguments);
  Pointers (*pointers)(const void* const* arguments);
  void (*function)();
};

// All of them.
std::vector<Kernel>& kernels();
const Kernel* find_kernel(const char* name);
// Runs all blocks, each with so many bytes of dynamic shared memory; `arguments` point to the values.
void launch(const Kernel& kernel, uint3 grid, uint3 block, size_t dynamic_bytes, const void* const* arguments);

template <class... A, size_t... I>
Kernel describe(const char* name, unsigned threads, void (*function)(A...), std::index_sequence<I...>) {
  Kernel kernel;
  kernel.name = name;
  kernel.most_threads = threads;
  kernel.argument_bytes = {sizeof(A)...};
  kernel.function = reinterpret_cast<void (*)()>(function);
  kernel.call = [](const Kernel& own, const void* const* arguments) {
    reinterpret_cast<void (*)(A...)>(own.function)(*static_cast<const A*>(arguments[I])...);
  };
  kernel.pointers = [](const void* const* arguments) {
    Pointers all;
    (add_pointers(*static_cast<const A*>(arguments[I]), all), ...);
    return all;
  };
  return kernel;
}

struct Registration {
  template <class... A>
  Registration(const char* name, unsigned threads, void (*function)(A...)) {
    kernels().push_back(describe(name, threads, function, std::index_sequence_for<A...>()));
  }
};

// ---- Warps ----

template <class T>
struct Shuffle {
  T value, result;
  int distance;
};

template <class T>
void shuffle_all(void* const (&operands)[WARP_LANES]) {
  for (unsigned lane = 0; lane < WARP_LANES; lane++) {
    auto& own = *static_cast<Shuffle<T>*>(operands[lane]);
    own.result = static_cast<const Shuffle<T>*>(operands[(lane ^ own.distance) % WARP_LANES])->value;
  }
}

struct Matrices {
  const unsigned* row;
  unsigned* to;
};

// Four matrices of 8 x 8 16-bit values; lane 8 i + r has the address of row r of matrix i.
template <bool TRANSPOSED>
void load_matrices_all(void* const (&operands)[WARP_LANES]) {
  const auto value = [&](int matrix, int row, int column) {
    const unsigned* from = static_cast<const Matrices*>(operands[matrix * 8 + row])->row;
    return from[column / 2] >> column % 2 * 16 & 0xffffu;
  };
  for (unsigned lane = 0; lane < WARP_LANES; lane++) {
    const auto& own = *static_cast<const Matrices*>(operands[lane]);
    if (reinterpret_cast<uintptr_t>(own.row) % 16 != 0) fail("a matrix's row that is not aligned to 16 bytes");
    const int g = lane / 4, t = lane % 4;
    for (int matrix = 0; matrix < 4; matrix++)
      own.to[matrix] = TRANSPOSED ? value(matrix, 2 * t, g) | value(matrix, 2 * t + 1, g) << 16
                                  : value(matrix, g, 2 * t) | value(matrix, g, 2 * t + 1) << 16;
  }
}

struct Fragments {
  const unsigned* a;
  const unsigned* b;
  float* c;
};

// The value of a word's part: of bfloat16 the lower or upper half, of TF32 the word, of which the processor ignores 13 bits.
template <int PARTS>
float part_of_word(unsigned word, int part) {
  return __uint_as_float(PARTS == 2 ? (part ? word & 0xffff0000u : word << 16) : word & ~0x1fffu);
}

// The tensor cores' product for all lanes: c [16 M, 8 N] += a [16 M, depth] * b [depth, 8 N], depth 8 words of PARTS values.
// Products are exact in float64's stead by float32's fused multiply-add, summed in the order of the depth.
template <int PARTS, int M, int N>
void mma_all(void* const (&operands)[WARP_LANES]) {
  constexpr int DEPTH = 8 * PARTS;
  static float a[M * 16][DEPTH], b[DEPTH][N * 8], c[M * 16][N * 8];
  const auto each_c = [&](auto visit) {
    for (unsigned lane = 0; lane < WARP_LANES; lane++) {
      float* own = static_cast<Fragments*>(operands[lane])->c;
      const int g = lane / 4, t = lane % 4;
      for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++)
          for (int i = 0; i < 4; i++) visit(c[m * 16 + i / 2 * 8 + g][n * 8 + 2 * t + i % 2], own[(m * N + n) * 4 + i]);
    }
  };
  for (unsigned lane = 0; lane < WARP_LANES; lane++) {
    const auto& own = *static_cast<Fragments*>(operands[lane]);
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; i++)
      for (int part = 0; part < PARTS; part++) {
        const int depth = (t + i / 2 * 4) * PARTS + part;
        for (int m = 0; m < M; m++) a[m * 16 + i % 2 * 8 + g][depth] = part_of_word<PARTS>(own.a[m * 4 + i], part);
        if (i % 2 == 0)
          for (int n = 0; n < N; n++) b[depth][n * 8 + g] = part_of_word<PARTS>(own.b[n * 2 + i / 2], part);
      }
  }
  each_c([](float& to, const float& from) { to = from; });
  for (int row = 0; row < M * 16; row++)
    for (int depth = 0; depth < DEPTH; depth++)
      for (int column = 0; column < N * 8; column++)
        c[row][column] = std::fma(a[row][depth], b[depth][column], c[row][column]);
  each_c([](const float& from, float& to) { to = from; });
}

}  // namespace emulation

inline void begin_kernel() { emulation::begun++; }
inline void __syncthreads() { emulation::block_barrier(); }

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int distance) {
  if (mask != 0xffffffffu) emulation::fail("a shuffle of a part of a warp");
  emulation::Shuffle<T> own = {value, value, distance};
  emulation::warp_collective(emulation::shuffle_all<T>, &own);
  return own.result;
}

template <class T>
T* behind(T* place, unsigned values) {
  return place + values;
}
template <class T>
void pin(T&) {}

inline unsigned bf16_bits(float value) {
  const unsigned word = __float_as_uint(value);
  return value != value ? 0x7fffu : (word + 0x7fffu + (word >> 16 & 1u)) >> 16;
}
inline unsigned pack_bf16(float low, float high) { return bf16_bits(high) << 16 | bf16_bits(low); }

inline unsigned round_tf32(float value) {
  const unsigned word = __float_as_uint(value);
  return std::isfinite(value) ? (word + 0x1000u) & ~0x1fffu : word;
}

inline float max_nan(float a, float b) { return a != a ? a : (b != b ? b : (a > b ? a : b)); }
inline float min_nan(float a, float b) { return a != a ? a : (b != b ? b : (a < b ? a : b)); }

inline unsigned cut_pair(unsigned n, unsigned low, unsigned high) {
  const auto cut = [](unsigned n, unsigned low, unsigned high) {
    return bf16_bits(min_nan(max_nan(__uint_as_float(n << 16), __uint_as_float(low << 16)), __uint_as_float(high << 16)));
  };
  return cut(n >> 16, low >> 16, high >> 16) << 16 | cut(n & 0xffffu, low & 0xffffu, high & 0xffffu);
}

inline void load_matrices(unsigned (&to)[4], const unsigned* row) {
  emulation::Matrices own = {row, to};
  emulation::warp_collective(emulation::load_matrices_all<false>, &own);
}
inline void load_matrices_transposed(unsigned (&to)[4], const unsigned* row) {
  emulation::Matrices own = {row, to};
  emulation::warp_collective(emulation::load_matrices_all<true>, &own);
}

inline void prefetch(const void* from) { static_cast<void>(*static_cast<const volatile char*>(from)); }
template <class T>
T load_ahead(const T* from) {
  return *from;
}

template <int BYTES>
void copy_later(unsigned* to, const void* from, bool real) {
  const auto unaligned = [](const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % BYTES != 0; };
  if (unaligned(to) || (real && unaligned(from))) emulation::fail("a copy that is not aligned to its size");
  const emulation::Copies::One copy = {to, from, BYTES, real};
  if (emulation::reversed) {
    copy.make();
  } else {
    emulation::copies().all.push_back(copy);
  }
}
inline void commit_copies() { emulation::copies().ends.push_back(emulation::copies().all.size()); }
template <int GROUPS>
void wait_for_copies() {
  auto& [all, ends] = emulation::copies();
  if (ends.size() <= GROUPS) return;
  const auto groups = ends.end() - GROUPS;
  const size_t count = groups[-1];
  for (size_t i = 0; i < count; i++) all[i].make();
  all.erase(all.begin(), all.begin() + count);
  ends.erase(ends.begin(), groups);
  for (size_t& end : ends) end -= count;
}

template <int M, int N>
void mma_bf16(float (&c)[M][N][4], const unsigned (&a)[M][4], const unsigned (&b)[N][2]) {
  emulation::Fragments own = {a[0], b[0], c[0][0]};
  emulation::warp_collective(emulation::mma_all<2, M, N>, &own);
}

template <int M, int N>
void mma_tf32(float (&c)[M][N][4], const unsigned (&a)[M][4], const unsigned (&b)[N][2]) {
  emulation::Fragments own = {a[0], b[0], c[0][0]};
  emulation::warp_collective(emulation::mma_all<1, M, N>, &own);
}
