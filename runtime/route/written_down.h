// An answer as the ledger keeps it.
#pragma once

#include <string>

#include "runtime/ledger/ledger.h"
#include "runtime/route/receipt.h"
#include "runtime/route/token_prices.h"

namespace ac {

// `prices` are the full model's, whose tokens are taken to be as many as the local ones; `watts` is
// what this machine takes while it answers.
LedgerEntry written_down(const Receipt& receipt, std::string source, const TokenPrices& prices,
                         double watts);

}  // namespace ac
