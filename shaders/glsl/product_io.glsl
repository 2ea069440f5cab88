// What matrix products read and write: y [n_tokens, y_stride] (+)= x [n_tokens, n_in] W^T + bias, for
// the rows of W that a window has.
layout(std430, set = 0, binding = 0) buffer Y { float y[]; };
layout(std430, set = 0, binding = 3) readonly buffer X { float x[]; };
layout(std430, set = 0, binding = 3) readonly buffer X4 { vec4 x4[]; };
layout(std430, set = 0, binding = 4) readonly buffer Bias { float bias[]; };

layout(push_constant) uniform Push {
  uint n_in;
  uint n_rows;         // of this window
  uint first_row;      // of this window, in y and bias
  uint y_stride;
  uint n_tokens;
  uint units_per_row;
  uint has_bias;
  uint adds;           // to what is there
} p;

void put(uint token, uint row, float value) {
  uint at = token * p.y_stride + p.first_row + row;
  if (p.has_bias != 0u) value += bias[p.first_row + row];
  y[at] = p.adds != 0u ? y[at] + value : value;
}
