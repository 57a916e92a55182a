// The optimizers, each one launch for parameters side by side: core's optim, value by value and in its order of operations. Where that
// multiplies and then adds, so does this (no fused multiply-add), so that both round alike.
#include "step.cuh"

struct OptimizerConstants {
  float decay;
  float largest;
  float keep1, new1;
  float keep2, new2;
  float eps;
  int nesterov;
  int split;
  int unused[3];
};
static_assert(sizeof(OptimizerConstants) == 48, "as the host lays it out");

DEVICE float times(float a, float b) { return __fmul_rn(a, b); }
DEVICE float plus(float a, float b) { return __fadd_rn(a, b); }
DEVICE float minus(float a, float b) { return __fadd_rn(a, -b); }

// One parameter with its state, and the numbers of its group.
struct Value {
  float parameter, g, first, second;
};
struct Group {
  float rate, root2, keep;
};

struct Adam {
  static DEVICE void apply(Value& v, const OptimizerConstants& c, const Group& group) {
    v.first = plus(times(c.keep1, v.first), times(c.new1, v.g));
    v.second = plus(times(c.keep2, v.second), times(times(c.new2, v.g), v.g));
    const float by = plus(__fdiv_rn(__fsqrt_rn(v.second), group.root2), c.eps);
    v.parameter = minus(times(group.keep, v.parameter), __fdiv_rn(times(group.rate, v.first), by));
  }
};

struct Sgd {
  static DEVICE void apply(Value& v, const OptimizerConstants& c, const Group& group) {
    float along = v.g;
    if (c.keep1 != 0.0f) {
      v.first = plus(times(c.keep1, v.first), v.g);
      along = c.nesterov ? plus(v.g, times(c.keep1, v.first)) : v.first;
    }
    v.parameter = minus(v.parameter, times(group.rate, along));
  }
};

struct RmsProp {
  static DEVICE void apply(Value& v, const OptimizerConstants& c, const Group& group) {
    v.first = plus(times(c.keep2, v.first), times(times(c.new2, v.g), v.g));
    const float direction = __fdiv_rn(v.g, plus(__fsqrt_rn(v.first), c.eps));
    if (c.keep1 == 0.0f) {
      v.parameter = minus(v.parameter, times(group.rate, direction));
      return;
    }
    v.second = plus(times(c.keep1, v.second), direction);
    v.parameter = minus(v.parameter, times(group.rate, v.second));
  }
};

struct RmsPropTf {
  static DEVICE void apply(Value& v, const OptimizerConstants& c, const Group& group) {
    v.first = plus(v.first, times(c.new2, minus(times(v.g, v.g), v.first)));
    const float step = __fdiv_rn(times(group.rate, v.g), __fsqrt_rn(plus(v.first, c.eps)));
    if (c.keep1 == 0.0f) {
      v.parameter = minus(v.parameter, step);
      return;
    }
    v.second = plus(times(c.keep1, v.second), step);
    v.parameter = minus(v.parameter, v.second);
  }
};

