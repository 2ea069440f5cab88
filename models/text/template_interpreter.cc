#include "models/text/template_interpreter.h"

#include <algorithm>
#include <array>

#include "models/text/template_operations.h"

namespace ac::text {
namespace {

constexpr uint64_t kMaxSteps = 1'000'000;
constexpr int kMaxMacroDepth = 16;
constexpr uint64_t kOutputPerInput = 16;
constexpr uint64_t kOutputBase = 64u << 10;
constexpr auto kTemplate = MarkedString::Source::kTemplate;
constexpr auto kWords = MarkedString::Source::kWords;

Error bad(std::string message) { return Error{ErrorCode::kInvalidArgument, std::move(message)}; }
Error unsupported(std::string message) {
  return Error{ErrorCode::kUnsupported, std::move(message)};
}

uint64_t input_bytes(const TemplateAst& ast, const ChatTemplateInput& input) {
  uint64_t n = ast.source_bytes + input.bos_token.size() + input.eos_token.size();
  for (const ChatMessage& message : input.messages)
    n += message.role.size() + message.content.size();
  return n;
}

// Templates put the role inside marks (<|user|>), which count only where a template wrote them.
bool well_known_role(std::string_view role) {
  constexpr std::array<std::string_view, 7> kRoles = {"system",    "user",     "assistant", "tool",
                                                      "developer", "function", "model"};
  return std::find(kRoles.begin(), kRoles.end(), role) != kRoles.end();
}

enum class Flow { kOn, kBreak, kContinue };

class Interpreter {
 public:
  Interpreter(const TemplateAst& ast, const ChatTemplateInput& input)
      : ast_(ast),
        input_(input),
        max_output_bytes_(kOutputPerInput * input_bytes(ast, input) + kOutputBase),
        budget_(kMaxSteps, max_output_bytes_) {}
  ~Interpreter() {
    // Namespaces can hold each other; emptied, they are freed one by one.
    for (const auto& space : namespaces_) space->entries.clear();
  }
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  Result<MarkedText> run() {
    scopes_.push_back({0, {}});
    std::vector<Value> messages;
    for (const ChatMessage& message : input_.messages) {
      const auto role_source = well_known_role(message.role) ? kTemplate : kWords;
      std::vector<std::pair<MarkedString, Value>> entries;
      entries.emplace_back(MarkedString("role", kTemplate),
                           Value::text(MarkedString(message.role, role_source)));
      entries.emplace_back(MarkedString("content", kTemplate),
                           Value::text(MarkedString(message.content, kWords)));
      AC_TRY(Value dict, make_dict(std::move(entries), budget_));
      messages.push_back(std::move(dict));
    }
    AC_TRY(Value list, make_list(std::move(messages), budget_));
    set("messages", std::move(list));
    set("add_generation_prompt", Value(input_.add_generation_prompt));
    set("bos_token", Value::text(MarkedString(input_.bos_token, kTemplate)));
    set("eos_token", Value::text(MarkedString(input_.eos_token, kTemplate)));
    set("tools", Value(None{}));
    set("documents", Value(None{}));
    set("raise_exception", Callable{Callable::Kind::kRaiseException});
    set("strftime_now", Callable{Callable::Kind::kStrftimeNow});
    set("namespace", Callable{Callable::Kind::kNamespace});
    set("range", Callable{Callable::Kind::kRange});
    set("dict", Callable{Callable::Kind::kDict});
    MarkedString out;
    out_ = &out;
    // Variables of the template live above the ones it was given.
    scopes_.push_back({0, {}});
    AC_TRY([[maybe_unused]] const Flow flow, execute(ast_.root));
    return std::move(out).take();
  }

 private:
  struct Scope {
    size_t parent;
    std::vector<std::pair<std::string_view, Value>> variables;
  };

  const Node& node(uint32_t id) const { return ast_.nodes[id]; }
  Error located(Error error, const Node& at) const {
    return with_context(std::move(error),
                        fmt::format("chat template, line {}, column {}", at.at.line, at.at.column));
  }

  // --- variables

  void set(std::string_view name, Value value) {
    auto& variables = scopes_.back().variables;
    for (auto& [each, held] : variables) {
      if (each == name) {
        held = std::move(value);
        return;
      }
    }
    variables.emplace_back(name, std::move(value));
  }

  Value lookup(std::string_view name) const {
    for (size_t i = scopes_.size() - 1;; i = scopes_[i].parent) {
      for (const auto& [each, value] : scopes_[i].variables) {
        if (each == name) return value;
      }
      if (i == 0) return Undefined{std::string(name)};
    }
  }

