#include "runtime/cli/line_reader.h"

#include <histedit.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <cstdlib>

#include "runtime/cli/terminal.h"

namespace ac::cli {

struct LineReader::Editor {
  EditLine* line = nullptr;
  History* history = nullptr;
  const char* prompt = "";
  bool cleared = false;

  static Editor* of(EditLine* line) {
    void* self = nullptr;
    el_get(line, EL_CLIENTDATA, &self);
    return static_cast<Editor*>(self);
  }
  static char* show_prompt(EditLine* line) { return const_cast<char*>(of(line)->prompt); }
  static unsigned char on_control_c(EditLine* line, int) {
    of(line)->cleared = true;
    return CC_NEWLINE;
  }
};

LineReader::LineReader() {
  if (!stdin_is_terminal() || isatty(STDOUT_FILENO) != 1) return;
  // libedit reads whole characters only where the locale has UTF-8; numbers stay as they are.
  if (std::setlocale(LC_CTYPE, "") == nullptr || MB_CUR_MAX == 1)
    std::setlocale(LC_CTYPE, "C.UTF-8");
  auto editor = std::make_unique<Editor>();
  editor->line = el_init("agentcompress", stdin, stdout, stderr);
  editor->history = history_init();
  if (editor->line == nullptr || editor->history == nullptr) return;
  HistEvent event;
  history(editor->history, &event, H_SETSIZE, 1000);
  history(editor->history, &event, H_SETUNIQUE, 1);
  EditLine* line = editor->line;
  el_set(line, EL_CLIENTDATA, editor.get());
  el_set(line, EL_PROMPT, &Editor::show_prompt);
  el_set(line, EL_EDITOR, "emacs");
  el_set(line, EL_HIST, history, editor->history);
  el_set(line, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  // While a line is edited, Ctrl-C is a key and not a signal.
  el_set(line, EL_SETTY, "-d", "-isig", nullptr);
  // Wide, because of narrow names libedit keeps copies that it never frees.
  el_wset(line, EL_ADDFN, L"ac-clear", L"forget the line", &Editor::on_control_c);
  el_set(line, EL_BIND, "^C", "ac-clear", nullptr);
  editor_ = std::move(editor);
}

LineReader::~LineReader() {
  if (editor_ == nullptr) return;
  el_end(editor_->line);
  history_end(editor_->history);
}

std::optional<LineReader::Line> LineReader::read(const char* prompt) {
  Line out;
  if (editor_ == nullptr) {
    char* text = nullptr;
    size_t capacity = 0;
    const ssize_t n_bytes = getline(&text, &capacity, stdin);
    if (n_bytes > 0) out.text.assign(text, static_cast<size_t>(n_bytes));
    std::free(text);
    if (n_bytes <= 0) return std::nullopt;
  } else {
    editor_->prompt = prompt;
    editor_->cleared = false;
    // el_gets shows the prompt and only then prepares the terminal: a Ctrl-C in between would be a
    // signal, and throw away what was typed.
    el_set(editor_->line, EL_PREP_TERM, 1);
    int n_chars = 0;
    const char* text = el_gets(editor_->line, &n_chars);
    out.cleared = editor_->cleared;
    if (out.cleared) std::fputs("^C\n", stdout);
    if (text == nullptr || n_chars <= 0) {
      if (out.cleared) return out;
      std::fputs("\n", stdout);
      std::fflush(stdout);
      return std::nullopt;
    }
    out.text = text;
    if (!out.cleared && out.text.find_first_not_of(" \n") != std::string::npos) {
      HistEvent event;
      history(editor_->history, &event, H_ENTER, text);
    }
  }
  if (out.text.ends_with('\n')) out.text.pop_back();
  if (out.text.ends_with('\r')) out.text.pop_back();
  return out;
}

}  // namespace ac::cli
