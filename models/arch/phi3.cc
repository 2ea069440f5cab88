// Phi-3, 3.5 and 4: q, k, v in one tensor and gate, up in another; a window in every layer;
// LongRoPE's factors as tensors (rope_factors_long.weight, rope_factors_short.weight) in the long
// variants.
#include "models/arch/families.h"

namespace ac {

constinit const Family kPhi3 = {
    .name = "phi3",
    .may_fuse = true,
};

}  // namespace ac
