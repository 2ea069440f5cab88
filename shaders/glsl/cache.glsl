// The cache of one layer: keys, then values, [slot][position][n_kv_heads * d_head], f16 (two in a word) or
// f32. d_head is even.
layout(constant_id = 1) const bool HALF = true;

uint words_of(uint n_values) { return HALF ? n_values / 2u : n_values; }
