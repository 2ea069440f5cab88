#version 450
// Rows of a table for the tokens of a step; those that lie in this window.
#extension GL_GOOGLE_include_directive : require
#include "weights.glsl"

layout(local_size_x_id = 0) in;
layout(std430, set = 0, binding = 0) buffer Y { float y[]; };
layout(std430, set = 0, binding = 3) readonly buffer State { uint state[]; };
layout(push_constant) uniform Push {
  uint n_cols;
  uint tokens_at;  // in state
  uint first_row;  // of this window
  uint n_rows;
  uint units_per_row;
  uint adds;
} p;

void main() {
  const uint token = state[p.tokens_at + gl_WorkGroupID.x];
  if (token < p.first_row || token >= p.first_row + p.n_rows) return;
  for (uint u = gl_LocalInvocationID.x; u < p.units_per_row; u += gl_WorkGroupSize.x) {
    const uint index = (token - p.first_row) * p.units_per_row + u;
    const uvec4 unit = units[index];
    const float d = unit_scale(index);
    for (int i = 0; i < UNIT4; ++i) {
      const vec4 values = d * weights4(unit, i);
      for (uint j = 0; j < 4u; ++j) {
        const uint col = u * UNIT + 4u * uint(i) + j;
        if (col >= p.n_cols) break;
        const uint at = gl_WorkGroupID.x * p.n_cols + col;
        y[at] = p.adds != 0u ? y[at] + values[j] : values[j];
      }
    }
  }
}
