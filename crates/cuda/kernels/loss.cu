// Softmax cross-entropy of one picture a warp, in float64 within: core's cross_entropy, step by step.
#include "step.cuh"

constexpr unsigned WARP = 0xffffffffu;

DEVICE double warp_sum(double value) {
  for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(WARP, value, distance);
  return value;
}

KERNEL(cross_entropy, 32)
(const float* logits, int stride, int classes, const unsigned* labels, const unsigned* second_labels,
 const double* class_weights, double smoothing, const StepScalars* step, float* gradient, double* picture_losses,
 unsigned* picture_correct) {
  begin_kernel();
  const int picture = blockIdx.x, lane = threadIdx.x;
  const float* own = logits + static_cast<size_t>(picture) * stride;
  // The class with the larger share first.
  double share = second_labels ? step->share : 1.0;
  int label = static_cast<int>(labels[picture]), second = second_labels ? static_cast<int>(second_labels[picture]) : label;
  if (share < 0.5) {
    const int other = label;
    label = second, second = other, share = 1.0 - share;
  }
  const auto weight_of = [&](int at) { return class_weights ? class_weights[at] : 1.0; };

  // The first of equal logits is the answer, as where the classes are gone through in order. A NaN is never larger.
  float best_logit = own[0];
  int best = 0;
  for (int at = lane; at < classes; at += 32)
    if (own[at] > best_logit) best_logit = own[at], best = at;
  for (int distance = 16; distance > 0; distance /= 2) {
    const float other_logit = __shfl_xor_sync(WARP, best_logit, distance);
    const int other = __shfl_xor_sync(WARP, best, distance);
    if (other_logit > best_logit || (other_logit == best_logit && other < best)) best_logit = other_logit, best = other;
  }
  const double largest = best_logit, even = smoothing / classes;
  double sum = 0.0, weighted_logits = 0.0, weights = 0.0;
  for (int at = lane; at < classes; at += 32) {
    sum += exp(own[at] - largest);
    weighted_logits += weight_of(at) * own[at];
    weights += weight_of(at);
  }
  sum = warp_sum(sum);
  double whole = weight_of(label), expected = whole * own[label];
  if (share < 1.0) {
    const double weight = weight_of(second);
    expected = share * expected + (1.0 - share) * weight * own[second];
    whole = share * whole + (1.0 - share) * weight;
  }
  if (smoothing > 0.0) {
    expected = (1.0 - smoothing) * expected + even * warp_sum(weighted_logits);
    whole = (1.0 - smoothing) * whole + even * warp_sum(weights);
  }
  // Rounding must not make a sum of shares other than 1.
  if (!class_weights) whole = 1.0;
  if (lane == 0) {
    picture_losses[picture] = whole * (log(sum) + largest) - expected;
    picture_correct[picture] = best == label;
  }
  if (!gradient) return;
  const double divisor = step->divisor;
  float* to = gradient + static_cast<size_t>(picture) * stride;
  for (int at = lane; at < stride; at += 32) {
    if (at >= classes) {
      to[at] = 0.0f;
      continue;
    }
    const double shares = (at == label ? share : 0.0) + (at == second ? 1.0 - share : 0.0);
    const double target = weight_of(at) * ((1.0 - smoothing) * shares + even);
    to[at] = static_cast<float>((whole * exp(own[at] - largest) / sum - target) / divisor);
  }
}
END_KERNEL(cross_entropy)

KERNEL(loss_finish, 256)
(const double* picture_losses, const unsigned* picture_correct, int pictures, const StepScalars* step, double* last,
 double* totals) {
  begin_kernel();
  SHARED(double, losses, 256);
  SHARED(double, corrects, 256);
  const double divisor = step->divisor, before[2] = {totals[0], totals[1]};
  double loss = 0.0, correct = 0.0;
  for (int picture = threadIdx.x; picture < pictures; picture += 256) {
    loss += picture_losses[picture];
    correct += picture_correct[picture];
  }
  losses[threadIdx.x] = loss;
  corrects[threadIdx.x] = correct;
  for (int half = 128; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) {
      losses[threadIdx.x] += losses[threadIdx.x + half];
      corrects[threadIdx.x] += corrects[threadIdx.x + half];
    }
  }
  if (threadIdx.x > 0) return;
  // So that divided by the number of pictures it is the mean.
  const double mean = losses[0] * (pictures / divisor);
  last[0] = mean, last[1] = corrects[0];
  totals[0] = before[0] + mean, totals[1] = before[1] + corrects[0];
}
END_KERNEL(loss_finish)
