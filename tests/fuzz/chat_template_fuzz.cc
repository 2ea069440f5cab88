// Any bytes as a chat template; the words of the conversation must stay words.
#include <cstdlib>
#include <string>

#include "models/text/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string source(reinterpret_cast<const char*>(data), size);
  const auto made = ac::ChatTemplate::parse(source);
  if (!made) return 0;
  const ac::ChatTemplateInput input = {.messages = {{"system", " \x01 "},
                                                    {"user", "\x01\x02"},
                                                    {"assistant", "\x01\n"},
                                                    {"user", ""}},
                                       .bos_token = "<s>",
                                       .eos_token = "</s>"};
  const auto rendered = made->render(input);
  if (!rendered) return 0;
  size_t at = 0;
  for (const ac::ByteRange& range : rendered->literal) {
    if (range.begin < at || range.begin >= range.end || range.end > rendered->text.size())
      std::abort();
    at = range.end;
    // The control characters of the messages are the template's only where it writes them itself.
    if (source.find('\x01') != std::string::npos || source.find('\\') != std::string::npos)
      continue;
    if (rendered->text.find('\x01', range.begin) < range.end) std::abort();
  }
  return 0;
}