  Status assign(uint32_t target_id, const Value& value) {
    const Node& target = node(target_id);
    if (target.kind == NodeKind::kName) {
      set(ast_.text(target), value);
      return {};
    }
    const Value object = lookup(ast_.text(node(ast_.child(target, 0))));
    const auto* space = object.as<std::shared_ptr<Namespace>>();
    if (space == nullptr) {
      return located(bad(fmt::format("attributes can be set on a namespace only, not on {}",
                                     object.type_name())),
                     target);
    }
    auto& entries = (*space)->entries;
    const auto it = std::find_if(entries.begin(), entries.end(), [&](const auto& entry) {
      return entry.first == ast_.text(target);
    });
    if (it != entries.end()) {
      it->second = value;
    } else {
      entries.emplace_back(ast_.text(target), value);
    }
    return budget_.spend(entries.size() / 16);
  }

  // One value to one target, or its elements to several. The targets are the children from `first`
  // on.
  Status assign_all(const Node& at, uint32_t first, const Value& value) {
    const uint32_t n_targets = at.n_children - first;
    if (n_targets == 1) return assign(ast_.child(at, first), value);
    AC_TRY(const std::vector<Value> parts, elements_of(value, budget_));
    if (parts.size() != n_targets) {
      return located(bad(fmt::format("{} values for {} names", parts.size(), n_targets)), at);
    }
    for (uint32_t i = 0; i < n_targets; ++i) {
      AC_TRY_STATUS(assign(ast_.child(at, first + i), parts[i]));
    }
    return {};
  }

  // --- statements

  Result<Flow> execute(uint32_t id) {
    const Node& n = node(id);
    if (Status spent = budget_.spend(1); !spent) return located(spent.error(), n);
    switch (n.kind) {
      case NodeKind::kBody:
        for (uint32_t i = 0; i < n.n_children; ++i) {
          AC_TRY(const Flow flow, execute(ast_.child(n, i)));
          if (flow != Flow::kOn) return flow;
        }
        return Flow::kOn;
      case NodeKind::kText:
        AC_TRY_STATUS(write(n, MarkedString(ast_.text(n), kTemplate)));
        return Flow::kOn;
      case NodeKind::kPrint: {
        AC_TRY(const Value value, evaluate(ast_.child(n, 0)));
        Result<MarkedString> text = printed(value, budget_);
        if (!text) return located(text.error(), n);
        AC_TRY_STATUS(write(n, *text));
        return Flow::kOn;
      }
      case NodeKind::kIf:
        for (uint32_t i = 0; i + 1 < n.n_children; i += 2) {
          AC_TRY(const Value condition, evaluate(ast_.child(n, i)));
          if (condition.truthy()) return execute(ast_.child(n, i + 1));
        }
        return n.n_children % 2 == 0 ? Flow::kOn : execute(ast_.child(n, n.n_children - 1));
      case NodeKind::kFor:
        return loop(n);
      case NodeKind::kSet: {
        AC_TRY(const Value value, evaluate(ast_.child(n, 0)));
        AC_TRY_STATUS(assign_all(n, 1, value));
        return Flow::kOn;
      }
      case NodeKind::kSetBlock: {
        AC_TRY(Value value, capture(ast_.child(n, 0)));
        AC_TRY_STATUS(assign(ast_.child(n, 1), value));
        return Flow::kOn;
      }
      case NodeKind::kMacro:
        set(ast_.text(n), Callable{Callable::Kind::kMacro, id});
        return Flow::kOn;
      case NodeKind::kBreak:
        return Flow::kBreak;
      case NodeKind::kContinue:
        return Flow::kContinue;
      default:
        AC_CHECK(false);
    }
    return Flow::kOn;
  }

  Status write(const Node& at, const MarkedString& text) {
    Status spent = budget_.spend_bytes(text.size());
    if (spent && out_->size() + text.size() > max_output_bytes_) {
      spent =
          unsupported(fmt::format("the output passes the limit of {} bytes", max_output_bytes_));
    }
    if (!spent) return located(spent.error(), at);
    out_->append(text);
    return {};
  }

  // What a body writes, as a string.
  Result<Value> capture(uint32_t body) {
    MarkedString text;
    MarkedString* const outer = std::exchange(out_, &text);
    const Result<Flow> flow = execute(body);
    out_ = outer;
    if (!flow) return flow.error();
    return Value::text(std::move(text));
  }

