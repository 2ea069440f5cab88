#version 450
// Causal attention of one head of one token over a part of its slot's cache, with a running maximum. Where
// the cache is split, what is written are numerators, maximum and denominator, for attend_merge.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "cache.glsl"
#include "tanh.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const uint PAIRS = 4;  // of a head's numbers, for each invocation
layout(constant_id = 3) const bool SPLIT = false;
layout(std430, set = 0, binding = 0) writeonly buffer Out { float result[]; };
layout(std430, set = 0, binding = 1) readonly buffer Q { float q[]; };
layout(std430, set = 0, binding = 2) readonly buffer Cache { uint cache[]; };
layout(std430, set = 0, binding = 3) readonly buffer State { uint state[]; };
layout(push_constant) uniform Push {
  uint n_heads;
  uint n_kv_heads;
  uint d_head;
  uint n_context;
  uint positions_at;
  uint slots_at;
  uint values_at;  // words
  uint window;
  float scale;
  float softcap;
} p;

const uint CHUNK = 64;  // positions at a time
shared vec2 query[128];
shared float scores[CHUNK];

vec2 pair(uint word_base, uint i) {
  if (HALF) return unpackHalf2x16(cache[word_base + i]);
  return vec2(uintBitsToFloat(cache[word_base + 2u * i]), uintBitsToFloat(cache[word_base + 2u * i + 1u]));
}

void main() {
  const uint head = gl_WorkGroupID.x, token = gl_WorkGroupID.y, part = gl_WorkGroupID.z;
  const uint n_parts = gl_NumWorkGroups.z;
  const uint lane = gl_LocalInvocationID.x, n_lanes = gl_WorkGroupSize.x;
  const uint n_pairs = p.d_head / 2u;
  const uint position = state[p.positions_at + token];
  const uint slot = state[p.slots_at + token];
  const uint first = p.window > 0u && position + 1u > p.window ? position + 1u - p.window : 0u;
  const uint each = (position + 1u - first + n_parts - 1u) / n_parts;
  const uint begin = first + part * each;
  const uint end = min(begin + each, position + 1u);
  const uint kv_head = head / (p.n_heads / p.n_kv_heads);
  const uint row_words = words_of(p.n_kv_heads * p.d_head);
  const uint keys = slot * p.n_context * row_words + words_of(kv_head * p.d_head);

  const uint q_base = (token * p.n_heads + head) * p.d_head;
  for (uint i = lane; i < n_pairs; i += n_lanes) query[i] = p.scale * vec2(q[q_base + 2u * i], q[q_base + 2u * i + 1u]);
  float largest = -1e30, total = 0.0;
  vec2 sums[PAIRS];
  [[unroll]] for (uint i = 0; i < PAIRS; ++i) sums[i] = vec2(0.0);
  barrier();

  for (uint base = begin; base < end; base += CHUNK) {
    const uint n = min(CHUNK, end - base);
    for (uint j = lane; j < n; j += n_lanes) {
      const uint key = keys + (base + j) * row_words;
      float score = 0.0;
      for (uint i = 0; i < n_pairs; ++i) score += dot(query[i], pair(key, i));
      if (p.softcap > 0.0) score = p.softcap * safe_tanh(score / p.softcap);
      scores[j] = score;
    }
    barrier();
    float most = largest;
    for (uint j = 0; j < n; ++j) most = max(most, scores[j]);
    barrier();
    for (uint j = lane; j < n; j += n_lanes) scores[j] = exp(scores[j] - most);
    barrier();
    const float kept = exp(largest - most);
    total *= kept;
    [[unroll]] for (uint i = 0; i < PAIRS; ++i) sums[i] *= kept;
    for (uint j = 0; j < n; ++j) {
      const float weight = scores[j];
      const uint value = p.values_at + keys + (base + j) * row_words;
      total += weight;
      [[unroll]] for (uint i = 0; i < PAIRS; ++i) {
        const uint at = lane + i * n_lanes;
        if (at < n_pairs) sums[i] += weight * pair(value, at);
      }
    }
    largest = most;
    barrier();
  }

  if (SPLIT) {
    const uint to = ((token * p.n_heads + head) * n_parts + part) * (p.d_head + 2u);
    [[unroll]] for (uint i = 0; i < PAIRS; ++i) {
      const uint at = lane + i * n_lanes;
      if (at < n_pairs) {
        result[to + 2u * at] = sums[i].x;
        result[to + 2u * at + 1u] = sums[i].y;
      }
    }
    if (lane == 0u) {
      result[to + p.d_head] = largest;
      result[to + p.d_head + 1u] = total;
    }
    return;
  }
  [[unroll]] for (uint i = 0; i < PAIRS; ++i) {
    const uint at = lane + i * n_lanes;
    if (at < n_pairs) {
      result[q_base + 2u * at] = sums[i].x / total;
      result[q_base + 2u * at + 1u] = sums[i].y / total;
    }
  }
}
