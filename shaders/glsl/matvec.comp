#version 450
// Products of few tokens: a workgroup has ROWS rows of W and walks along them, a unit an invocation.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
layout(local_size_x_id = 0) in;  // before what asks for it
#include "reduce.glsl"
#include "weights.glsl"
#include "product_io.glsl"

layout(constant_id = 1) const uint ROWS = 4;
layout(constant_id = 2) const uint COLS = 1;     // tokens
layout(constant_id = 3) const bool WHOLE = true;  // n_in is a multiple of a unit

vec4 input4(uint token, uint col) {
  if (WHOLE) return x4[(token * p.n_in + col) >> 2];
  vec4 values = vec4(0.0);
  for (uint i = 0; i < 4u; ++i) {
    if (col + i < p.n_in) values[i] = x[token * p.n_in + col + i];
  }
  return values;
}

void main() {
  // In two directions where a device has not so many workgroups in one.
  const uint row0 = (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * ROWS;
  if (row0 >= p.n_rows) return;
  float sums[ROWS * COLS];
  [[unroll]] for (uint i = 0; i < ROWS * COLS; ++i) sums[i] = 0.0;
  for (uint u = gl_LocalInvocationID.x; u < p.units_per_row; u += gl_WorkGroupSize.x) {
    vec4 values[COLS * UNIT4];
    [[unroll]] for (uint c = 0; c < COLS; ++c) {
      [[unroll]] for (uint i = 0; i < UNIT4; ++i) values[c * UNIT4 + i] = input4(c, u * UNIT + 4u * i);
    }
    [[unroll]] for (uint r = 0; r < ROWS; ++r) {
      const uint index = (row0 + r) * p.units_per_row + u;
      const uvec4 unit = units[index];
      const float d = unit_scale(index);
      [[unroll]] for (uint c = 0; c < COLS; ++c) {
        float sum = 0.0;
        [[unroll]] for (int i = 0; i < UNIT4; ++i) sum += dot(weights4(unit, i), values[c * UNIT4 + i]);
        sums[r * COLS + c] += d * sum;
      }
    }
  }
  [[unroll]] for (uint r = 0; r < ROWS; ++r) {
    [[unroll]] for (uint c = 0; c < COLS; ++c) {
      const float sum = sum_of_workgroup(sums[r * COLS + c]);
      if (gl_LocalInvocationID.x == 0u && row0 + r < p.n_rows) put(c, row0 + r, sum);
    }
  }
}
