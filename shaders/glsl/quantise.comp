#version 450
// Activations in blocks of 32 as bytes, for products of whole numbers: x ~ d * q with q in -127..127. A
// block is 8 words of q, then d, then d times the sum of its q.
layout(local_size_x_id = 0) in;
layout(std430, set = 0, binding = 0) writeonly buffer Q { uint q[]; };
layout(std430, set = 0, binding = 1) readonly buffer X { vec4 x4[]; };
layout(push_constant) uniform Push {
  uint n_blocks;  // of all tokens
} p;

void main() {
  const uint block = gl_WorkGroupID.y * gl_NumWorkGroups.x * gl_WorkGroupSize.x + gl_GlobalInvocationID.x;
  if (block >= p.n_blocks) return;
  float most = 0.0;
  for (uint i = 0; i < 8u; ++i) {
    const vec4 a = abs(x4[block * 8u + i]);
    most = max(most, max(max(a.x, a.y), max(a.z, a.w)));
  }
  const float d = most / 127.0;
  const float to_q = most > 0.0 ? 127.0 / most : 0.0;
  int sum = 0;
  for (uint i = 0; i < 8u; ++i) {
    const ivec4 v = ivec4(round(x4[block * 8u + i] * to_q));
    sum += v.x + v.y + v.z + v.w;
    q[block * 10u + i] = uint(v.x & 255) | uint(v.y & 255) << 8 | uint(v.z & 255) << 16 | uint(v.w & 255) << 24;
  }
  q[block * 10u + 8u] = floatBitsToUint(d);
  q[block * 10u + 9u] = floatBitsToUint(d * float(sum));
}
