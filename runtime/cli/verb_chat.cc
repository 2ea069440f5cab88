// chat: a conversation. Ctrl-C stops an answer or forgets a line, Ctrl-D leaves.
#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>

#include "runtime/cli/line_reader.h"
#include "runtime/cli/setup.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/file.h"
#include "runtime/core/json.h"
#include "runtime/core/log.h"
#include "runtime/core/nearest.h"

namespace ac::cli {
namespace {

constexpr std::array kOptions = {kModelOption, kVariantOption, kLocalOption, kRemoteOption,
                                 kSystemOption};
constexpr std::string_view kQuotes = "\"\"\"";

class Chat {
 public:
  Chat(const Settings& settings, Router& router, std::optional<std::string> pin)
      : settings_(settings), router_(router), pin_(std::move(pin)) {}

  void set_system(std::string text) { system_ = std::move(text); }
  void loop();

 private:
  struct Command {
    std::string_view name;
    std::string_view argument;
    std::string_view help;
    bool (Chat::*run)(const std::string& argument);  // false: leave
  };
  static std::span<const Command> commands();

  bool obey(std::string_view line);
  void ask(std::string text);
  // False: there is no answer, and messages_ is as it was.
  bool answer(const std::optional<std::string>& pin);

  bool help(const std::string&);
  bool model(const std::string& argument);
  bool why(const std::string&);
  bool retry(const std::string& argument);
  bool good(const std::string& argument);
  bool bad(const std::string& argument);
  bool judge(bool good);
  bool save(const std::string& argument);
  bool system(const std::string& argument);
  bool clear(const std::string&);
  bool bye(const std::string&) { return false; }

