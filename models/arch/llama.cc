// Llama 2 and 3.x, Mistral, SmolLM2, TinyLlama: pre-norm, gated SiLU, rotated pairs side by side.
// Llama 3.1 and later bring frequency factors as a tensor (rope_freqs.weight); Mistral 0.1 a
// window.
#include "models/arch/families.h"

namespace ac {

constinit const Family kLlama = {
    .name = "llama",
    .rope_pairing = RopePairing::kInterleaved,
};

}  // namespace ac
