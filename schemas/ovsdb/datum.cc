// SPDX-License-Identifier: Apache-2.0
#include "schemas/ovsdb/datum.h"

#include <algorithm>
#include <functional>
#include <optional>

namespace vswitch::ovsdb {

namespace {

/// Walks two sorted lists of keys together; calls visit(index in a or -1, index in b or -1) for every key.
template <class Visit>
void walk(std::span<const Atom> a, std::span<const Atom> b, Visit visit) {
  std::ptrdiff_t i = 0;
  std::ptrdiff_t j = 0;
  const auto in = [](std::span<const Atom> list, std::ptrdiff_t at) {
    return static_cast<std::size_t>(at) < list.size();
  };
  const auto at = [](std::span<const Atom> list, std::ptrdiff_t k) -> const Atom& {
    return list[static_cast<std::size_t>(k)];
  };
  while (in(a, i) || in(b, j)) {
    if (!in(b, j) || (in(a, i) && at(a, i) < at(b, j))) {
      visit(i++, -1);
    } else if (!in(a, i) || at(b, j) < at(a, i)) {
      visit(-1, j++);
    } else {
      visit(i++, j++);
    }
  }
}

/// Collects elements of two datums in order.
struct Builder {
  std::vector<Atom> keys;
  std::vector<Atom> values;