  const Settings& settings_;
  Router& router_;
  std::optional<std::string> pin_;
  std::string system_;
  std::vector<ChatMessage> messages_;  // without the system's
  std::optional<Receipt> receipt_;     // of the last answer
};

std::span<const Chat::Command> Chat::commands() {
  static constexpr std::array kCommands = {
      Command{"/help", "", "show this", &Chat::help},
      Command{"/model", "[ID|local|remote|auto]", "who answers from here on; alone: who could",
              &Chat::model},
      Command{"/why", "", "why the last answer came from where it came from", &Chat::why},
      Command{"/retry", "[ID|local|remote]", "answer the last question again", &Chat::retry},
      Command{"/good", "", "the last local answer was right: learn from it", &Chat::good},
      Command{"/bad", "", "it was wrong", &Chat::bad},
      Command{"/system", "[TEXT]", "instructions that precede the conversation; alone: show them",
              &Chat::system},
      Command{"/clear", "", "forget the conversation", &Chat::clear},
      Command{"/save", "FILE", "write the conversation as JSON", &Chat::save},
      Command{"/bye", "", "leave (or Ctrl-D)", &Chat::bye},
  };
  return kCommands;
}

// Lines between """ and """ are one message.
struct Message {
  std::string text;
  bool complete = true;  // false: Ctrl-C or the end of input in the middle
};

Message read_quoted(LineReader& reader, std::string first) {
  Message message{first.substr(kQuotes.size()), true};
  while (true) {
    if (const size_t end = message.text.find(kQuotes); end != std::string::npos) {
      message.text.resize(end);
      return message;
    }
    const auto line = reader.read("... ");
    if (!line || line->cleared) return {"", false};
    if (!message.text.empty()) message.text += '\n';
    message.text += line->text;
  }
}

void Chat::loop() {
  LineReader reader;
  while (output().usable()) {
    auto line = reader.read(">>> ");
    if (!line) break;
    if (line->cleared || line->text.find_first_not_of(" \t") == std::string::npos) continue;
    if (line->text.starts_with(kQuotes)) {
      Message message = read_quoted(reader, line->text);
      if (message.complete && !message.text.empty()) ask(std::move(message.text));
    } else if (line->text[0] == '/') {
      if (!obey(line->text)) break;
    } else {
      ask(std::move(line->text));
    }
    output().flush();
  }
}

bool Chat::obey(std::string_view line) {
  const std::string_view name = line.substr(0, line.find(' '));
  std::string_view argument = line.substr(name.size());
  argument.remove_prefix(std::min(argument.find_first_not_of(' '), argument.size()));
  std::vector<std::string_view> names;
  for (const Command& command : commands()) {
    names.push_back(command.name);
    if (command.name == name) return (this->*command.run)(std::string(argument));
  }
  note_line(
      fmt::format("unknown command '{}'{} (/help lists them)", name, did_you_mean(name, names)));
  return true;
}

void Chat::ask(std::string text) {
  messages_.push_back({"user", std::move(text)});
  // A question without an answer is taken back: asking again must not send it twice.
  if (!answer(pin_)) messages_.pop_back();
}

bool Chat::answer(const std::optional<std::string>& pin) {
  RouteRequest request;
  if (!system_.empty()) request.messages.push_back({"system", system_});
  request.messages.insert(request.messages.end(), messages_.begin(), messages_.end());
  request.options = generate_options(settings_);
  Waiting waiting("thinking");
  request.options.on_text = [&](std::string_view piece) {
    waiting.stop();
    return output().write_untrusted(piece) && output().flush();
  };
  request.pin = pin;
  watch_interrupts(SecondInterrupt::kRaisesFlag);
  auto answered = router_.answer(request);
  waiting.stop();
  if (!answered) {
    log_line(LogLevel::kError, answered.error().message);
    return false;
  }
  output().write("\n");
  output().flush();
  if (answered->interrupted) log_line(LogLevel::kError, answered->interrupted->message);
  note_line(answered->receipt.format_line());
  receipt_ = answered->receipt;
  messages_.push_back({"assistant", std::move(answered->text)});
  return true;
}

bool Chat::help(const std::string&) {
  for (const Command& command : commands()) {
    print("  {:<32}{}\n", fmt::format("{} {}", command.name, command.argument), command.help);
  }
  print("  {:<32}{}\n", "\"\"\"", "begins and ends a message of several lines");
  return true;
}

bool Chat::model(const std::string& argument) {
  RouteRequest request;
  request.messages.push_back({"user", "?"});
  if (argument.empty()) {
    const auto decision = router_.decide(request);
    if (!decision) {
      log_line(LogLevel::kError, decision.error().message);
      return true;
    }
    for (const Candidate& candidate : decision->candidates) print("  {}\n", candidate.id);
    if (!settings_.text("remote.url").empty() && !settings_.yes("privacy.offline"))
      print("  remote\n");
    print("now: {}\n", pin_.value_or("auto"));
    return true;
  }
  if (argument == "auto") {
    pin_.reset();
    return true;
  }
  // The policy knows what can be pinned.
  request.pin = argument;
  const auto decision = router_.decide(request);
  if (decision) {
    pin_ = argument;
  } else {
    log_line(LogLevel::kError, decision.error().message);
  }
  return true;
}

bool Chat::why(const std::string&) {
  if (!receipt_) {
    print("nothing was answered yet\n");
    return true;
  }
  print("{}: {} ({})\n", receipt_->model, route_reason_name(receipt_->reason),
        reason_words(receipt_->reason));
  if (receipt_->confidence) {
    print("predicted success {:.3f}, threshold {:g}\n", *receipt_->confidence,
          settings_.number("route.confidence_threshold"));
  }
  if (receipt_->degraded) print("the full model was wanted: {}\n", receipt_->degraded_cause);
  return true;
}

bool Chat::retry(const std::string& argument) {
  if (messages_.empty()) {
    print("nothing was asked yet\n");
    return true;
  }
  ChatMessage before = std::move(messages_.back());  // the last is always an answer
  messages_.pop_back();
  if (!answer(argument.empty() ? pin_ : std::optional(argument))) {
    messages_.push_back(std::move(before));
  }
  return true;
}

bool Chat::good(const std::string&) { return judge(true); }
bool Chat::bad(const std::string&) { return judge(false); }

bool Chat::judge(bool good) {
  if (const Status judged = router_.judge_last(good); !judged) {
    log_line(LogLevel::kError, judged.error().message);
  } else {
    note_line("learned; agentcompress predictor learned --undo 1 takes it back");
  }
  return true;
}

bool Chat::save(const std::string& argument) {
  if (argument.empty()) {
    note_line("expected /save FILE");
    return true;
  }
  OrderedJson object{{"messages", OrderedJson::array()}};
  const auto add = [&](std::string_view role, std::string_view content) {
    object["messages"].push_back(OrderedJson{{"role", role}, {"content", content}});
  };
  if (!system_.empty()) add("system", system_);
  for (const ChatMessage& message : messages_) add(message.role, message.content);
  const Status status = write_file(argument, json_line(object) + "\n");
  if (status) {
    note_line(fmt::format("{}: {} messages", argument, object["messages"].size()));
  } else {
    log_line(LogLevel::kError, status.error().message);
  }
  return true;
}

bool Chat::system(const std::string& argument) {
  if (argument.empty()) {
    print("{}\n", system_.empty() ? "none" : system_);
  } else {
    system_ = argument;
  }
  return true;
}

bool Chat::clear(const std::string&) {
  messages_.clear();
  receipt_.reset();
  return true;
}

Result<int> run(const Invocation& invocation) {
  AC_TRY(const Settings settings, invocation.load_settings());
  AC_TRY(std::optional<std::string> pin, pinned(invocation));
  AC_TRY(const std::unique_ptr<Router> router, make_router(invocation, settings));
  Chat chat(settings, *router, std::move(pin));
  if (auto text = invocation.value("--system")) chat.set_system(*std::move(text));
  if (stdin_is_terminal()) note_line("agentcompress chat: /help lists commands, Ctrl-D leaves");
  chat.loop();
  return 0;
}

}  // namespace

constinit const Verb kChat = {
    .name = "chat",
    .summary = "a conversation in the terminal",
    .options = kOptions,
    .sections = "engine generate route budget ledger cost remote privacy log",
    .run = run,
};

}  // namespace ac::cli
