#version 450
// What looks at one number at a time, by OP; and rows picked from others.
#extension GL_GOOGLE_include_directive : require
#include "tanh.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint OP = 0;
const uint GATED_SILU = 0, GATED_GELU = 1, ADD = 2, SCALE = 3, SOFTCAP = 4, SELECT_ROWS = 5;
layout(std430, set = 0, binding = 0) buffer Y { float y[]; };
layout(std430, set = 0, binding = 1) readonly buffer A { float a[]; };
layout(std430, set = 0, binding = 2) readonly buffer B { float b[]; };
layout(std430, set = 0, binding = 3) readonly buffer State { uint state[]; };
layout(push_constant) uniform Push {
  uint n;
  float number;
  uint n_cols;   // SELECT_ROWS
  uint rows_at;  // in state
} p;

void main() {
  const uint i = gl_WorkGroupID.y * gl_NumWorkGroups.x * gl_WorkGroupSize.x + gl_GlobalInvocationID.x;
  if (i >= p.n) return;
  if (OP == GATED_SILU) {
    y[i] = a[i] / (1.0 + exp(-a[i])) * b[i];
  } else if (OP == GATED_GELU) {
    const float u = 0.7978845608028654 * (a[i] + 0.044715 * a[i] * a[i] * a[i]);
    // x (1 + tanh u) / 2 without cancellation
    y[i] = a[i] / (1.0 + exp(-2.0 * u)) * b[i];
  } else if (OP == ADD) {
    y[i] += a[i];
  } else if (OP == SCALE) {
    y[i] *= p.number;
  } else if (OP == SOFTCAP) {
    y[i] = p.number * safe_tanh(y[i] / p.number);
  } else if (OP == SELECT_ROWS) {
    y[i] = a[state[p.rows_at + i / p.n_cols] * p.n_cols + i % p.n_cols];
  }
}
