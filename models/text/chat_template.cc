#include "models/text/chat_template.h"

#include "models/text/template_ast.h"
#include "models/text/template_interpreter.h"

namespace ac {

struct ChatTemplate::Program {
  text::TemplateAst ast;
};

ChatTemplate::ChatTemplate(std::unique_ptr<Program> program) : program_(std::move(program)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::parse(std::string_view source) {
  Result<text::TemplateAst> ast = text::parse_template(source);
  if (!ast) return with_context(ast.error(), "chat template");
  auto program = std::make_unique<Program>(Program{std::move(*ast)});
  return ChatTemplate(std::move(program));
}

Result<MarkedText> ChatTemplate::render(const ChatTemplateInput& input) const {
  return text::run_template(program_->ast, input);
}

}  // namespace ac