  void take(const Datum& from, std::ptrdiff_t at) {
    const auto index = static_cast<std::size_t>(at);
    keys.push_back(from.keys()[index]);
    if (from.is_map()) values.push_back(from.values()[index]);
  }
};

bool same_value(const Datum& a, std::ptrdiff_t i, const Datum& b, std::ptrdiff_t j) {
  if (!a.is_map() || !b.is_map()) return true;
  return a.values()[static_cast<std::size_t>(i)] == b.values()[static_cast<std::size_t>(j)];
}

std::optional<std::size_t> position(std::span<const Atom> keys, const Atom& key) {
  const auto found = std::lower_bound(keys.begin(), keys.end(), key);
  if (found == keys.end() || *found != key) return std::nullopt;
  return static_cast<std::size_t>(found - keys.begin());
}

}  // namespace

Datum Datum::from_sorted(std::vector<Atom> keys, std::vector<Atom> values) {
  Datum datum;
  if (!keys.empty()) datum.body_ = std::make_shared<const Body>(Body{std::move(keys), std::move(values)});
  return datum;
}

Datum Datum::scalar(Atom atom) {
  std::vector<Atom> keys;
  keys.push_back(std::move(atom));
  return from_sorted(std::move(keys), {});
}

Datum Datum::set(std::vector<Atom> atoms) {
  std::sort(atoms.begin(), atoms.end());
  atoms.erase(std::unique(atoms.begin(), atoms.end()), atoms.end());
  return from_sorted(std::move(atoms), {});
}

Datum Datum::map(std::vector<std::pair<Atom, Atom>> pairs) {
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Atom> keys;
  std::vector<Atom> values;
  keys.reserve(pairs.size());
  values.reserve(pairs.size());
  for (auto& [key, value] : pairs) {
    if (!keys.empty() && keys.back() == key) continue;
    keys.push_back(std::move(key));
    values.push_back(std::move(value));
  }
  return from_sorted(std::move(keys), std::move(values));
}

bool Datum::contains(const Atom& key) const {
  return position(keys(), key).has_value();
}

const Atom* Datum::value_of(const Atom& key) const {
  if (!is_map()) return nullptr;
  const auto at = position(keys(), key);
  return at ? &body_->values[*at] : nullptr;
}

bool operator==(const Datum& a, const Datum& b) {
  if (a.body_ == b.body_) return true;
  if (!a.body_ || !b.body_) return false;
  return a.body_->keys == b.body_->keys && a.body_->values == b.body_->values;
}

bool operator<(const Datum& a, const Datum& b) {
  if (a.body_ == b.body_ || !b.body_) return false;
  if (!a.body_) return true;
  if (a.body_->keys != b.body_->keys) return a.body_->keys < b.body_->keys;
  return a.body_->values < b.body_->values;
}

std::size_t Datum::hash() const {
  std::size_t sum = size();
  for (const Atom& key : keys()) sum = sum * 0x9e3779b97f4a7c15ULL + hash_of(key);
  for (const Atom& value : values()) sum = sum * 0x9e3779b97f4a7c15ULL + hash_of(value);
  return sum;
}

DatumDraft::DatumDraft(const Datum& datum) {
  unite(datum);
}

void DatumDraft::unite(const Datum& elements) {
  for (std::size_t i = 0; i < elements.size(); ++i) {
    std::optional<Atom> value;
    if (elements.is_map()) value = elements.values()[i];
    elements_.try_emplace(elements_.end(), elements.keys()[i], std::move(value));
  }
}

void DatumDraft::remove(const Datum& elements) {
  for (std::size_t i = 0; i < elements.size(); ++i) {
    const auto found = elements_.find(elements.keys()[i]);
    if (found == elements_.end()) continue;
    const bool pairs = elements.is_map() && found->second.has_value();
    if (!pairs || *found->second == elements.values()[i]) elements_.erase(found);
  }
}

Datum DatumDraft::finish() const {
  std::vector<Atom> keys;
  std::vector<Atom> values;
  keys.reserve(elements_.size());
  for (const auto& [key, value] : elements_) {
    keys.push_back(key);
    if (value) values.push_back(*value);
  }
  return Datum::from_sorted(std::move(keys), std::move(values));
}

std::size_t Datum::memory() const {
  std::size_t bytes = 0;
  for (const std::span<const Atom> atoms : {keys(), values()}) {
    for (const Atom& atom : atoms) {
      const std::string* text = std::get_if<std::string>(&atom);
      bytes += sizeof(Atom) + (text ? text->size() : 0);
    }
  }
  return bytes;
}

Datum united(const Datum& a, const Datum& b) {
  if (a.empty()) return b;
  if (included(b, a)) return a;
  Builder result;
  walk(a.keys(), b.keys(),
       [&](std::ptrdiff_t i, std::ptrdiff_t j) { i >= 0 ? result.take(a, i) : result.take(b, j); });
  return Datum::from_sorted(std::move(result.keys), std::move(result.values));
}

Datum without(const Datum& a, const Datum& b) {
  Builder result;
  walk(a.keys(), b.keys(), [&](std::ptrdiff_t i, std::ptrdiff_t j) {
    if (i >= 0 && !(j >= 0 && same_value(a, i, b, j))) result.take(a, i);
  });
  if (result.keys.size() == a.size()) return a;
  return Datum::from_sorted(std::move(result.keys), std::move(result.values));
}

Datum difference(const Datum& before, const Datum& after) {
  Builder result;
  walk(before.keys(), after.keys(), [&](std::ptrdiff_t i, std::ptrdiff_t j) {
    if (j < 0) return result.take(before, i);
    if (i < 0 || !same_value(before, i, after, j)) result.take(after, j);
  });
  return Datum::from_sorted(std::move(result.keys), std::move(result.values));
}

Datum with_difference(const Datum& before, const Datum& diff) {
  Builder result;
  walk(before.keys(), diff.keys(), [&](std::ptrdiff_t i, std::ptrdiff_t j) {
    if (j < 0) return result.take(before, i);
    const bool gone = i >= 0 && same_value(before, i, diff, j);
    if (!gone) result.take(diff, j);
  });
  return Datum::from_sorted(std::move(result.keys), std::move(result.values));
}

bool included(const Datum& a, const Datum& b) {
  const auto keys = a.keys();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto at = position(b.keys(), keys[i]);
    if (!at || (a.is_map() && b.is_map() && a.values()[i] != b.values()[*at])) return false;
  }
  return true;
}

bool excluded(const Datum& a, const Datum& b) {
  const auto keys = a.keys();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto at = position(b.keys(), keys[i]);
    if (at && !(a.is_map() && b.is_map() && a.values()[i] != b.values()[*at])) return false;
  }
  return true;
}

}  // namespace vswitch::ovsdb
