#version 450
// Keys and values of the tokens to their positions, two numbers an invocation.
#extension GL_GOOGLE_include_directive : require
#include "cache.glsl"

layout(local_size_x_id = 0) in;
layout(std430, set = 0, binding = 0) writeonly buffer Cache { uint cache[]; };
layout(std430, set = 0, binding = 1) readonly buffer K { vec2 k[]; };
layout(std430, set = 0, binding = 2) readonly buffer V { vec2 v[]; };
layout(std430, set = 0, binding = 3) readonly buffer State { uint state[]; };
layout(push_constant) uniform Push {
  uint n_tokens;
  uint width;  // n_kv_heads * d_head
  uint n_context;
  uint positions_at;
  uint slots_at;
  uint values_at;  // words
} p;

void store(uint at, vec2 both) {
  if (HALF) {
    cache[at / 2u] = packHalf2x16(both);
  } else {
    cache[at] = floatBitsToUint(both.x);
    cache[at + 1u] = floatBitsToUint(both.y);
  }
}

void main() {
  const uint i = gl_GlobalInvocationID.x;
  const uint pairs = p.width / 2u;
  if (i >= p.n_tokens * pairs) return;
  const uint token = i / pairs;
  const uint row = state[p.slots_at + token] * p.n_context + state[p.positions_at + token];
  const uint at = row * p.width + 2u * (i % pairs);
  store(at, k[i]);
  store(at + (HALF ? 2u : 1u) * p.values_at, v[i]);
}
