#version 450
// Attention over the parts of a cache together: an invocation for each number of a head.
layout(local_size_x_id = 0) in;
layout(std430, set = 0, binding = 0) writeonly buffer Out { float result[]; };
layout(std430, set = 0, binding = 1) readonly buffer Parts { float parts[]; };
layout(push_constant) uniform Push {
  uint n_values;  // tokens * heads * d_head
  uint d_head;
  uint n_parts;
} p;

void main() {
  const uint i = gl_GlobalInvocationID.x;
  if (i >= p.n_values) return;
  const uint stride = p.d_head + 2u;
  const uint base = i / p.d_head * p.n_parts * stride;
  float largest = -1e30;
  for (uint j = 0; j < p.n_parts; ++j) largest = max(largest, parts[base + j * stride + p.d_head]);
  float sum = 0.0, total = 0.0;
  for (uint j = 0; j < p.n_parts; ++j) {
    const float weight = exp(parts[base + j * stride + p.d_head] - largest);
    sum += weight * parts[base + j * stride + i % p.d_head];
    total += weight * parts[base + j * stride + p.d_head + 1u];
  }
  result[i] = sum / total;
}
