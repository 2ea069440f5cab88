#version 450
// y = x / sqrt(mean(x^2) + epsilon) * weight, a workgroup for each group of columns.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;  // before what asks for it
#include "reduce.glsl"

layout(std430, set = 0, binding = 0) writeonly buffer Y { float y[]; };
layout(std430, set = 0, binding = 1) readonly buffer X { float x[]; };
layout(std430, set = 0, binding = 2) readonly buffer Weight { float weight[]; };
layout(push_constant) uniform Push {
  uint n_cols;  // of a group
  uint has_weight;
  float epsilon;
  uint n_groups;
} p;

void main() {
  // More groups than a device takes workgroups in one direction.
  const uint group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
  const uint base = min(group, p.n_groups - 1u) * p.n_cols;
  float squares = 0.0;
  for (uint i = gl_LocalInvocationID.x; i < p.n_cols; i += gl_WorkGroupSize.x) squares += x[base + i] * x[base + i];
  const float factor = inversesqrt(sum_of_workgroup(squares) / float(p.n_cols) + p.epsilon);
  if (group >= p.n_groups) return;
  for (uint i = gl_LocalInvocationID.x; i < p.n_cols; i += gl_WorkGroupSize.x) {
    y[base + i] = x[base + i] * factor * (p.has_weight != 0u ? weight[i] : 1.0);
  }
}
