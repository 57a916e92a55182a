// Every kernel on odd sizes under AddressSanitizer, with memory as large as needed and no larger. What is computed is looked at
// by tests/kernels; here it must be written everywhere, finite, and the same bits when all threads run in the opposite order.
#include "../kernels/product_tile.cuh"
#include "../kernels/step.cuh"

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <string>

// Must lie as in the kernels.
struct OptimizerConstants {
  float decay = 0.1f, largest = 1.0f, keep1 = 0.9f, new1 = 0.1f, keep2 = 0.99f, new2 = 0.01f, eps = 1e-8f;
  int nesterov = 0, split = 64, unused[3] = {};
};
struct PictureChoice {
  unsigned index;
  int padding, top, left, flip;
};
struct Hole {
  int rows[2], columns[2];
};

namespace {

std::mt19937 generator;
std::set<std::string> ran;
int cases = 0, failures = 0;

// ---- Memory ----

// Bytes that AddressSanitizer watches; `result`: what a kernel writes.
struct Array {
  std::unique_ptr<char[]> bytes;
  size_t size;
  bool result;
};
std::vector<Array> arrays;

void* add(size_t size, bool result) {
  arrays.push_back({std::unique_ptr<char[]>(new char[size]), size, result});
  std::memset(arrays.back().bytes.get(), 0xff, size);
  return arrays.back().bytes.get();
}
float* floats(size_t count) {
  auto* to = static_cast<float*>(add(4 * count, false));
  std::uniform_real_distribution<float> even(-1.0f, 1.0f);
  for (size_t i = 0; i < count; i++) to[i] = even(generator);
  return to;
}
float* room(size_t count) { return static_cast<float*>(add(4 * count, true)); }
double* doubles(size_t count, double value) {
  auto* to = static_cast<double*>(add(8 * count, false));
  std::fill(to, to + count, value);
  return to;
}
double* double_room(size_t count) { return static_cast<double*>(add(8 * count, true)); }
unsigned* words(size_t count, unsigned below) {
  auto* to = static_cast<unsigned*>(add(4 * count, false));
  for (size_t i = 0; i < count; i++) to[i] = generator() % below;
  return to;
}
// Maps of either kind.
template <class T>
T* map(size_t count);
template <>
float* map<float>(size_t count) {
  return floats(count);
}
template <>
bf16* map<bf16>(size_t count) {
  auto* to = static_cast<bf16*>(add(2 * count, false));
  std::uniform_real_distribution<float> even(-1.0f, 1.0f);
  for (size_t i = 0; i < count; i++) to[i].bits = static_cast<unsigned short>(bf16_bits(even(generator)));
  return to;
}
// What is read and then written: as it is, but compared.
template <class T>
T* changed(size_t count) {
  T* to = map<T>(count);
  arrays.back().result = true;
  return to;
}

Reading reading(int channels, bool swish) {
  return {floats(channels), floats(channels), swish ? 0.0f : -0.5f, swish ? 1.0f : 0.5f, swish, 0};
}
GradientReading gradient_reading(int channels) { return {floats(channels), floats(channels), floats(channels)}; }
SumReading sum_reading(int channels, bool swish = true) { return {reading(channels, swish), floats(channels)}; }

// ---- Launches ----

struct Shape {
  uint3 grid, block;
  size_t dynamic_bytes = 0;
};
Shape flat(size_t count) { return {{static_cast<unsigned>((count + 255) / 256), 1, 1}, {256, 1, 1}}; }
Shape pairs(int channels, int units, int& parts) {
  const int pair = channels / 2 % 32 == 0 ? 32 : channels / 2 % 16 == 0 ? 16 : 8, x = channels / 2 / pair;
  parts = std::max(1, std::min((units + 256 / pair - 1) / (256 / pair), std::max(1, 8 / x)));
  return {{static_cast<unsigned>(x), static_cast<unsigned>(parts), 1},
          {static_cast<unsigned>(pair), static_cast<unsigned>(256 / pair), 1}};
}

// Types as kernels declare them.
template <class... A>
void launch(const std::string& name, Shape shape, A... values) {
  const emulation::Kernel* kernel = emulation::find_kernel(name.c_str());
  if (!kernel) {
    std::printf("there is no kernel %s\n", name.c_str());
    std::exit(1);
  }
  const void* arguments[] = {&values...};
  const size_t sizes[] = {sizeof(A)...};
  if (kernel->argument_bytes != std::vector<size_t>(sizes, sizes + sizeof...(A))) {
    std::printf("%s takes other arguments\n", name.c_str());
    std::exit(1);
  }
  ran.insert(name);
  std::vector<std::string> before, forward;
  for (const Array& array : arrays) before.emplace_back(array.bytes.get(), array.size);
  for (const bool reversed : {false, true}) {
    for (size_t i = 0; i < arrays.size(); i++) std::memcpy(arrays[i].bytes.get(), before[i].data(), arrays[i].size);
    emulation::reversed = reversed;
    emulation::launch(*kernel, shape.grid, shape.block, shape.dynamic_bytes, arguments);
    for (size_t i = 0; i < arrays.size(); i++) {
      const std::string now(arrays[i].bytes.get(), arrays[i].size);
      bool wrong = !arrays[i].result && now != before[i];
      if (reversed) wrong |= now != forward[i];
      if (arrays[i].result) wrong |= now.find(std::string(8, '\xff')) != std::string::npos;
      if (wrong) {
        std::printf("FAIL %s: array %zu of %zu bytes%s\n", name.c_str(), i, arrays[i].size, reversed ? ", reversed" : "");
        failures++;
      }
      if (!reversed) forward.push_back(now);
    }
  }
  cases++;
  arrays.clear();
}

// ---- The kernels ----

// What launches of wide tiles give of dynamic shared memory.
size_t wide_bytes = WIDE_SHARED_BYTES;

template <class M, class W>
void products(const std::string& way) {
  const int sizes[][4] = {{1, 1, 16, 16}, {3, 5, 48, 144}, {2, 67, 144, 32}, {1, 131, 272, 16}, {1, 131, 16, 272}};
  // Whether maps are made in a tile, and weight gradients.
  const int tiles[][4] = {{128, 128, 1, 1}, {128, 64, 1, 0}, {64, 64, 1, 1},   {128, 32, 1, 0},
                          {64, 32, 0, 1},   {32, 64, 0, 1},  {128, 256, 1, 0}, {256, 128, 0, 1}};
  for (const auto& [pictures, pixels, inputs, outputs] : sizes)
    for (const auto& [bm, bn, maps, weight_gradients] : tiles) {
      const bool wide = bm * bn > 128 * 128;
      // The last two sizes have more than one tile of the wide ones, which float32 hasn't.
      if (wide ? way == "f32" : pixels == 131) continue;
      const int rows = pictures * pixels;
      const size_t in = size_t(rows) * inputs, out = size_t(rows) * outputs, weights = size_t(inputs) * outputs;
      const std::string tile = way + "_" + std::to_string(bm) + "x" + std::to_string(bn);
      const unsigned threads = std::min(bm, bn) == 32 ? 128 : 256;
      const auto grid = [wide, threads](int blocks) {
        return Shape{{unsigned(blocks), 1, 1}, {threads, 1, 1}, wide ? wide_bytes : 0};
      };
      const int row_tiles = ceil_div(rows, bm), rows_per_split = 64, splits = ceil_div(rows, rows_per_split);
      const auto own_factors = [&] { return pixels > 1 ? floats(size_t(pictures) * inputs) : nullptr; };
      if (weight_gradients) {
        float* factors = own_factors();
        launch<const M*, const M*, Reading, const float*, int, float*, int, int, int, int>(
            "product_weight_gradient_" + tile, grid(ceil_div(outputs, bm) * ceil_div(inputs, bn) * splits), map<M>(out),
            map<M>(in), reading(inputs, true), factors, pixels, room(splits * weights), rows, rows_per_split, inputs,
            outputs);
      }
      if (!maps) continue;
      float* factors = own_factors();
      launch<const M*, Reading, const float*, int, const W*, const float*, M*, float*, int, int, int>(
          "product_forward_" + tile, grid(row_tiles * ceil_div(outputs, bn)), map<M>(in), reading(inputs, pixels == 5),
          factors, pixels, map<W>(weights), floats(outputs), changed<M>(out), room(size_t(row_tiles) * 2 * outputs), rows,
          inputs, outputs);
      for (const int accumulate : {0, 1}) {
        factors = own_factors();
        launch<const M*, const M*, GradientReading, const W*, const M*, SumReading, const float*, int, int, M*, int,
               M*, float*, int, int, int>(
            "product_input_gradient_" + tile, grid(row_tiles * ceil_div(inputs, bn)), map<M>(out), map<M>(out),
            gradient_reading(outputs), map<W>(weights), map<M>(in), sum_reading(inputs), factors, pixels, 0,
            changed<M>(in), accumulate, changed<M>(out), room(size_t(row_tiles) * 2 * inputs), rows, inputs, outputs);
      }
    }
}

void pooled_products(const std::string& way) {
  const int sizes[][3] = {{1, 16, 16}, {3, 48, 80}, {37, 144, 48}};
  for (const auto& [rows, inputs, outputs] : sizes) {
    const size_t in = size_t(rows) * inputs, out = size_t(rows) * outputs, weights = size_t(inputs) * outputs;
    const auto grid = [](int rows, int columns) {
      return Shape{{unsigned(ceil_div(rows, 32) * ceil_div(columns, 32)), 1, 1}, {256, 1, 1}};
    };
    const auto factors = [&] { return rows > 1 ? floats(in) : nullptr; };
    float* own = factors();
    launch<const float*, Reading, const float*, const float*, const float*, float*, Reading, float*, int, int, int>(
        "pooled_forward_" + way, grid(rows, outputs), floats(in), reading(inputs, rows == 3), own, floats(weights),
        floats(outputs), room(out), reading(outputs, true), room(out), rows, inputs, outputs);
    own = factors();
    launch<const float*, const float*, GradientReading, const float*, const float*, Reading, const float*, float*, int,
           float*, int, int, int>("pooled_input_gradient_" + way, grid(rows, inputs), floats(out), floats(out),
                                  gradient_reading(outputs), floats(weights), floats(in), reading(inputs, rows == 3), own,
                                  changed<float>(in), rows == 3, room(out), rows, inputs, outputs);
    own = factors();
    launch<const float*, const float*, Reading, const float*, float*, float*, int, int, int>(
        "pooled_weight_gradient_" + way, grid(outputs, inputs), floats(out), floats(in), reading(inputs, rows == 37), own,
        room(weights), room(outputs), rows, inputs, outputs);
  }
}

template <class M>
void convolutions(const std::string& storage) {
  for (const int kernel : {3, 5})
    for (const int stride : {1, 2})
      for (const int side : {1, 5, 9, 12, 18})
        for (const int padding : {0, kernel / 2}) {
          if (side + 2 * padding < kernel) continue;
          const int pictures = side == 5 ? 3 : 1, channels = side == 9 ? 48 : 16;
          const bool swish = side != 12;
          const int out = (side + 2 * padding - kernel) / stride + 1, rows = kernel == 3 && stride == 1 ? 4 : 2;
          const int places = (padding + side - 1) / stride + 1, taps = kernel * kernel * channels;
          const size_t in_values = size_t(pictures) * side * side * channels;
          const size_t out_values = size_t(pictures) * out * out * channels;
          const std::string name = "_k" + std::to_string(kernel) + "s" + std::to_string(stride) + storage;
          int parts;
          Shape shape = pairs(channels, pictures * ceil_div(out, rows) * ceil_div(out, 8), parts);
          launch<const M*, Reading, const float*, M*, float*, int, int, int, int>(
              "depthwise_forward" + name, shape, map<M>(in_values), reading(channels, swish), floats(taps),
              changed<M>(out_values), room(size_t(parts) * 2 * channels), pictures, side, channels, padding);
          shape = pairs(channels, pictures * ceil_div(places, rows) * ceil_div(places, 8), parts);
          launch<const M*, const M*, GradientReading, const float*, const M*, SumReading, M*, int, float*, float*, int, int,
                 int, int>("depthwise_backward" + name, shape, map<M>(out_values), map<M>(out_values),
                           gradient_reading(channels), floats(taps), map<M>(in_values), sum_reading(channels, swish),
                           changed<M>(in_values), side % 2, room(size_t(parts) * taps),
                           room(size_t(parts) * 2 * channels), pictures, side, channels, padding);
          if (kernel == 5) continue;
          shape = pairs(channels, pictures * out * ceil_div(out, 8), parts);
          launch<const float*, const float*, const float*, M*, float*, int, int, int, int, int>(
              "stem_forward" + storage, shape, floats(size_t(pictures) * side * side * 3), floats(27 * channels),
              floats(channels), changed<M>(out_values), room(size_t(parts) * 2 * channels), pictures, side, channels,
              stride, padding);
          launch<const float*, const M*, const M*, GradientReading, float*, int, int, int, int, int>(
              "stem_weight_gradient" + storage, shape, floats(size_t(pictures) * side * side * 3), map<M>(out_values),
              map<M>(out_values), gradient_reading(channels), room(size_t(parts) * 27 * channels), pictures, side,
              channels, stride, padding);
        }
}

template <class M>
void maps(const std::string& storage) {
  const int sizes[][3] = {{1, 1, 16}, {3, 7, 48}, {2, 33, 64}};
  for (const auto& [pictures, pixels, channels] : sizes) {
    const int rows = pictures * pixels;
    const size_t values = size_t(rows) * channels, ones = size_t(pictures) * channels;
    int parts;
    launch<const M*, Reading, float*, int, int, int>("pool_forward" + storage, pairs(channels, 16, parts), map<M>(values),
                                                     reading(channels, true), room(ones), pictures, pixels, channels);
    launch<const M*, const M*, Reading, const float*, Reading, float*, int, int, int>(
        "excitation_gradient" + storage, pairs(channels, 16, parts), map<M>(values), map<M>(values), reading(channels, true),
        floats(ones), reading(channels, false), room(ones), pictures, pixels, channels);
    const Shape shape = pairs(channels, rows, parts);
    launch<const M*, SumReading, const float*, const float*, M*, float*, int, int, int>(
        "pool_backward" + storage, shape, map<M>(values), sum_reading(channels), floats(ones), floats(ones),
        changed<M>(values), room(size_t(parts) * 2 * channels), pictures, pixels, channels);
    launch<const M*, const M*, SumReading, float*, int, int>("sum_gradient" + storage, shape, map<M>(values),
                                                             map<M>(values), sum_reading(channels),
                                                             room(size_t(parts) * 2 * channels), rows, channels);
    launch<const M*, Reading, const M*, Reading, M*, int, int>("add_forward" + storage, flat(values / 2), map<M>(values),
                                                               reading(channels, true), map<M>(values),
                                                               reading(channels, false), changed<M>(values), rows, channels);
  }
}

void sums() {
  for (const int parts : {1, 33}) {
    const int channels = 48;
    const Shape shape = {{channels / 16, 1, 1}, {16, 32, 1}};
    launch<const float*, int, int, double, const float*, const float*, double, double, float*, float*, float*, double*,
           float*, float*>("normalize_finish", shape, floats(parts * 2 * channels), parts, channels, 50.0, floats(channels),
                           floats(channels), 1e-5, 0.1, room(channels), room(channels), room(channels),
                           double_room(channels), changed<float>(channels), changed<float>(channels));
    launch<const float*, int, int, double, const float*, const float*, const double*, float*, float*, float*, float*>(
        "gradient_finish", shape, floats(parts * 2 * channels), parts, channels, 50.0, floats(channels), floats(channels),
        doubles(channels, 2.0), room(channels), room(channels), room(channels), room(channels));
    launch<const float*, int, int, const float*, float*>("bias_finish", shape, floats(parts * 2 * channels), parts,
                                                         channels, floats(channels), room(channels));
    launch<const float*, int, int, float*>("reduce_partials", {{2, 1, 1}, {8, parts == 1 ? 1u : 32u, 1}},
                                           floats(parts * 36), parts, 36, room(36));
  }
  float* variances = floats(17);
  for (int i = 0; i < 17; i++) variances[i] = std::fabs(variances[i]);
  launch<const float*, const float*, const float*, const float*, double, float*, float*, int>(
      "normalize_running", flat(17), floats(17), variances, floats(17), floats(17), 1e-3, room(17), room(17), 17);
}

StepScalars* scalars(int mix) {
  auto* step = static_cast<StepScalars*>(add(sizeof(StepScalars), false));
  *step = {0.3, 2.0, {0.1f, 0.2f}, {0.5f, 0.6f}, {0.9f, 0.8f}, 0.1f, 0.9f, 1, mix, 0.3f, 0.7f, {1, 4}, {2, 5}};
  return step;
}

void flat_ones() {
  launch<const unsigned*, float, float*, int>("dropout_factors", flat(70), words(3, ~0u), 1.25f, room(70), 70);
  for (const int classes : {1, 10, 45}) {
    const int stride = (classes + 15) / 16 * 16;
    launch<const float*, int, int, const unsigned*, const unsigned*, const double*, double, const StepScalars*, float*,
           double*, unsigned*>("cross_entropy", {{3, 1, 1}, {32, 1, 1}}, floats(3 * stride), stride, classes,
                               words(3, classes), words(3, classes), doubles(classes, 1.5), 0.1, scalars(0),
                               room(3 * stride), double_room(3), static_cast<unsigned*>(add(12, true)));
  }
  launch<const double*, const unsigned*, int, const StepScalars*, double*, double*>(
      "loss_finish", {{1, 1, 1}, {256, 1, 1}}, doubles(300, 0.5), words(300, 2), 300, scalars(0), double_room(2), [] {
        double* totals = doubles(2, 1.0);
        arrays.back().result = true;
        return totals;
      }());
  const int count = 16 * 7;
  for (const char* rule : {"adam", "adamw", "sgd", "rms_prop", "rms_prop_tf"}) {
    // Squares are kept in them.
    float* kept[2];
    for (float*& values : kept) {
      values = changed<float>(count);
      for (int i = 0; i < count; i++) values[i] = std::fabs(values[i]) + 0.1f;
    }
    auto* decays = static_cast<unsigned char*>(add(count / 16, false));
    std::memset(decays, 1, count / 16);
    launch<float*, const float*, float*, float*, unsigned short*, const unsigned char*, const float*, OptimizerConstants,
           const StepScalars*, int>(std::string("optimizer_") + rule, flat(count / 4), changed<float>(count),
                                    floats(count), kept[0], kept[1],
                                    static_cast<unsigned short*>(add(2 * count, true)), decays, floats(1),
                                    OptimizerConstants{}, scalars(0), count);
  }
  // Five of its 1024 blocks: the sanitizer makes threads dear, and all blocks are alike.
  launch<const float*, int, double*>("gradient_norm", {{5, 1, 1}, {256, 1, 1}}, floats(1000), 1000, double_room(5));
  launch<const double*, double, float*>("clip_finish", {{1, 1, 1}, {256, 1, 1}}, doubles(1024, 0.5), 3.0, room(1));
  launch<float*, const float*, const StepScalars*, int>("average_update", flat(33), changed<float>(33), floats(33),
                                                        scalars(0), 33);
  launch<const float*, unsigned short*, int>("convert_parameters", flat(35), floats(35),
                                             static_cast<unsigned short*>(add(70, true)), 35);
  for (const int mix : {0, 1, 2}) {
    const int pictures = 3, side = 7, set = 4;
    auto* bytes = static_cast<unsigned char*>(add(set * side * side * 3, false));
    for (int i = 0; i < set * side * side * 3; i++) bytes[i] = static_cast<unsigned char>(generator());
    auto* choices = static_cast<PictureChoice*>(add(pictures * sizeof(PictureChoice), false));
    for (int i = 0; i < pictures; i++) choices[i] = {unsigned(i + 1), 2, i, 2 * i, i % 2};
    auto* holes = static_cast<Hole*>(add(2 * pictures * sizeof(Hole), false));
    for (int i = 0; i < 2 * pictures; i++) holes[i] = {{0, i}, {i, 7}};
    launch<const unsigned char*, const unsigned*, const PictureChoice*, const Hole*, int, const float*, const StepScalars*,
           float*, unsigned*, unsigned*, int, int>(
        "prepare_batch", flat(pictures * side * side), bytes, words(set, 10), choices, holes, 2, floats(768), scalars(mix),
        room(pictures * side * side * 3), static_cast<unsigned*>(add(12, true)), static_cast<unsigned*>(add(12, true)),
        pictures, side);
  }
}

}  // namespace

// With `too-little` one launch that gives less dynamic shared memory than its kernel takes, which must end the program.
int main(int count, char** options) {
  if (count > 1 && options[1] == std::string("too-little")) {
    wide_bytes /= 2;
    products<bf16, bf16>("bf16");
    return 0;
  }
  products<float, float>("f32");
  products<float, float>("tf32");
  products<bf16, bf16>("bf16");
  pooled_products("f32");
  pooled_products("tf32");
  convolutions<float>("_f32");
  convolutions<bf16>("_bf16");
  maps<float>("_f32");
  maps<bf16>("_bf16");
  sums();
  flat_ones();
  for (const emulation::Kernel& kernel : emulation::kernels()) {
    if (ran.count(kernel.name)) continue;
    std::printf("FAIL %s was not run\n", kernel.name);
    failures++;
  }
  std::printf("%zu kernels; %d passed, %d failed\n", ran.size(), cases, failures);
  return failures > 0;
}
