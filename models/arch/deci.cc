// DeciLM and Nemotron as llama.cpp names them: a Llama whose heads and widths are its layers' own. What is
// pruned here is exported so. Layers with linear attention (heads, but none for keys) are refused.
#include "models/arch/families.h"

namespace ac {

constinit const Family kDeci = {
    .name = "deci",
    .rope_pairing = RopePairing::kInterleaved,
};

}  // namespace ac
