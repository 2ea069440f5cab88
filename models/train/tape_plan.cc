// The plan of a step: pieces, what is kept and where it lies.
//
// Two clocks. The step's: forward through the pieces, then back, with a moment after each for what
// follows a piece (gradients of matrices). A piece's own: forward through its ops, then back.
// Whatever needs memory has a first and a last moment; those that do not overlap share it.
#include <algorithm>
#include <map>

#include "models/train/tape_program.h"
#include "runtime/core/check.h"

namespace ac::tape {
namespace {

constexpr size_t kAlignBytes = 64;
constexpr size_t kLocalAlignFloats = 16;

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

size_t index(int32_t i) {
  AC_CHECK(i >= 0);
  return static_cast<size_t>(i);
}

// Memory for things that live for a while: first fit, in the order of their first moments.
class Lifetimes {
 public:
  void add(size_t* offset, size_t size, size_t first, size_t last) {
    things_.push_back({offset, size, first, std::max(first, last)});
  }
  // Sets the offsets; returns the size of it all.
  size_t place() {
    std::ranges::stable_sort(things_, {}, &Thing::first);
    std::vector<const Thing*> alive;  // by offset
    size_t total = 0;
    for (const Thing& thing : things_) {
      std::erase_if(alive, [&](const Thing* other) { return other->last < thing.first; });
      size_t at = 0;
      auto before = alive.begin();
      for (; before != alive.end() && *(*before)->offset < at + thing.size; ++before) {
        at = std::max(at, *(*before)->offset + (*before)->size);
      }
      *thing.offset = at;
      alive.insert(before, &thing);
      total = std::max(total, at + thing.size);
    }
    return total;
  }

 private:
  struct Thing {
    size_t* offset;
    size_t size;
    size_t first, last;
  };
  std::vector<Thing> things_;
};

struct Moments {
  size_t first = ~size_t{0};
  size_t last = 0;
  void cover(size_t moment) {
    first = std::min(first, moment);
    last = std::max(last, moment);
  }
};

class Planner {
 public:
  Planner(Program& program, std::span<const Weight> weights, const cpu::Gemm& gemm,
          size_t chunk_rows)
      : program_(program),
        weights_(weights),
        gemm_(gemm),
        chunk_rows_(chunk_rows),
        n_ops_(program.ops.size()) {}

  void run() {
    cut_into_pieces();
    find_readers();
    own_values();
    keep_values();
    if (program_.goes_back) own_gradients();
    place_whole();
    place_local();
  }

 private:
  Op& op(size_t i) { return program_.ops[i]; }
  Variable& variable(int32_t i) { return program_.variables[index(i)]; }
  Variable& value_owner(int32_t i) { return variable(variable(i).value_owner); }
  Variable& gradient_owner(int32_t i) { return variable(variable(i).gradient_owner); }
  bool is_trained(int32_t weight) const {
    return weight >= 0 && weights_[index(weight)].gradient != nullptr;
  }
  const Piece& piece_of(size_t op_index) const { return program_.pieces[piece_of_[op_index]]; }

  void cut_into_pieces() {
    std::vector<Piece>& pieces = program_.pieces;
    pieces.clear();
    for (size_t i = 0; i < n_ops_; ++i) {
      const int32_t rows_of = op(i).output >= 0 ? op(i).output : op(i).inputs[0];
      const size_t n_rows = variable(rows_of).n_rows;
      const bool by_rows = is_by_rows(op(i).kind);
      const auto at = static_cast<int32_t>(i);
      if (!by_rows || pieces.empty() || !pieces.back().by_rows || pieces.back().n_rows != n_rows) {
        pieces.push_back({.first = at, .end = at, .by_rows = by_rows, .n_rows = n_rows});
      }
      ++pieces.back().end;
      piece_of_.push_back(pieces.size() - 1);
    }
    if (!program_.goes_back) return;
    AC_CHECK(!pieces.empty() && pieces.back().by_rows && op(n_ops_ - 1).kind == OpKind::kLoss);
    pieces.back().turns = true;
  }

  void find_readers() {
    readers_.resize(program_.variables.size());
    for (size_t i = 0; i < n_ops_; ++i) {
      for (const int32_t input : op(i).inputs) {
        if (input >= 0) readers_[index(input)].push_back(i);
      }
    }
  }

  // Ops that need the value of `v` on the way back.
  std::vector<size_t> needed_back_by(int32_t v) {
    std::vector<size_t> ops;
    if (!program_.goes_back) return ops;
    for (const size_t i : readers_[index(v)]) {
      const OpKind kind = op(i).kind;
      if (kind == OpKind::kRmsNorm || kind == OpKind::kGated || kind == OpKind::kAttend ||
          (kind == OpKind::kMatmul && is_trained(op(i).weight))) {
        ops.push_back(i);
      }
    }
    const auto maker = index(variable(v).made_by);
    if (op(maker).kind == OpKind::kSoftcap || op(maker).kind == OpKind::kAttend) {
      ops.push_back(maker);
    }
    return ops;
  }