// DECOUPLED: weight decay shrinks the weight (AdamW) instead of pulling on the gradient.
template <class Rule, bool DECOUPLED>
DEVICE void optimizer(float* parameters, const float* gradients, float* first, float* second, unsigned short* shadow,
                      const unsigned char* decays, const float* clip_scale, const OptimizerConstants& c,
                      const StepScalars* step, int count) {
  const size_t at = 4 * flat_index();
  if (at >= count) return;
  const int head = at >= c.split;
  const bool decay = decays[at / 16];
  const Group group = {step->rate[head], step->root2[head], DECOUPLED && decay ? step->keep[head] : 1.0f};
  const float scale = clip_scale ? *clip_scale : 1.0f, pull = DECOUPLED || !decay ? 0.0f : c.decay;
  const float4 none = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  const auto load = [&](const float* from) { return from ? *reinterpret_cast<const float4*>(from + at) : none; };
  const float4 p = load(parameters), g = load(gradients), a = load(first), b = load(second);
  Value values[4] = {{p.x, g.x, a.x, b.x}, {p.y, g.y, a.y, b.y}, {p.z, g.z, a.z, b.z}, {p.w, g.w, a.w, b.w}};
#pragma unroll
  for (Value& v : values) {
    v.g = plus(cut(times(v.g, scale), -c.largest, c.largest), times(pull, v.parameter));
    Rule::apply(v, c, group);
  }
  const auto store = [&](float* to, float Value::* field) {
    if (to)
      *reinterpret_cast<float4*>(to + at) =
          make_float4(values[0].*field, values[1].*field, values[2].*field, values[3].*field);
  };
  store(parameters, &Value::parameter);
  store(first, &Value::first);
  store(second, &Value::second);
  if (shadow)
    *reinterpret_cast<uint2*>(shadow + at) = make_uint2(pack_bf16(values[0].parameter, values[1].parameter),
                                                       pack_bf16(values[2].parameter, values[3].parameter));
}

#define OPTIMIZER(name, Rule, DECOUPLED)                                                                               \
  KERNEL(optimizer_##name, 256)                                                                                        \
  (float* parameters, const float* gradients, float* first, float* second, unsigned short* shadow,                     \
   const unsigned char* decays, const float* clip_scale, OptimizerConstants constants, const StepScalars* step,        \
   int count) {                                                                                                        \
    begin_kernel();                                                                                                    \
    optimizer<Rule, DECOUPLED>(parameters, gradients, first, second, shadow, decays, clip_scale, constants, step, count); \
  }                                                                                                                    \
  END_KERNEL(optimizer_##name)
OPTIMIZER(adam, Adam, false)
OPTIMIZER(adamw, Adam, true)
OPTIMIZER(sgd, Sgd, false)
OPTIMIZER(rms_prop, RmsProp, false)
OPTIMIZER(rms_prop_tf, RmsPropTf, false)

// ---- The limit of the gradients' norm ----

constexpr int NORM_PARTS = 1024;

DEVICE double sum_block(double value) {
  SHARED(double, all, 256);
  all[threadIdx.x] = value;
  for (int half = 128; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) all[threadIdx.x] += all[threadIdx.x + half];
  }
  return all[0];
}

KERNEL(gradient_norm, 256)(const float* gradients, int count, double* partials) {
  begin_kernel();
  double sum = 0.0;
  for (size_t at = flat_index(); at < count; at += static_cast<size_t>(NORM_PARTS) * 256)
    sum += static_cast<double>(gradients[at]) * gradients[at];
  sum = sum_block(sum);
  if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}
END_KERNEL(gradient_norm)

KERNEL(clip_finish, 256)(const double* partials, double most, float* scale) {
  begin_kernel();
  double sum = 0.0;
  for (int part = threadIdx.x; part < NORM_PARTS; part += 256) sum += partials[part];
  sum = sum_block(sum);
  // PyTorch's constant keeps the division finite.
  if (threadIdx.x == 0) *scale = static_cast<float>(fmin(most / (sqrt(sum) + 1e-6), 1.0));
}
END_KERNEL(clip_finish)

// ---- Copies of the parameters ----

KERNEL(average_update, 256)(float* averages, const float* values, const StepScalars* step, int count) {
  begin_kernel();
  const size_t at = flat_index();
  if (at >= count) return;
  const float average = averages[at], value = values[at], difference = minus(value, average);
  averages[at] = step->average_near ? plus(average, times(step->average_weight, difference))
                                    : minus(value, times(difference, step->average_rest));
}
END_KERNEL(average_update)

KERNEL(convert_parameters, 256)(const float* parameters, unsigned short* shadow, int count) {
  begin_kernel();
  const size_t at = flat_index();
  if (at < count) shadow[at] = static_cast<unsigned short>(pack_bf16(parameters[at], 0.0f));
}
END_KERNEL(convert_parameters)
