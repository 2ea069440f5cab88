// tanh where devices are not to be trusted with it: beyond 15 it is 1 in f32, and some overflow on the way;
// near 0 it is made of exponentials whose difference has few digits left.
float safe_tanh(float x) {
  if (abs(x) < 0.02) return x * (1.0 - x * x * (1.0 / 3.0 - x * x * (2.0 / 15.0)));
  return tanh(clamp(x, -15.0, 15.0));
}
