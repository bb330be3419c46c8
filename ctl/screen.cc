// SPDX-License-Identifier: Apache-2.0
#include "ctl/screen.h"

#include <wchar.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "ctl/utf8_locale.h"

namespace vswitch::ctl {
namespace {

Screen the_screen;

constexpr const char* kRed = "\x1b[31m";
constexpr const char* kGreen = "\x1b[32m";
constexpr const char* kYellow = "\x1b[33m";
constexpr const char* kFaint = "\x1b[2m";
constexpr const char* kPlain = "\x1b[0m";
constexpr const char* kEllipsis = "…";

struct StateColour {
  std::string_view state;
  const char* colour;
};
constexpr std::array kStateColours = {
    StateColour{"active", kGreen},    StateColour{"ok", kGreen},     StateColour{"waiting", kYellow},
    StateColour{"degraded", kYellow}, StateColour{"down", kYellow},  StateColour{"warning", kYellow},
    StateColour{"error", kRed},       StateColour{"critical", kRed}, StateColour{"disabled", kFaint},
    StateColour{"expired", kFaint},
};

struct Character {
  std::size_t bytes, columns;
};

/// The first one of the rest. The thread is in a Utf8Locale. What has no width is shown byte by byte, as \xNN.
Character next_character(std::string_view rest) {
  constexpr std::size_t kEscaped = 4;
  mbstate_t state{};
  wchar_t letter = 0;
  const std::size_t bytes = ::mbrtowc(&letter, rest.data(), rest.size(), &state);
  if (bytes == 0 || bytes > rest.size()) return {1, kEscaped};
  const int columns = ::wcwidth(letter);
  return {bytes, columns < 0 ? kEscaped * bytes : static_cast<std::size_t>(columns)};
}

/// Bytes of the beginning that has at most so many columns.
std::size_t bytes_within(std::string_view text, std::size_t width) {
  std::size_t at = 0, columns = 0;
  while (at < text.size()) {
    const Character next = next_character(text.substr(at));
    if (columns + next.columns > width) break;
    columns += next.columns;
    at += next.bytes;
  }
  return at;
}

std::size_t width_of(std::string_view text) {
  std::size_t columns = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Character next = next_character(text.substr(at));
    columns += next.columns;
    at += next.bytes;
  }
  return columns;
}

/// Without sequences of colours, which take no column.
std::string without_colours(std::string_view line) {
  std::string plain;
  while (!line.empty()) {
    if (!line.starts_with("\x1b[")) {
      plain += line.front();
      line.remove_prefix(1);
      continue;
    }
    const std::size_t end = line.find('m');
    line.remove_prefix(end == line.npos ? line.size() : end + 1);
  }
  return plain;
}

}  // namespace

const Screen& screen() {
  return the_screen;
}

ScreenScope::ScreenScope(const Screen& now) : before_(the_screen) {
  the_screen = now;
}

ScreenScope::~ScreenScope() {
  the_screen = before_;
}

const char* colour_of(const std::string& state) {
  if (!the_screen.colours) return "";
  const auto found = std::ranges::find(kStateColours, std::string_view(state), &StateColour::state);
  return found == kStateColours.end() ? "" : found->colour;
}

std::string in_colour(const std::string& text) {
  const std::size_t end = std::min(text.find_first_of(" :,"), text.size());
  const std::string state = text.substr(0, end);
  const std::string colour = colour_of(state);
  return colour.empty() ? text : colour + state + kPlain + text.substr(end);
}

std::size_t display_width(const std::string& text) {
  const Utf8Locale utf8;
  return width_of(text);
}

std::string cut_to_width(const std::string& text, std::size_t width) {
  const Utf8Locale utf8;
  if (width_of(text) <= width) return text;
  return text.substr(0, bytes_within(text, width - std::min<std::size_t>(width, 1))) + kEllipsis;
}

std::vector<std::string> wrap_to_width(const std::string& text, std::size_t width) {
  const Utf8Locale utf8;
  std::vector<std::string> lines;
  std::string_view rest = text;
  while (width_of(rest) > width) {
    std::size_t end = bytes_within(rest, width);
    const std::size_t space = rest.rfind(' ', end);
    const bool between_words = space != rest.npos && space != 0;
    if (between_words) end = space;
    if (end == 0) end = next_character(rest).bytes;  // wider than the screen
    lines.emplace_back(rest.substr(0, end));
    rest.remove_prefix(between_words ? end + 1 : end);
  }
  if (!rest.empty() || lines.empty()) lines.emplace_back(rest);
  return lines;
}

std::string cut_to_height(const std::string& text, const Screen& screen) {
  if (screen.height < 2 || screen.width == 0) return text;
  const Utf8Locale utf8;
  const std::size_t room = screen.height - 1;  // the cursor is below the last line
  std::size_t rows = 0, fits = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::size_t columns = width_of(without_colours(std::string_view(text).substr(at, end - at)));
    rows += std::max<std::size_t>(1, (columns + screen.width - 1) / screen.width);
    at = std::min(end + 1, text.size());
    if (rows < room) fits = at;  // there is room for one more: the line that says what is missing
    if (rows <= room && at == text.size()) return text;
  }
  const auto missing = std::count(text.begin() + static_cast<std::ptrdiff_t>(fits), text.end(), '\n');
  return text.substr(0, fits) + "... " + std::to_string(missing) + " more lines\n";
}

}  // namespace vswitch::ctl
