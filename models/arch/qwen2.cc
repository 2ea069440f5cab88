// Qwen 2 and 2.5: as Llama, with biases on q, k and v and rotated halves.
#include "models/arch/families.h"

namespace ac {

constinit const Family kQwen2 = {
    .name = "qwen2",
    .has_qkv_bias = true,
};

}  // namespace ac