  static bool changes_in_place(OpKind kind) {
    return kind == OpKind::kRope || kind == OpKind::kScale || kind == OpKind::kSoftcap;
  }

  void own_values() {
    for (size_t v = 0; v < program_.variables.size(); ++v) {
      Variable& each = program_.variables[v];
      const Op& maker = op(index(each.made_by));
      each.value_owner = static_cast<int32_t>(v);
      if (changes_in_place(maker.kind) && needed_back_by(maker.inputs[0]).empty()) {
        each.value_owner = variable(maker.inputs[0]).value_owner;
      }
    }
    sharers_.resize(program_.variables.size());
    for (size_t v = 0; v < program_.variables.size(); ++v) {
      sharers_[index(program_.variables[v].value_owner)].push_back(static_cast<int32_t>(v));
    }
  }

  void keep_values() {
    for (size_t v = 0; v < program_.variables.size(); ++v) {
      Variable& owner = program_.variables[v];
      if (index(owner.value_owner) != v) continue;
      const size_t maker = index(owner.made_by);
      const size_t home = piece_of_[maker];
      bool whole = !piece_of(maker).by_rows;
      bool needed_back = false;
      size_t last_needing = 0;
      for (const int32_t sharer : sharers_[v]) {
        whole = whole || (variable(sharer).readable && !program_.has_loss);
        whole = whole || piece_of_[index(variable(sharer).made_by)] != home;
        for (const size_t i : readers_[index(sharer)]) whole = whole || piece_of_[i] != home;
        for (const size_t i : needed_back_by(sharer)) {
          needed_back = true;
          last_needing = std::max(last_needing, i);
        }
      }
      if (!whole && needed_back && !piece_of(maker).turns) {
        const OpKind kind = op(maker).kind;
        if ((kind == OpKind::kRmsNorm || kind == OpKind::kGated) && sharers_[v].size() == 1) {
          op(maker).computed_again = true;
          op(maker).compute_before = static_cast<int32_t>(last_needing);
          for (const int32_t input : op(maker).inputs) {
            if (input >= 0) make_whole(input);
          }
        } else {
          whole = true;
        }
      }
      owner.value_is_whole = whole;
    }
  }

  void make_whole(int32_t v) {
    Variable& owner = value_owner(v);
    op(index(owner.made_by)).computed_again = false;
    owner.value_is_whole = true;
  }

  // Does the gradient of y, added to x by op `at`, stay what it is until y's maker has read it? The
  // maker itself must not add to it either.
  bool may_share_gradient(int32_t y, size_t at, const std::vector<int32_t>& owners) {
    if (readers_[index(y)].size() != 1) return false;
    const int32_t owner = owners[index(op(at).output)];
    for (size_t i = index(variable(y).made_by); i < at; ++i) {
      for (const int32_t input : op(i).inputs) {
        if (input >= 0 && (owners[index(input)] == owner || input == op(at).inputs[0])) {
          return false;
        }
      }
      if (op(i).output == op(at).inputs[0]) return false;
    }
    return true;
  }

  void own_gradients() {
    std::vector<int32_t> owners(program_.variables.size());
    for (size_t v = 0; v < owners.size(); ++v) owners[v] = static_cast<int32_t>(v);
    std::vector<bool> begun(owners.size(), false);
    for (size_t i = n_ops_; i-- > 0;) {
      Op& each = op(i);
      each.has_gradient =
          each.kind == OpKind::kLoss || (each.output >= 0 && begun[index(each.output)]);
      if (!each.has_gradient) continue;
      for (int32_t j = 0; j < kMaxInputs; ++j) {
        const int32_t input = each.inputs[j];
        if (input < 0) continue;
        const bool shares =
            each.kind == OpKind::kAdd
                ? (j == 0 ? !begun[index(input)] : may_share_gradient(input, i, owners))
                : changes_in_place(each.kind) && readers_[index(input)].size() == 1;
        if (shares) {
          owners[index(input)] = owners[index(each.output)];
          each.passes_on[j] = true;
        } else {
          each.assigns[j] = !begun[index(input)];
        }
        begun[index(input)] = true;
      }
    }
    // Variables without a gradient keep themselves; nothing looks at it.
    for (size_t v = 0; v < owners.size(); ++v) {
      // A chain of owners was built from its end, so one step suffices.
      program_.variables[v].gradient_owner = owners[v];
    }
    whole_gradients();
    // The gradient of the loss may take the place of what it was computed from.
    Variable& logits = variable(op(n_ops_ - 1).inputs[0]);
    const int32_t id = op(n_ops_ - 1).inputs[0];
    logits.gradient_in_value = logits.value_owner == id && sharers_[index(id)].size() == 1 &&
                               readers_[index(id)].size() == 1 && needed_back_by(id).empty() &&
                               !logits.value_is_whole && logits.gradient_owner == id &&
                               !logits.gradient_is_whole;
  }

