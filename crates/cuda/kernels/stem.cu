// The stem: a full 3x3 convolution of a picture's three channels. A thread owns two output channels and walks along 8 pixels of an
// output row with the picture's patch in registers, so that a value is loaded once for three columns; it is the same for all
// pairs, and so comes once for a warp or twice.
#include "map_places.cuh"

constexpr int TAPS = 27;
// Columns of a unit of work.
constexpr int STEM_COLUMNS = 8;

// A unit's place: eight columns of an output row.
struct StemUnit {
  int picture, row, first_column, end;
  DEVICE StemUnit(int unit, int out) {
    const int column_units = ceil_div(out, STEM_COLUMNS);
    picture = unit / (out * column_units), row = unit / column_units % out;
    first_column = unit % column_units * STEM_COLUMNS;
    end = min(out, first_column + STEM_COLUMNS);
  }
};

// Calls take(column, tap -> value) for each column of a unit, S pixels of the picture apart. What lies outside of the picture is 0.
template <int S, class Take>
DEVICE void walk_patches(const float* picture, int side, int padding, const StemUnit& unit, const Take& take) {
  // values[row][column][channel]. As in depthwise convolutions columns change places instead of being moved.
  float values[3][3][3];
  const Rows<3> rows(unit.row * S - padding, side, 3);
  // Column x of the patch at an output column.
  const auto load = [&](int column, int x, int slot) {
    const Column at(column * S - padding + x, side);
#pragma unroll
    for (int row = 0; row < 3; row++) {
      const bool inside = at.inside && rows.inside(row);
      const float* from = picture + (rows.place[row] + at.nearest * 3u);
#pragma unroll
      for (int channel = 0; channel < 3; channel++) values[row][slot][channel] = inside ? from[channel] : 0.0f;
    }
  };
#pragma unroll
  for (int x = 0; x < 3 - S; x++) load(unit.first_column, x, x);
  for (int first = unit.first_column; first < unit.end; first += 3) {
#pragma unroll
    for (int phase = 0; phase < 3; phase++) {
      const int column = first + phase;
      if (column >= unit.end) break;
      const auto slot = [&](int x) { return (x + phase * S) % 3; };
#pragma unroll
      for (int x = 3 - S; x < 3; x++) load(column, x, slot(x));
      take(column, [&](int tap) { return values[tap / 9][slot(tap / 3 % 3)][tap % 3]; });
    }
  }
}

template <class T, int S>
DEVICE void stem_forward(const float* input, const float* weight, const float* bias, T* output, float* partials,
                         int pictures, int side, int outputs, int padding) {
  const int out = (side + 2 * padding - 3) / S + 1;
  const int channel = pair_channel(), units = pictures * out * ceil_div(out, STEM_COLUMNS);
  float2 w[TAPS];
#pragma unroll
  for (int tap = 0; tap < TAPS; tap++) w[tap] = Storage<float>::load2(weight + tap * outputs + channel);
  const float2 summand = bias ? Storage<float>::load2(bias + channel) : make_float2(0.0f, 0.0f);

  PairSums sums;
  for (int at = first_unit(); at < units; at += unit_step()) {
    const StemUnit unit(at, out);
    const float* from = input + static_cast<size_t>(unit.picture) * side * side * 3;
    T* to = output + (static_cast<size_t>(unit.picture) * out + unit.row) * out * outputs + channel;
    walk_patches<S>(from, side, padding, unit, [&](int column, const auto& value) {
      float2 sum = make_float2(0.0f, 0.0f);
#pragma unroll
      for (int tap = 0; tap < TAPS; tap++)
        sum.x = fmaf(value(tap), w[tap].x, sum.x), sum.y = fmaf(value(tap), w[tap].y, sum.y);
      sum.x += summand.x, sum.y += summand.y;
      Storage<T>::store2(to + column * outputs, sum.x, sum.y);
      sums.add_value(sum);
    });
  }
  write_sums(partials, sums, outputs);
}

template <class T, int S>
DEVICE void stem_weight_gradient(const float* input, const T* gradient, const T* output, const GradientReading& reading,
                                 float* weight_partials, int pictures, int side, int outputs, int padding) {
  const int out = (side + 2 * padding - 3) / S + 1;
  const int channel = pair_channel(), units = pictures * out * ceil_div(out, STEM_COLUMNS);
  const Gradient2 output_gradient(reading, channel);
  float2 dw[TAPS];
#pragma unroll
  for (int tap = 0; tap < TAPS; tap++) dw[tap] = make_float2(0.0f, 0.0f);

  for (int at = first_unit(); at < units; at += unit_step()) {
    const StemUnit unit(at, out);
    const float* from = input + static_cast<size_t>(unit.picture) * side * side * 3;
    const size_t place = (static_cast<size_t>(unit.picture) * out + unit.row) * out * outputs + channel;
    const T *gradients = gradient + place, *outputs_at = output + place;
    Pair<T> coming_gradient = load_pair(gradients + unit.first_column * outputs);
    Pair<T> coming_output = load_pair(outputs_at + unit.first_column * outputs);
    walk_patches<S>(from, side, padding, unit, [&](int column, const auto& value) {
      const float2 g = output_gradient.read(unpack_pair(coming_gradient), unpack_pair(coming_output));
      const int next = min(column + 1, unit.end - 1) * outputs;
      coming_gradient = load_pair(gradients + next), coming_output = load_pair(outputs_at + next);
#pragma unroll
      for (int tap = 0; tap < TAPS; tap++)
        dw[tap].x = fmaf(g.x, value(tap), dw[tap].x), dw[tap].y = fmaf(g.y, value(tap), dw[tap].y);
    });
  }
  float* to = weight_partials + static_cast<size_t>(blockIdx.y) * TAPS * outputs + channel;
  sum_lanes<TAPS>([&](int tap) { return dw[tap]; },
                  [&](int tap, float2 total) { Storage<float>::store2(to + tap * outputs, total.x, total.y); });
}

#define STEM(name, T)                                                                                                  \
  CROWDED_KERNEL(stem_forward_##name, PAIR_THREADS, 2)                                                                 \
  (const float* input, const float* weight, const float* bias, T* output, float* partials, int pictures, int side,     \
   int outputs, int stride, int padding) {                                                                             \
    begin_kernel();                                                                                                    \
    if (stride == 1)                                                                                                   \
      stem_forward<T, 1>(input, weight, bias, output, partials, pictures, side, outputs, padding);                     \
    else                                                                                                               \
      stem_forward<T, 2>(input, weight, bias, output, partials, pictures, side, outputs, padding);                     \
  }                                                                                                                    \
  END_KERNEL(stem_forward_##name)                                                                                      \
  CROWDED_KERNEL(stem_weight_gradient_##name, PAIR_THREADS, 2)                                                         \
  (const float* input, const T* gradient, const T* output, GradientReading reading, float* weight_partials,            \
   int pictures, int side, int outputs, int stride, int padding) {                                                     \
    begin_kernel();                                                                                                    \
    if (stride == 1)                                                                                                   \
      stem_weight_gradient<T, 1>(input, gradient, output, reading, weight_partials, pictures, side, outputs, padding); \
    else                                                                                                               \
      stem_weight_gradient<T, 2>(input, gradient, output, reading, weight_partials, pictures, side, outputs, padding); \
  }                                                                                                                    \
  END_KERNEL(stem_weight_gradient_##name)
STEM(f32, float)
STEM(bf16, bf16)
