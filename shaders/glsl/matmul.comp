#version 450
// Products of many tokens: tiles of 32 rows by 32 tokens, 4 by 4 an invocation, 32 columns at a time
// through shared memory.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "weights.glsl"
#include "product_io.glsl"

layout(local_size_x = 64) in;

const uint TILE = 32;
shared float w_tile[TILE][TILE + 1];  // [column][row]
shared float x_tile[TILE][TILE + 1];  // [column][token]

// Sixteen columns of a row of W, from col on.
void load_weights(uint row, uint col, uint to_row, uint to_col) {
  [[unroll]] for (uint i = 0; i < 4u; ++i) {
    vec4 values = vec4(0.0);
    const uint at = col + 4u * i;
    if (at < p.units_per_row * UNIT && row < ((p.n_rows + 7u) & ~7u)) {
      const uint index = row * p.units_per_row + at / UNIT;
      values = unit_scale(index) * weights4(units[index], int(at % UNIT) / 4);
    }
    [[unroll]] for (uint j = 0; j < 4u; ++j) w_tile[to_col + 4u * i + j][to_row] = values[j];
  }
}

void main() {
  const uint row0 = gl_WorkGroupID.x * TILE;
  const uint token0 = gl_WorkGroupID.y * TILE;
  const uint id = gl_LocalInvocationID.x;
  const uint my_row = (id & 7u) * 4u, my_token = (id >> 3) * 4u;
  float sums[16];
  [[unroll]] for (uint i = 0; i < 16u; ++i) sums[i] = 0.0;
  for (uint col0 = 0; col0 < p.n_in; col0 += TILE) {
    load_weights(row0 + id / 2u, col0 + 16u * (id & 1u), id / 2u, 16u * (id & 1u));
    [[unroll]] for (uint i = 0; i < 16u; ++i) {
      const uint token = token0 + id / 2u, to_col = 16u * (id & 1u) + i;
      const uint col = col0 + to_col;
      x_tile[to_col][id / 2u] = token < p.n_tokens && col < p.n_in ? x[token * p.n_in + col] : 0.0;
    }
    barrier();
    for (uint k = 0; k < TILE; ++k) {
      [[unroll]] for (uint i = 0; i < 4u; ++i) {
        [[unroll]] for (uint j = 0; j < 4u; ++j) {
          sums[4u * i + j] += w_tile[k][my_row + i] * x_tile[k][my_token + j];
        }
      }
    }
    barrier();
  }
  [[unroll]] for (uint i = 0; i < 4u; ++i) {
    [[unroll]] for (uint j = 0; j < 4u; ++j) {
      const uint row = row0 + my_row + i, token = token0 + my_token + j;
      if (row < p.n_rows && token < p.n_tokens) put(token, row, sums[4u * i + j]);
    }
  }
}