  // The ops that read or write the gradient of a variable.
  std::vector<size_t> touching(int32_t v) {
    std::vector<size_t> ops = {index(variable(v).made_by)};
    for (const size_t i : readers_[index(v)]) {
      if (op(i).has_gradient) ops.push_back(i);
    }
    return ops;
  }

  void whole_gradients() {
    std::map<int32_t, size_t> homes;  // owner -> the piece of all that touch it
    for (size_t v = 0; v < program_.variables.size(); ++v) {
      const int32_t owner = program_.variables[v].gradient_owner;
      for (const size_t i : touching(static_cast<int32_t>(v))) {
        const auto [home, is_new] = homes.emplace(owner, piece_of_[i]);
        if (home->second != piece_of_[i] || !piece_of(i).by_rows ||
            op(i).kind == OpKind::kEmbed) {
          variable(owner).gradient_is_whole = true;
        }
      }
    }
  }

  // A piece that turns goes forward and back chunk by chunk: what it reads forward is still read when the first of
  // its chunks are on their way back.
  size_t forward_moment(size_t piece) const {
    return program_.pieces[piece].turns ? back_moment(piece) : 2 * piece;
  }
  size_t back_moment(size_t piece) const { return 2 * (2 * program_.pieces.size() - 1 - piece); }

  void place_whole() {
    Lifetimes memory;
    const size_t end = 4 * program_.pieces.size();
    std::vector<Moments> gradients(program_.variables.size());
    for (size_t v = 0; v < program_.variables.size(); ++v) {
      Variable& each = program_.variables[v];
      if (index(each.value_owner) == v && each.value_is_whole) {
        Moments moments;
        for (const int32_t sharer : sharers_[v]) {
          moments.cover(forward_moment(piece_of_[index(variable(sharer).made_by)]));
          for (const size_t i : readers_[index(sharer)]) moments.cover(forward_moment(piece_of_[i]));
          for (const size_t i : needed_back_by(sharer)) moments.cover(back_moment(piece_of_[i]));
          if (variable(sharer).readable && !program_.has_loss) moments.cover(end);
        }
        // What is computed again on the way back reads it then.
        if (program_.goes_back) {
          for (const size_t i : readers_[v]) {
            if (op(i).computed_again) moments.cover(back_moment(piece_of_[i]));
          }
        }
        memory.add(&each.value_offset, bytes(each), moments.first, moments.last);
      }
      if (!program_.goes_back) continue;
      for (const size_t i : touching(static_cast<int32_t>(v))) {
        if (!op(i).has_gradient) continue;
        Moments& moments = gradients[index(each.gradient_owner)];
        moments.cover(back_moment(piece_of_[i]));
        if (op(i).kind == OpKind::kEmbed) moments.cover(back_moment(piece_of_[i]) + 1);
      }
    }
    for (size_t v = 0; v < program_.variables.size(); ++v) {
      Variable& each = program_.variables[v];
      if (program_.goes_back && each.gradient_is_whole && index(each.gradient_owner) == v) {
        memory.add(&each.gradient_offset, bytes(each), gradients[v].first, gradients[v].last);
      }
    }
    for (size_t i = 0; i < n_ops_; ++i) place_extras(i, end, memory);
    program_.memory_bytes = memory.place();
    share_operands();
  }

  static size_t bytes(const Variable& v) {
    return round_up(v.n_rows * v.n_cols * sizeof(float), kAlignBytes);
  }

