// SPDX-License-Identifier: Apache-2.0
#include "ctl/table.h"

#include <libsmartcols.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <system_error>

#include "ctl/render.h"
#include "ctl/screen.h"
#include "ctl/utf8_locale.h"

namespace vswitch::ctl {
namespace {

constexpr std::size_t kBetween = 2;    // columns
constexpr std::size_t kVeryLeast = 4;  // of text, if nothing else helps
constexpr const char* kMoreColumns = "…";

using Cells = std::vector<std::string>;

std::string cell(const Json& value) {
  if (value.is_null()) return "-";
  const std::string text = value.is_string() ? printable(value.get_ref<const std::string&>()) : value.dump();
  return text.empty() ? "-" : text;
}

struct Fitted {
  std::size_t index;  ///< of the column
  std::size_t width, least;
  bool numbers;
};

std::size_t total(const std::vector<Fitted>& columns, bool left_out, std::size_t Fitted::*width) {
  std::size_t sum = left_out ? kBetween + 1 : 0;
  for (const Fitted& one : columns) sum += one.*width + kBetween;
  return sum - std::min(sum, kBetween);
}

/// Leaves out what does not fit even with all text cut, columns of the same rank together. Returns whether it did.
bool leave_out(std::vector<Fitted>& fitted, const std::vector<Column>& columns, std::size_t room) {
  bool left_out = false;
  const auto rank = [&](const Fitted& one) { return columns[one.index].leave_out_rank; };
  while (total(fitted, left_out, &Fitted::least) > room) {
    int highest = 0;
    for (const Fitted& one : fitted) highest = std::max(highest, rank(one));
    if (highest == 0) break;
    std::erase_if(fitted, [&](const Fitted& one) { return rank(one) == highest; });
    left_out = true;
  }
  return left_out;
}

/// Narrows the widest of the columns with this rank until all fit or all are as narrow as may be.
void cut_rank(std::vector<Fitted>& fitted, const std::vector<Column>& columns, int rank, bool left_out,
              std::size_t room) {
  while (total(fitted, left_out, &Fitted::width) > room) {
    Fitted* widest = nullptr;
    for (Fitted& one : fitted) {
      if (columns[one.index].cut_rank == rank && one.width > one.least &&
          (widest == nullptr || one.width > widest->width))
        widest = &one;
    }
    if (widest == nullptr) return;
    --widest->width;
  }
}

void cut(std::vector<Fitted>& fitted, const std::vector<Column>& columns, bool left_out, std::size_t room) {
  int highest = 0;
  for (const Column& column : columns) highest = std::max(highest, column.cut_rank);
  for (int rank = highest; rank >= 0; --rank) cut_rank(fitted, columns, rank, left_out, room);
}

/// A row as lines of the screen: text of columns that wrap goes on below.
std::vector<Cells> lines_of(const Cells& row, const std::vector<Fitted>& fitted,
                            const std::vector<Column>& columns) {
  std::vector<Cells> lines(1, Cells(fitted.size()));
  for (std::size_t i = 0; i < fitted.size(); ++i) {
    const std::string& text = row[fitted[i].index];
    if (!columns[fitted[i].index].wraps) {
      lines[0][i] = cut_to_width(text, fitted[i].width);
      continue;
    }
    const std::vector<std::string> parts = wrap_to_width(text, fitted[i].width);
    if (parts.size() > lines.size()) lines.resize(parts.size(), Cells(fitted.size()));
    for (std::size_t part = 0; part < parts.size(); ++part) lines[part][i] = parts[part];
  }
  return lines;
}

std::string first_word(const std::string& text) {
  return text.substr(0, text.find_first_of(" :,…"));
}

void print_line(libscols_table* table, const Cells& cells, const std::vector<const char*>& colours) {
  libscols_line* line = scols_table_new_line(table, nullptr);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    scols_line_set_data(line, i, cells[i].c_str());
    if (*colours[i] != '\0') scols_cell_set_color(scols_line_get_cell(line, i), colours[i]);
  }
}

/// Without the spaces that an empty last cell leaves.
std::string indented(std::string_view lines, std::size_t indent) {
  std::string text;
  for (bool more = true; more;) {
    const std::size_t end = lines.find('\n');
    const std::string_view line = lines.substr(0, end);
    text.append(indent, ' ');
    text += line.substr(0, line.find_last_not_of(' ') + 1);
    text += '\n';
    more = end != lines.npos;
    if (more) lines.remove_prefix(end + 1);
  }
  return text;
}

}  // namespace

