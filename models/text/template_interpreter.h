// Runs a parsed chat template over a conversation.
#pragma once

#include "models/text/chat_template.h"
#include "models/text/template_ast.h"

namespace ac::text {

// Errors: those of ChatTemplate::render.
Result<MarkedText> run_template(const TemplateAst& ast, const ChatTemplateInput& input);

}  // namespace ac::text
