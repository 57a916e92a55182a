// What changes from step to step. It lies in memory, and not among the arguments, so that a recorded graph can be run again.
#pragma once
#include "common.cuh"

struct StepScalars {
  double share;
  double divisor;
  float rate[2];
  float root2[2];
  float keep[2];
  float average_weight;
  float average_rest;
  int average_near;
  int mix_kind;
  float mix_weight;
  float mix_rest;
  int mix_rows[2];
  int mix_columns[2];
};
static_assert(sizeof(StepScalars) == 80, "as the host lays it out");

enum MixKind { MIX_NONE = 0, MIX_MEAN = 1, MIX_BOX = 2 };
