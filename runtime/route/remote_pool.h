// Several servers of the same full model, as one.
//
// A question goes to the server with the least to do: what its metrics said when last looked at, plus
// what was sent there since and still runs. One that fails before its first piece of text is replaced
// by the next; after it nothing is. Each server has a breaker of its own.
#pragma once

#include <memory>
#include <vector>

#include "runtime/core/clock.h"
#include "runtime/route/remote_client.h"

namespace ac {

// REQUIRES: at least one.
std::unique_ptr<RemoteClient> pool_of(std::vector<std::unique_ptr<RemoteClient>> servers,
                                      const Clock& clock = system_clock());

// The client for these options: of one server, or a pool where `url` names several, separated by
// commas. Errors: those of RemoteClient::create; kInvalidArgument for an empty name between commas.
Result<std::unique_ptr<RemoteClient>> make_remote_client(const RemoteOptions& options,
                                                         const Clock& clock = system_clock());

}  // namespace ac
