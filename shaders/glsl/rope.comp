#version 450
// Turns pairs of each head by angles whose cosines and sines lie in state: [token][cos d_rot / 2, sin d_rot / 2].
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool HALVES = true;
layout(std430, set = 0, binding = 0) buffer X { float x[]; };
layout(std430, set = 0, binding = 1) readonly buffer State { float state[]; };
layout(push_constant) uniform Push {
  uint n_tokens;
  uint n_heads;
  uint d_head;
  uint n_pairs;   // d_rot / 2
  uint table_at;  // in state
} p;

void main() {
  const uint i = gl_GlobalInvocationID.x;
  if (i >= p.n_tokens * p.n_heads * p.n_pairs) return;
  const uint pair = i % p.n_pairs, head = i / p.n_pairs;  // heads of all tokens
  const uint token = head / p.n_heads;
  const uint a = head * p.d_head + (HALVES ? pair : 2u * pair);
  const uint b = HALVES ? a + p.n_pairs : a + 1u;
  const float c = state[p.table_at + token * 2u * p.n_pairs + pair];
  const float s = state[p.table_at + token * 2u * p.n_pairs + p.n_pairs + pair];
  const float xa = x[a], xb = x[b];
  x[a] = xa * c - xb * s;
  x[b] = xa * s + xb * c;
}
