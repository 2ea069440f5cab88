// Qwen 3: no biases; each head of q and k is normalised before it is rotated.
#include "models/arch/families.h"

namespace ac {

constinit const Family kQwen3 = {
    .name = "qwen3",
    .has_qk_norm = true,
};

}  // namespace ac