Column Column::cut(int rank, std::size_t least_) const {
  Column column = *this;
  column.cut_rank = rank;
  column.least = least_;
  return column;
}

Column Column::leave_out(int rank) const {
  Column column = *this;
  column.leave_out_rank = rank;
  return column;
}

Column Column::wrap() const {
  Column column = *this;
  column.wraps = true;
  return column;
}

Column Column::states() const {
  Column column = *this;
  column.has_states = true;
  return column;
}

std::string Table::text(std::size_t indent) const {
  std::vector<Cells> rows(1);
  for (const Column& column : columns_) rows[0].push_back(column.header);
  for (const auto& row : rows_) {
    Cells& cells = rows.emplace_back();
    for (const Json& value : row) cells.push_back(cell(value));
  }

  std::vector<Fitted> fitted;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    Fitted one{i, 0, 0, std::ranges::any_of(rows_, [i](const auto& row) { return row[i].is_number(); })};
    for (const Cells& row : rows) one.width = std::max(one.width, display_width(row[i]));
    one.least = one.numbers ? one.width : std::min(one.width, columns_[i].least);
    fitted.push_back(one);
  }
  bool left_out = false;
  if (const std::size_t width = screen().width; width != 0) {
    const std::size_t room = width - std::min(width, indent);
    left_out = leave_out(fitted, columns_, room);
    cut(fitted, columns_, left_out, room);
    if (total(fitted, left_out, &Fitted::width) > room) {  // nothing is left that could be left out
      for (Fitted& one : fitted) one.least = one.numbers ? one.least : std::min(one.least, kVeryLeast);
      cut(fitted, columns_, left_out, room);
    }
  }

  const Utf8Locale utf8;
  const std::unique_ptr<libscols_table, decltype(&scols_unref_table)> table(scols_new_table(),
                                                                            &scols_unref_table);
  scols_table_set_termforce(table.get(), SCOLS_TERMFORCE_NEVER);  // otherwise it cuts cells itself
  scols_table_set_column_separator(table.get(), "  ");
  scols_table_enable_noheadings(table.get(),
                                1);  // they would be left out if there are no rows, and are cut here
  scols_table_enable_colors(table.get(), screen().colours ? 1 : 0);
  for (const Fitted& one : fitted)
    scols_table_new_column(table.get(), "", 0, one.numbers ? SCOLS_FL_RIGHT : 0);
  if (left_out) scols_table_new_column(table.get(), "", 0, 0);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    std::vector<const char*> colours(fitted.size() + 1, "");
    for (std::size_t i = 0; i < fitted.size() && row != 0; ++i) {
      if (columns_[fitted[i].index].has_states)
        colours[i] = colour_of(first_word(rows[row][fitted[i].index]));
    }
    bool first = true;
    for (Cells& line : lines_of(rows[row], fitted, columns_)) {
      if (left_out) line.emplace_back(row == 0 && first ? kMoreColumns : "");
      print_line(table.get(), line, colours);
      first = false;
    }
  }
  char* lines = nullptr;
  const int failed = scols_print_table_to_string(table.get(), &lines);
  const std::unique_ptr<char, decltype(&std::free)> owner(lines, &std::free);
  if (failed != 0) throw std::system_error(-failed, std::generic_category(), "cannot lay out a table");
  return indented(lines, indent);
}

}  // namespace vswitch::ctl
