// SPDX-License-Identifier: Apache-2.0
#include "schemas/ovsdb/mutation.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "schemas/json.h"
#include "schemas/ovsdb/condition.h"
#include "schemas/ovsdb/error.h"

namespace vswitch::ovsdb {

namespace {

constexpr std::array<std::pair<std::string_view, Mutator>, 7> kMutators = {{{"+=", Mutator::add},
                                                                            {"-=", Mutator::subtract},
                                                                            {"*=", Mutator::multiply},
                                                                            {"/=", Mutator::divide},
                                                                            {"%=", Mutator::modulo},
                                                                            {"insert", Mutator::insert},
                                                                            {"delete", Mutator::remove}}};

std::string mutator_name(Mutator mutator) {
  return std::string(kMutators[static_cast<std::size_t>(mutator)].first);
}

Mutator parse_mutator(const std::string& name) {
  const auto found =
      std::find_if(kMutators.begin(), kMutators.end(), [&](const auto& m) { return m.first == name; });
  if (found == kMutators.end()) throw Error("unknown mutator", "No mutator named " + name + ".");
  return found->second;
}

bool is_arithmetic(Mutator mutator) {
  return mutator != Mutator::insert && mutator != Mutator::remove;
}

bool applies_to(Mutator mutator, const ColumnType& type) {
  if (!is_arithmetic(mutator)) return !type.is_scalar();
  if (type.is_map()) return false;
  return type.key.type == AtomicType::integer ||
         (type.key.type == AtomicType::real && mutator != Mutator::modulo);
}

/// `delete` on a map takes pairs or a set of keys.
Datum parse_removed(const Json& json, const ColumnType& type, NamedUuids* names) {
  if (type.is_map() && json.is_array() && !json.empty() && json[0] == "map") {
    return datum_from_json_any_size(json, type, names);
  }
  ColumnType keys;
  keys.key = type.key;
  return datum_from_json_any_size(json, keys, names);
}

Datum parse_argument(const Json& json, const Mutation& mutation, NamedUuids* names) {
  const ColumnType& type = mutation.column->type;
  if (mutation.mutator == Mutator::remove) return parse_removed(json, type, names);
  if (mutation.mutator == Mutator::insert) return datum_from_json_any_size(json, type, names);
  ColumnType number;  // without the column's range: "-= 1" is fine in a column of 1..10
  number.key.type = type.key.type;
  return datum_from_json(json, number, names);
}

[[noreturn]] void result_out_of_range(Mutator mutator) {
  throw Error("range error", "Result of \"" + mutator_name(mutator) + "\" operation is out of range.");
}

std::int64_t compute(Mutator mutator, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  bool overflow = false;
  if ((mutator == Mutator::divide || mutator == Mutator::modulo) && b == 0) {
    throw Error("domain error", "Division by zero.");
  }
  switch (mutator) {
    case Mutator::add:
      overflow = __builtin_add_overflow(a, b, &result);
      break;
    case Mutator::subtract:
      overflow = __builtin_sub_overflow(a, b, &result);
      break;
    case Mutator::multiply:
      overflow = __builtin_mul_overflow(a, b, &result);
      break;
    case Mutator::divide:
      overflow = a == std::numeric_limits<std::int64_t>::min() && b == -1;
      result = overflow ? 0 : a / b;
      break;
    default:
      result = b == -1 ? 0 : a % b;  // the CPU traps on the smallest integer % -1
  }
  if (overflow) result_out_of_range(mutator);
  return result;
}

double compute(Mutator mutator, double a, double b) {
  if (mutator == Mutator::divide && b == 0) throw Error("domain error", "Division by zero.");
  double result = a + b;
  if (mutator == Mutator::subtract) result = a - b;
  if (mutator == Mutator::multiply) result = a * b;
  if (mutator == Mutator::divide) result = a / b;
  if (!std::isfinite(result)) result_out_of_range(mutator);
  return result;
}

Datum computed(Mutator mutator, const Datum& value, const Atom& operand) {
  std::vector<Atom> atoms;
  for (const Atom& atom : value.keys()) {
    if (const auto* integer = std::get_if<std::int64_t>(&atom)) {
      atoms.emplace_back(compute(mutator, *integer, std::get<std::int64_t>(operand)));
    } else {
      atoms.emplace_back(compute(mutator, std::get<double>(atom), std::get<double>(operand)));
    }
  }
  Datum result = Datum::set(std::move(atoms));
  if (result.size() == value.size()) return result;
  throw Error("constraint violation",
              "Result of \"" + mutator_name(mutator) + "\" operation contains duplicates.");
}

}  // namespace

Mutation Mutation::parse(const Json& json, const TableSchema& table, NamedUuids* names) {
  if (!json.is_array() || json.size() != 3 || !json[0].is_string() || !json[1].is_string()) {
    throw syntax_error(json, "Parse error in mutation.");
  }
  Mutation mutation;
  mutation.column = &column_of(table, json[0].get_ref<const std::string&>(), json);
  const std::string& column = mutation.column->name;
  if (!mutation.column->mutable_) {
    Error error =
        syntax_error(json, "Cannot mutate immutable column " + column + " in table " + table.name + ".");
    error.error = "constraint violation";
    throw error;
  }
  const std::string& mutator = json[1].get_ref<const std::string&>();
  mutation.mutator = parse_mutator(mutator);
  if (!applies_to(mutation.mutator, mutation.column->type)) {
    throw syntax_error(json, "Type mismatch: \"" + mutator + "\" operator may not be applied to column " +
                                 column + " of type " + mutation.column->type.to_text() + ".");
  }
  mutation.argument = parse_argument(json[2], mutation, names);
  return mutation;
}

Datum Mutation::apply(const Datum& value) const {
  Datum result = mutator == Mutator::insert   ? united(value, argument)
                 : mutator == Mutator::remove ? without(value, argument)
                                              : computed(mutator, value, argument.keys()[0]);
  check_constraints(result, column->type);
  return result;
}

// The elements of the argument were checked when it was parsed, those of the draft when it was made.
void Mutation::apply(DatumDraft& draft) const {
  mutator == Mutator::insert ? draft.unite(argument) : draft.remove(argument);
  check_number(draft.size(), column->type);
}

}  // namespace vswitch::ovsdb
