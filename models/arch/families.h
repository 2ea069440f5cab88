// The families, one file each.
#pragma once

#include "models/arch/family.h"

namespace ac {

extern const Family kLlama;
extern const Family kQwen2;
extern const Family kQwen3;
extern const Family kGemma2;
extern const Family kGemma3;
extern const Family kPhi3;
extern const Family kDeci;

}  // namespace ac