  Result<Flow> loop(const Node& n) {
    AC_TRY(const Value iterable, evaluate(ast_.child(n, 0)));
    Result<std::vector<Value>> elements = elements_of(iterable, budget_);
    if (!elements) return located(elements.error(), n);
    std::vector<Value> items = std::move(*elements);
    const size_t outer = scopes_.size();
    const uint32_t condition_id = ast_.child(n, 1);
    if (node(condition_id).kind != NodeKind::kNothing) {
      std::vector<Value> kept;
      for (const Value& item : items) {
        scopes_.push_back({outer - 1, {}});
        const Status assigned = assign_all(n, 4, item);
        const Result<Value> condition = assigned ? evaluate(condition_id) : assigned.error();
        scopes_.resize(outer);
        if (!condition) return condition.error();
        if (condition->truthy()) kept.push_back(item);
      }
      items = std::move(kept);
    }
    const uint32_t otherwise = ast_.child(n, 3);
    if (items.empty()) {
      if (node(otherwise).kind == NodeKind::kNothing) return Flow::kOn;
      return execute(otherwise);
    }
    Result<Value> made = make_list(std::move(items), budget_);
    if (!made) return located(made.error(), n);
    const auto all = *made->as<std::shared_ptr<const List>>();
    for (size_t i = 0; i < all->items.size(); ++i) {
      scopes_.push_back({outer - 1, {}});
      set("loop", Value(std::make_shared<const Loop>(Loop{all, i})));
      const Status assigned = assign_all(n, 4, all->items[i]);
      const Result<Flow> flow = assigned ? execute(ast_.child(n, 2)) : assigned.error();
      scopes_.resize(outer);
      if (!flow) return flow.error();
      if (*flow == Flow::kBreak) break;
    }
    return Flow::kOn;
  }

  // --- expressions

  Result<Value> evaluate(uint32_t id) {
    const Node& n = node(id);
    if (Status spent = budget_.spend(1); !spent) return located(spent.error(), n);
    Result<Value> value = value_of(n);
    // The innermost place that failed is the one to name.
    if (!value && !value.error().message.starts_with("chat template, line ") && !raised_) {
      return located(value.error(), n);
    }
    return value;
  }

  Result<Value> value_of(const Node& n) {
    switch (n.kind) {
      case NodeKind::kNothing:
      case NodeKind::kNone:
        return Value(None{});
      case NodeKind::kBool:
        return Value(n.number != 0);
      case NodeKind::kInteger:
        return Value(n.number);
      case NodeKind::kFloat:
        return Value(n.real);
      case NodeKind::kString:
        AC_TRY_STATUS(budget_.spend_bytes(ast_.text(n).size()));
        return Value::text(MarkedString(ast_.text(n), kTemplate));
      case NodeKind::kName:
        return lookup(ast_.text(n));
      case NodeKind::kList: {
        AC_TRY(std::vector<Value> items, evaluate_all(n, 0));
        return make_list(std::move(items), budget_);
      }
      case NodeKind::kDict:
        return dict(n);
      case NodeKind::kAttribute: {
        AC_TRY(const Value object, evaluate(ast_.child(n, 0)));
        return attribute(object, ast_.text(n));
      }
      case NodeKind::kItem: {
        AC_TRY(const Value object, evaluate(ast_.child(n, 0)));
        AC_TRY(const Value index, evaluate(ast_.child(n, 1)));
        return item(object, index, budget_);
      }
      case NodeKind::kSlice: {
        AC_TRY(const std::vector<Value> parts, evaluate_all(n, 0));
        return slice(parts, budget_);
      }
      case NodeKind::kCall:
        return call(n);
      case NodeKind::kFilter: {
        AC_TRY(const Value input, evaluate(ast_.child(n, 0)));
        AC_TRY(const Arguments arguments, arguments_of(n));
        return apply_filter(ast_.text(n), input, arguments, budget_);
      }
      case NodeKind::kTest: {
        AC_TRY(const Value input, evaluate(ast_.child(n, 0)));
        AC_TRY(const Arguments arguments, arguments_of(n));
        AC_TRY(const bool holds, apply_test(ast_.text(n), input, arguments, budget_));
        return Value(holds);
      }
      case NodeKind::kNot: {
        AC_TRY(const Value operand, evaluate(ast_.child(n, 0)));
        return Value(!operand.truthy());
      }
      case NodeKind::kNegate: {
        AC_TRY(const Value operand, evaluate(ast_.child(n, 0)));
        if (int64_t i; operand.as_integer(i) && i != INT64_MIN) return Value(-i);
        if (const auto* d = operand.as<double>()) return Value(-*d);
        return bad(fmt::format("{} has no negative", operand.type_name()));
      }
      case NodeKind::kChoice: {
        AC_TRY(const Value condition, evaluate(ast_.child(n, 0)));
        if (condition.truthy()) return evaluate(ast_.child(n, 1));
        if (node(ast_.child(n, 2)).kind == NodeKind::kNothing) return Value();
        return evaluate(ast_.child(n, 2));
      }
      case NodeKind::kAnd:
      case NodeKind::kOr:
        for (uint32_t i = 0;; ++i) {
          AC_TRY(Value operand, evaluate(ast_.child(n, i)));
          if (i + 1 == n.n_children || operand.truthy() == (n.kind == NodeKind::kOr))
            return operand;
        }
      case NodeKind::kCompare:
        return comparison(n);
      case NodeKind::kSum:
      case NodeKind::kProduct: {
        AC_TRY(Value total, evaluate(ast_.child(n, 0)));
        for (uint32_t i = 1; i < n.n_children; ++i) {
          AC_TRY(const Value operand, evaluate(ast_.child(n, i)));
          const char op = ast_.text(n)[i - 1];
          AC_TRY(total, n.kind == NodeKind::kSum ? sum(total, operand, op, budget_)
                                                 : product(total, operand, op, budget_));
        }
        return total;
      }
      case NodeKind::kConcat: {
        MarkedString text;
        for (uint32_t i = 0; i < n.n_children; ++i) {
          AC_TRY(const Value operand, evaluate(ast_.child(n, i)));
          AC_TRY(const MarkedString part, printed(operand, budget_));
          text.append(part);
        }
        AC_TRY_STATUS(budget_.spend_bytes(text.size()));
        return Value::text(std::move(text));
      }
      default:
        AC_CHECK(false);
    }
    return Value();
  }

