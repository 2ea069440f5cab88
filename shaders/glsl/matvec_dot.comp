#version 450
// matvec.comp for q8_0 and q4_0 with activations in bytes (quantise.comp): four products and their sum are
// one instruction where the device has it.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_spirv_intrinsics : require
layout(local_size_x_id = 0) in;  // before what asks for it
#include "reduce.glsl"
#include "weights.glsl"
#include "product_io.glsl"

layout(constant_id = 1) const uint ROWS = 4;
layout(constant_id = 2) const uint COLS = 1;  // tokens
layout(std430, set = 0, binding = 3) readonly buffer Q { uint q[]; };

// OpSDot of SPV_KHR_integer_dot_product on four bytes in a word; glslang 12 has no function for it.
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019], id = 4450)
int dot_of_bytes(uint a, uint b, spirv_literal int packed_format);

const uint BLOCK_WORDS = 10;

void main() {
  // In two directions where a device has not so many workgroups in one.
  const uint row0 = (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * ROWS;
  if (row0 >= p.n_rows) return;
  float sums[ROWS * COLS];
  [[unroll]] for (uint i = 0; i < ROWS * COLS; ++i) sums[i] = 0.0;
  const uint blocks = p.n_in / 32u;
  for (uint u = gl_LocalInvocationID.x; u < p.units_per_row; u += gl_WorkGroupSize.x) {
    const uint block = UNIT == 16 ? u >> 1 : u;
    const uint half_words = UNIT == 16 ? (u & 1u) * 4u : 0u;
    [[unroll]] for (uint r = 0; r < ROWS; ++r) {
      const uint index = (row0 + r) * p.units_per_row + u;
      const uvec4 unit = units[index];
      const float d = unit_scale(index);
      [[unroll]] for (uint c = 0; c < COLS; ++c) {
        const uint at = (c * blocks + block) * BLOCK_WORDS;
        int sum = 0;
#if WTYPE == 3
        [[unroll]] for (int i = 0; i < 4; ++i) sum += dot_of_bytes(unit[i], q[at + half_words + uint(i)], 0);
        sums[r * COLS + c] += d * uintBitsToFloat(q[at + 8u]) * float(sum);
#else
        [[unroll]] for (int i = 0; i < 4; ++i) {
          sum += dot_of_bytes(unit[i] & 0x0f0f0f0fu, q[at + uint(i)], 0);
          sum += dot_of_bytes((unit[i] >> 4) & 0x0f0f0f0fu, q[at + 4u + uint(i)], 0);
        }
        // A nibble stands for itself less 8.
        sums[r * COLS + c] += d * (uintBitsToFloat(q[at + 8u]) * float(sum) - 8.0 * uintBitsToFloat(q[at + 9u]));
#endif
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
