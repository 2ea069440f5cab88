// How matrices of weights lie in memory, by WTYPE. A unit is one uvec4 of a row; rows have whole units,
// padded with zeros, and row r begins at unit r * units_per_row. Scales of blocks of 32 are f16, two in
// a word, blocks of all rows one behind another.
//   0  f32    4 weights a unit
//   1  f16    8
//   2  bf16   8
//   3  q8_0  16
//   4  q4_0  32: weight i in the low half of byte i, weight 16 + i in its high half
#if WTYPE == 0
#define UNIT 4
#elif WTYPE == 1 || WTYPE == 2
#define UNIT 8
#elif WTYPE == 3
#define UNIT 16
#else
#define UNIT 32
#endif
#define UNIT4 (UNIT / 4)

layout(std430, set = 0, binding = 1) readonly buffer Units { uvec4 units[]; };
layout(std430, set = 0, binding = 2) readonly buffer Scales { uint scales[]; };

float scale_of(uint block) {
  vec2 both = unpackHalf2x16(scales[block >> 1]);
  return (block & 1u) == 0u ? both.x : both.y;
}

vec4 bytes4(uint word) {
  int w = int(word);
  return vec4(bitfieldExtract(w, 0, 8), bitfieldExtract(w, 8, 8), bitfieldExtract(w, 16, 8), bitfieldExtract(w, 24, 8));
}
vec4 nibbles4(uint word, int shift) {
  return vec4(bitfieldExtract(word, shift, 4), bitfieldExtract(word, shift + 8, 4),
              bitfieldExtract(word, shift + 16, 4), bitfieldExtract(word, shift + 24, 4)) - 8.0;
}

// Four weights of a unit, without their scale: those from 4 * i on.
vec4 weights4(uvec4 unit, int i) {
#if WTYPE == 0
  return uintBitsToFloat(unit);
#elif WTYPE == 1
  return vec4(unpackHalf2x16(unit[2 * i]), unpackHalf2x16(unit[2 * i + 1]));
#elif WTYPE == 2
  return uintBitsToFloat(uvec4(unit[2 * i] << 16, unit[2 * i] & 0xffff0000u, unit[2 * i + 1] << 16,
                               unit[2 * i + 1] & 0xffff0000u));
#elif WTYPE == 3
  return bytes4(unit[i]);
#else
  return nibbles4(unit[i & 3], i < 4 ? 0 : 4);
#endif
}

// Scale of unit `index` of all units.
float unit_scale(uint index) {
#if WTYPE == 3
  return scale_of(index >> 1);
#elif WTYPE == 4
  return scale_of(index);
#else
  return 1.0;
#endif
}
