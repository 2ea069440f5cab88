// What the kernel is told, so that a mistake of ours cannot undo it.
#pragma once

#include "runtime/core/result.h"

namespace ac::cli {

// From now on no thread of this process can make a socket for IPv4 or IPv6 (EACCES), nor can what it
// starts; sockets that are there stay. Cannot be taken back. Errors: kUnsupported (not this kernel,
// not this processor).
Status deny_network_sockets();

// No core file and no debugger of the same user may hold the keys in this process's memory.
void hide_memory();

}  // namespace ac::cli
