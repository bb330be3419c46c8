// SPDX-License-Identifier: Apache-2.0
// The value of a column: a set of atoms, or a map from atoms to atoms.
//
// A Datum is immutable and shared: copying one copies a pointer. A row is a vector of them, so a transaction
// that changes one column of a wide row copies the row cheaply, and the row before and after the commit, kept
// for the monitors and listeners, share all columns that did not change. "Same pointer" is also the fast path
// of ==, which lets a commit skip untouched columns. The empty set is the null pointer and costs nothing.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "schemas/ovsdb/atom.h"

namespace vswitch::ovsdb {

/// Keys are sorted and unique; a map has one value per key, a set has no values. A scalar is a set of one
/// element. All atoms of a datum have the same type. The column's type says which one, and whether the datum
/// is a set or a map.
class Datum {
 public:
  Datum() = default;  ///< the empty set, equal to the empty map
  static Datum scalar(Atom atom);
  /// Sorts; duplicates are dropped.
  static Datum set(std::vector<Atom> atoms);
  /// Sorts by key; of several pairs with the same key, the first is kept.
  static Datum map(std::vector<std::pair<Atom, Atom>> pairs);

  static Datum of(std::string_view text) { return scalar(std::string(text)); }
  static Datum of(std::int64_t number) { return scalar(number); }
  static Datum of(bool truth) { return scalar(truth); }
  static Datum of(const Uuid& uuid) { return scalar(uuid); }
  static Datum of(const char* text) { return scalar(std::string(text)); }
  static Datum of(int number) { return scalar(std::int64_t{number}); }
  /// Any range of std::string, int64_t or Uuid as a set.
  template <class Range>
  static Datum set_of(const Range& range) {
    return set(std::vector<Atom>(std::begin(range), std::end(range)));
  }
  /// A std::map of atom types as a map.
  template <class Key, class Value>
  static Datum map_of(const std::map<Key, Value>& pairs) {
    std::vector<std::pair<Atom, Atom>> atoms;
    atoms.reserve(pairs.size());
    for (const auto& [key, value] : pairs) atoms.emplace_back(Atom(key), Atom(value));
    return map(std::move(atoms));
  }

  std::size_t size() const { return body_ ? body_->keys.size() : 0; }
  bool empty() const { return !body_; }
  bool is_map() const { return body_ && !body_->values.empty(); }
  std::span<const Atom> keys() const {
    return body_ ? std::span<const Atom>(body_->keys) : std::span<const Atom>();
  }
  std::span<const Atom> values() const {
    return body_ ? std::span<const Atom>(body_->values) : std::span<const Atom>();
  }
  bool contains(const Atom& key) const;
  /// The value of a key of a map, nullptr if there is none.
  const Atom* value_of(const Atom& key) const;
  /// The first key as T; nullptr if empty or of another type.
  template <class T>
  const T* first() const {
    return body_ ? std::get_if<T>(&body_->keys.front()) : nullptr;
  }
  /// The same object, not merely an equal one: the cheap test for "untouched".
  bool same(const Datum& other) const { return body_ == other.body_; }

  friend bool operator==(const Datum& a, const Datum& b);
  friend bool operator<(const Datum& a, const Datum& b);
  std::size_t hash() const;
  /// Bytes that it takes, about.
  std::size_t memory() const;

 private:
  struct Body {
    std::vector<Atom> keys;
    std::vector<Atom> values;
  };
  static Datum from_sorted(std::vector<Atom> keys, std::vector<Atom> values);
  friend Datum united(const Datum&, const Datum&);
  friend Datum without(const Datum&, const Datum&);
  friend Datum difference(const Datum&, const Datum&);
  friend Datum with_difference(const Datum&, const Datum&);
  friend class DatumDraft;

  std::shared_ptr<const Body> body_;
};

/// A datum that changes many times in a row. Each change costs its own elements, whereas a new Datum would cost
/// all of them.
class DatumDraft {
 public:
  explicit DatumDraft(const Datum& datum);

  std::size_t size() const { return elements_.size(); }
  /// The same as united() and without().
  void unite(const Datum& elements);
  void remove(const Datum& elements);
  Datum finish() const;

 private:
  std::map<Atom, std::optional<Atom>> elements_;  ///< a set has no values
};

/// a with the elements of b whose keys a lacks (RFC 7047 mutator "insert").
Datum united(const Datum& a, const Datum& b);
/// a without the elements of b; a map loses a pair if b has its key (b is a set) or exactly that pair
/// ("delete").
Datum without(const Datum& a, const Datum& b);
/// Symmetric difference as in `update2` and the database file: elements in exactly one of the two; for maps
/// the pairs removed (old value), added or changed (new value).
Datum difference(const Datum& before, const Datum& after);
/// The inverse: with_difference(before, difference(before, after)) == after.
Datum with_difference(const Datum& before, const Datum& diff);
/// Every element (key, or pair) of a is in b.
bool included(const Datum& a, const Datum& b);
/// No element of a is in b.
bool excluded(const Datum& a, const Datum& b);

}  // namespace vswitch::ovsdb