  Result<std::vector<Value>> evaluate_all(const Node& n, uint32_t first) {
    std::vector<Value> values;
    for (uint32_t i = first; i < n.n_children; ++i) {
      AC_TRY(Value value, evaluate(ast_.child(n, i)));
      values.push_back(std::move(value));
    }
    return values;
  }

  // The children after the first.
  Result<Arguments> arguments_of(const Node& n) {
    Arguments arguments;
    for (uint32_t i = 1; i < n.n_children; ++i) {
      const Node& each = node(ast_.child(n, i));
      if (each.kind == NodeKind::kKeyword) {
        AC_TRY(Value value, evaluate(ast_.child(each, 0)));
        arguments.named.emplace_back(ast_.text(each), std::move(value));
      } else {
        AC_TRY(Value value, evaluate(ast_.child(n, i)));
        arguments.positional.push_back(std::move(value));
      }
    }
    return arguments;
  }

  Result<Value> dict(const Node& n) {
    std::vector<std::pair<MarkedString, Value>> entries;
    for (uint32_t i = 0; i + 1 < n.n_children; i += 2) {
      AC_TRY(const Value key, evaluate(ast_.child(n, i)));
      AC_TRY(Value value, evaluate(ast_.child(n, i + 1)));
      if (key.as_text() == nullptr)
        return unsupported("a mapping's key that is not a string is not supported");
      entries.emplace_back(*key.as_text(), std::move(value));
    }
    return make_dict(std::move(entries), budget_);
  }

  Result<Value> comparison(const Node& n) {
    AC_TRY(Value left, evaluate(ast_.child(n, 0)));
    for (uint32_t i = 1; i < n.n_children; ++i) {
      AC_TRY(Value right, evaluate(ast_.child(n, i)));
      AC_TRY(const bool holds, compare(left, right, ast_.text(n)[i - 1], budget_));
      if (!holds) return Value(false);
      left = std::move(right);
    }
    return Value(true);
  }

  // --- calls

  Result<Value> call(const Node& n) {
    const Node& callee = node(ast_.child(n, 0));
    if (callee.kind == NodeKind::kAttribute) {
      AC_TRY(const Value object, evaluate(ast_.child(callee, 0)));
      const std::string& name = ast_.text(callee);
      if (is_method(object, name)) {
        AC_TRY(const Arguments arguments, arguments_of(n));
        return call_method(object, name, arguments, budget_);
      }
      const auto* state = object.as<std::shared_ptr<const Loop>>();
      if (state != nullptr && name == "cycle" && n.n_children > 1) {
        AC_TRY(const Arguments arguments, arguments_of(n));
        if (arguments.positional.empty()) return bad("loop.cycle() wants values");
        return arguments.positional[(*state)->index0 % arguments.positional.size()];
      }
      AC_TRY(const Value value, attribute(object, name));
      if (value.is_undefined() && !(object.as_dict() != nullptr)) {
        return unsupported(
            fmt::format("the method '{}' of {} is not supported", name, object.type_name()));
      }
      return call_value(value, n);
    }
    AC_TRY(const Value value, evaluate(ast_.child(n, 0)));
    return call_value(value, n);
  }

