// Gemma 3: five windowed layers, which turn with base 10000, then a global one with the file's base
// and scaling; q and k normalised per head; no caps. The 27B (62 layers) scales attention as Gemma
// 2's.
#include "models/arch/families.h"

namespace ac {

constinit const Family kGemma3 = {
    .name = "gemma3",
    .activation = Activation::kGeluTanh,
    .has_qk_norm = true,
    .has_post_norms = true,
    .scales_embedding = true,
    .window_period = 6,
    .local_rope_base = 10000,
    .layers_scaled_by_model_width = 62,
};

}  // namespace ac
