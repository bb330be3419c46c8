// SPDX-License-Identifier: Apache-2.0
// Tables: aligned columns that fit the terminal.
//
// libsmartcols aligns (wide and combining characters, numbers, colours). What gives way if a terminal is too narrow is
// decided here, because libsmartcols would cut any column, numbers too: a number with a digit missing lies, and a
// reason is worth less than a name. Text is cut, in the order that the columns say; if that does not suffice, columns
// are left out, and a last header "…" says so. Elsewhere nothing is cut or left out.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "schemas/json.h"

namespace vswitch::ctl {

struct Column {
  Column(const char* header_) : header(header_) {}             // NOLINT(google-explicit-constructor)
  Column(std::string header_) : header(std::move(header_)) {}  // NOLINT(google-explicit-constructor)

  /// Text is cut before that of columns with a lower rank, down to `least` columns.
  Column cut(int rank, std::size_t least = kLeast) const;
  /// The column is left out before those with a lower rank; those without one stay.
  Column leave_out(int rank) const;
  /// Text goes on in the next line instead of being cut.
  Column wrap() const;
  /// Its text begins with a state, which has a colour (screen.h).
  Column states() const;

  static constexpr std::size_t kLeast = 15;  // a device has no longer name
  std::string header;
  int cut_rank = 0;
  std::size_t least = kLeast;
  int leave_out_rank = 0;
  bool wraps = false;
  bool has_states = false;
};

/// Two spaces between columns, none at the end of a line. Numbers (JSON) align right.
class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// One value per column: strings as they are, numbers aligned right, null and "" as "-".
  void add(std::vector<Json> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.empty(); }
  /// The header line and the rows, each indented by `indent` spaces, for screen().
  std::string text(std::size_t indent = 0) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Json>> rows_;
};

}  // namespace vswitch::ctl
