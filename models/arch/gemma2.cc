// Gemma 2: norms before and after each block, capped scores and logits, every second layer
// windowed. The 27B (46 layers) scales attention by its model width per head, the others by d_head.
#include "models/arch/families.h"

namespace ac {

constinit const Family kGemma2 = {
    .name = "gemma2",
    .activation = Activation::kGeluTanh,
    .has_post_norms = true,
    .scales_embedding = true,
    .window_period = 2,
    .default_window = 4096,
    .default_attention_softcap = 50,
    .default_logit_softcap = 30,
    .layers_scaled_by_model_width = 46,
};

}  // namespace ac