  void place_extras(size_t i, size_t end, Lifetimes& memory) {
    Op& each = op(i);
    const size_t piece = piece_of_[i];
    const size_t n_rows = program_.pieces[piece].n_rows;
    const size_t n_chunks = (n_rows + chunk_rows_ - 1) / chunk_rows_;
    if (each.kind == OpKind::kLoss) {
      memory.add(&each.sums_offset, round_up(2 * n_chunks * sizeof(double), kAlignBytes), 0, end);
      return;
    }
    if (each.kind == OpKind::kAttend) {
      const size_t n = n_rows * static_cast<size_t>(each.attend.n_heads) * sizeof(float);
      memory.add(&each.sums_offset, round_up(n, kAlignBytes), forward_moment(piece),
                 program_.goes_back ? back_moment(piece) : forward_moment(piece));
      return;
    }
    if (!each.has_gradient) return;
    const size_t back = back_moment(piece);
    const int32_t vector = each.kind == OpKind::kMatmul ? each.bias : each.weight;
    if ((each.kind == OpKind::kMatmul || each.kind == OpKind::kRmsNorm) && is_trained(vector)) {
      const size_t width = round_up(weights_[index(vector)].n_in, kLocalAlignFloats);
      memory.add(&each.partial_offset, n_chunks * width * sizeof(float), back, back + 1);
    }
    if (each.kind != OpKind::kMatmul || !is_trained(each.weight)) return;
    const auto operand = [&](size_t n) {
      return round_up(gemm_.collected_bytes(n, n_rows), kAlignBytes);
    };
    memory.add(&each.dy_operand_offset, operand(variable(each.output).n_cols), back, back + 1);
    // Matrices that read the same x share its operand; the last of them is the first on the way
    // back.
    each.collects_x = true;
    for (const size_t other : readers_[index(each.inputs[0])]) {
      if (other > i && op(other).kind == OpKind::kMatmul && op(other).has_gradient &&
          piece_of_[other] == piece && is_trained(op(other).weight)) {
        each.collects_x = false;
      }
    }
    if (each.collects_x) {
      memory.add(&each.x_operand_offset, operand(variable(each.inputs[0]).n_cols), back, back + 1);
    }
  }

  void share_operands() {
    for (size_t i = 0; i < n_ops_; ++i) {
      const Op& from = op(i);
      if (from.kind != OpKind::kMatmul || !from.collects_x) continue;
      for (const size_t other : readers_[index(from.inputs[0])]) {
        if (op(other).kind == OpKind::kMatmul && piece_of_[other] == piece_of_[i]) {
          op(other).x_operand_offset = from.x_operand_offset;
        }
      }
    }
  }

  void place_local() {
    program_.local_floats = 0;
    for (size_t p = 0; p < program_.pieces.size(); ++p) {
      if (!program_.pieces[p].by_rows) continue;
      Lifetimes memory;
      for (size_t v = 0; v < program_.variables.size(); ++v) place_local(p, v, memory);
      program_.local_floats = std::max(program_.local_floats, memory.place());
    }
  }

  void place_local(size_t p, size_t v, Lifetimes& memory) {
    const Piece& piece = program_.pieces[p];
    const auto back = [&](size_t op_index) { return 2 * index(piece.end) - op_index; };
    Variable& each = program_.variables[v];
    const size_t width = round_up(each.n_cols, kLocalAlignFloats);
    Moments gradient;
    if (program_.goes_back && index(each.gradient_owner) == v && !each.gradient_is_whole) {
      for (size_t w = 0; w < program_.variables.size(); ++w) {
        if (index(program_.variables[w].gradient_owner) != v) continue;
        for (const size_t i : touching(static_cast<int32_t>(w))) {
          if (piece_of_[i] != p || !op(i).has_gradient) continue;
          gradient.cover(op(i).kind == OpKind::kLoss ? i : back(i));
        }
      }
    }
    const bool has_gradient = gradient.first <= gradient.last;
    if (has_gradient && !each.gradient_in_value) {
      memory.add(&each.gradient_offset, width, gradient.first, gradient.last);
    }
    const size_t maker = index(each.made_by);
    if (piece_of_[maker] != p || index(each.value_owner) != v || each.value_is_whole) return;
    Moments value;
    for (const int32_t sharer : sharers_[v]) {
      value.cover(index(variable(sharer).made_by));
      for (const size_t i : readers_[index(sharer)]) value.cover(i);
      if (!piece.turns) continue;
      for (const size_t i : needed_back_by(sharer)) value.cover(back(i));
    }
    if (has_gradient && each.gradient_in_value) value.cover(gradient.last);
    memory.add(&each.value_offset, width, value.first, value.last);
    if (op(maker).computed_again) {
      Moments again;
      again.cover(back(index(op(maker).compute_before)));
      for (const size_t i : needed_back_by(static_cast<int32_t>(v))) again.cover(back(i));
      memory.add(&each.back_value_offset, width, again.first, again.last);
    }
  }

  Program& program_;
  std::span<const Weight> weights_;
  const cpu::Gemm& gemm_;
  size_t chunk_rows_;
  size_t n_ops_;
  std::vector<size_t> piece_of_;               // of each op
  std::vector<std::vector<size_t>> readers_;   // of each variable
  std::vector<std::vector<int32_t>> sharers_;  // of each owner of a value
};

}  // namespace

void make_plan(Program& program, std::span<const Weight> weights, const cpu::Gemm& gemm,
               size_t chunk_rows) {
  Planner(program, weights, gemm, chunk_rows).run();
}

}  // namespace ac::tape
