// What is made of partial sums: batch norm's factors, its gradients, and weight gradients. Always in float64 and in the order of
// the parts, a lane every blockDim.y-th and then the lanes in a tree.
#include "common.cuh"

constexpr int FINISH_CHANNELS = 16;
constexpr int FINISH_LANES = 32;

// Both totals of a channel; valid in lane 0. All threads of the block must call it.
struct Totals {
  double first = 0.0, second = 0.0;
  DEVICE Totals(const float* partials, int parts, int channels, int channel) {
    SHARED(double, firsts, FINISH_CHANNELS * FINISH_LANES);
    SHARED(double, seconds, FINISH_CHANNELS * FINISH_LANES);
    const auto load = [&](int part) {
      // Partial sums are few: signed places would have to be extended to make an address.
      const unsigned at = static_cast<unsigned>(part) * 2 * channels + channel;
      return make_float2(partials[at], partials[at + channels]);
    };
    const auto add = [&](int, float2 sums) { first += sums.x, second += sums.y; };
    // All of a lane is on its way at once: of few parts without making ready for many.
    if (parts <= 4 * FINISH_LANES)
      in_batches<4>(threadIdx.y, parts, FINISH_LANES, load, add);
    else
      in_batches<16>(threadIdx.y, parts, FINISH_LANES, load, add);
    firsts[threadIdx.y * FINISH_CHANNELS + threadIdx.x] = first;
    seconds[threadIdx.y * FINISH_CHANNELS + threadIdx.x] = second;
    for (int half = FINISH_LANES / 2; half > 0; half /= 2) {
      __syncthreads();
      if (threadIdx.y >= half) continue;
      const int own = threadIdx.y * FINISH_CHANNELS + threadIdx.x, other = own + half * FINISH_CHANNELS;
      firsts[own] = first += firsts[other];
      seconds[own] = second += seconds[other];
    }
  }
};

DEVICE int finish_channel() { return blockIdx.x * FINISH_CHANNELS + threadIdx.x; }

KERNEL(normalize_finish, FINISH_CHANNELS* FINISH_LANES)
(const float* partials, int parts, int channels, double rows, const float* weight, const float* bias, double eps,
 double momentum, float* scale, float* shift, float* mean, double* inverse_std, float* running_mean, float* running_var) {
  begin_kernel();
  const int channel = finish_channel();
  // On their way while the sums are: each would be waited for by itself behind what is written.
  const float own_weight = weight[channel], own_bias = bias[channel];
  const float old_mean = running_mean[channel], old_var = running_var[channel];
  const Totals totals(partials, parts, channels, channel);
  if (threadIdx.y > 0) return;
  const double average = totals.first / rows;
  const double variance = fmax(totals.second / rows - average * average, 0.0);
  const double inverse = 1.0 / sqrt(variance + eps), factor = own_weight * inverse;
  scale[channel] = static_cast<float>(factor);
  shift[channel] = static_cast<float>(own_bias - factor * average);
  mean[channel] = static_cast<float>(average);
  inverse_std[channel] = inverse;
  // A single value has no unbiased variance; its biased one, 0, stands in.
  const double unbiased = rows / fmax(rows - 1.0, 1.0);
  running_mean[channel] = static_cast<float>((1.0 - momentum) * old_mean + momentum * average);
  running_var[channel] = static_cast<float>((1.0 - momentum) * old_var + momentum * (variance * unbiased));
}
END_KERNEL(normalize_finish)

KERNEL(normalize_running, 256)
(const float* running_mean, const float* running_var, const float* weight, const float* bias, double eps, float* scale,
 float* shift, int channels) {
  begin_kernel();
  const size_t channel = flat_index();
  if (channel >= channels) return;
  const double factor = weight[channel] * (1.0 / sqrt(running_var[channel] + eps));
  scale[channel] = static_cast<float>(factor);
  shift[channel] = static_cast<float>(bias[channel] - factor * running_mean[channel]);
}
END_KERNEL(normalize_running)

KERNEL(gradient_finish, FINISH_CHANNELS* FINISH_LANES)
(const float* partials, int parts, int channels, double rows, const float* scale, const float* mean,
 const double* inverse_std, float* slope, float* offset, float* weight_gradient, float* bias_gradient) {
  begin_kernel();
  const int channel = finish_channel();
  const double inverse = inverse_std[channel], factor = scale[channel], average = mean[channel];
  const Totals totals(partials, parts, channels, channel);
  if (threadIdx.y > 0) return;
  const double along = -factor * inverse * inverse * totals.second / rows;
  slope[channel] = static_cast<float>(along);
  offset[channel] = static_cast<float>(-factor * totals.first / rows - along * average);
  weight_gradient[channel] = static_cast<float>(inverse * totals.second);
  bias_gradient[channel] = static_cast<float>(totals.first);
}
END_KERNEL(gradient_finish)

KERNEL(bias_finish, FINISH_CHANNELS* FINISH_LANES)
(const float* partials, int parts, int channels, const float* scale, float* bias_gradient) {
  begin_kernel();
  const int channel = finish_channel();
  const float factor = scale[channel];
  const Totals totals(partials, parts, channels, channel);
  if (threadIdx.y == 0) bias_gradient[channel] = static_cast<float>(totals.first * factor);
}
END_KERNEL(bias_finish)

KERNEL(reduce_partials, PAIR_THREADS)(const float* partials, int parts, int count, float* to) {
  begin_kernel();
  const int at = 4 * flat_index();
  float4 sum = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  if (at < count) {
    in_batches<8>(
        threadIdx.y, parts, blockDim.y,
        [&](int part) { return *reinterpret_cast<const float4*>(partials + static_cast<size_t>(part) * count + at); },
        [&](int, float4 four) { sum = make_float4(sum.x + four.x, sum.y + four.y, sum.z + four.z, sum.w + four.w); });
  }
  sum_lanes<2>([&](int i) { return i == 0 ? make_float2(sum.x, sum.y) : make_float2(sum.z, sum.w); },
               [&](int i, float2 total) {
                 if (at < count) Storage<float>::store2(to + at + 2 * i, total.x, total.y);
               });
}
END_KERNEL(reduce_partials)