  Result<Value> call_value(const Value& value, const Node& n) {
    if (value.is_undefined()) return undefined(value);
    const auto* callable = value.as<Callable>();
    if (callable == nullptr) return bad(fmt::format("{} cannot be called", value.type_name()));
    AC_TRY(Arguments arguments, arguments_of(n));
    switch (callable->kind) {
      case Callable::Kind::kMacro:
        return call_macro(node(callable->macro), arguments);
      case Callable::Kind::kRaiseException: {
        const Value* words = arguments.get(0, "message");
        AC_TRY(const MarkedString text, printed(words == nullptr ? Value() : *words, budget_));
        raised_ = true;
        return bad(std::string(text.bytes()));
      }
      case Callable::Kind::kStrftimeNow:
        return strftime_now(arguments, input_.clock != nullptr ? *input_.clock : system_clock());
      case Callable::Kind::kNamespace: {
        if (!arguments.positional.empty())
          return unsupported("namespace() of a mapping is not supported");
        auto space = std::make_shared<Namespace>();
        for (auto& [name, held] : arguments.named)
          space->entries.emplace_back(name, std::move(held));
        namespaces_.push_back(space);
        return Value(std::move(space));
      }
      case Callable::Kind::kDict: {
        if (!arguments.positional.empty()) return unsupported("dict() of a value is not supported");
        std::vector<std::pair<MarkedString, Value>> entries;
        for (auto& [name, held] : arguments.named) {
          entries.emplace_back(MarkedString(name, kTemplate), std::move(held));
        }
        return make_dict(std::move(entries), budget_);
      }
      case Callable::Kind::kRange:
        return range(arguments, budget_);
    }
    return Value();
  }

  Result<Value> call_macro(const Node& macro, const Arguments& arguments) {
    if (macro_depth_ == kMaxMacroDepth)
      return unsupported("macros that call each other this deep are not supported");
    if (arguments.positional.size() > macro.n_children - 1) {
      return bad(
          fmt::format("the macro '{}' takes {} arguments", ast_.text(macro), macro.n_children - 1));
    }
    for (const auto& [name, value] : arguments.named) {
      const auto takes = [&](std::string_view wanted) {
        for (uint32_t i = 1; i < macro.n_children; ++i) {
          if (ast_.text(node(ast_.child(macro, i))) == wanted) return true;
        }
        return false;
      };
      if (!takes(name))
        return bad(fmt::format("the macro '{}' has no argument '{}'", ast_.text(macro), name));
    }
    // A macro sees its arguments and the variables of the template's outermost level.
    const size_t outer = scopes_.size();
    scopes_.push_back({1, {}});
    ++macro_depth_;
    Result<Value> result = bind(macro, arguments);
    if (result) result = capture(ast_.child(macro, 0));
    --macro_depth_;
    scopes_.resize(outer);
    return result;
  }

  Result<Value> bind(const Node& macro, const Arguments& arguments) {
    for (uint32_t i = 1; i < macro.n_children; ++i) {
      const Node& parameter = node(ast_.child(macro, i));
      const std::string& name = ast_.text(parameter);
      if (const Value* given = arguments.get(i - 1, name)) {
        set(name, *given);
      } else if (parameter.kind == NodeKind::kKeyword) {
        AC_TRY(Value value, evaluate(ast_.child(parameter, 0)));
        set(name, std::move(value));
      } else {
        set(name, Undefined{name});
      }
    }
    return Value();
  }

  const TemplateAst& ast_;
  const ChatTemplateInput& input_;
  uint64_t max_output_bytes_;
  Budget budget_;
  std::vector<Scope> scopes_;  // [0] what the template was given, [1] its outermost level
  MarkedString* out_ = nullptr;
  std::vector<std::shared_ptr<Namespace>> namespaces_;
  int macro_depth_ = 0;
  bool raised_ = false;  // the template's own words are the error
};

}  // namespace

Result<MarkedText> run_template(const TemplateAst& ast, const ChatTemplateInput& input) {
  return Interpreter(ast, input).run();
}

}  // namespace ac::text
