// What the server's page is told of models and settings.
#pragma once

#include "runtime/assemble/assemble.h"
#include "runtime/core/settings.h"
#include "runtime/server/page_api.h"

namespace ac::cli {

PageFacts page_facts(const Settings& settings, const Models& models);

}  // namespace ac::cli
