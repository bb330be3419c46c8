// SPDX-License-Identifier: Apache-2.0
// What text for people is laid out for: a terminal, whose width it fits and which shows colours, or anything else,
// which gets all of it, plain.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace vswitch::ctl {

struct Screen {
  std::size_t width = 0;   ///< columns; 0: any number
  std::size_t height = 0;  ///< lines; 0: any number
  bool colours = false;
};

/// The one that render functions write for; without a ScreenScope, it is no terminal.
const Screen& screen();

/// Makes `screen()` this one while it lives. One thread.
class ScreenScope {
 public:
  explicit ScreenScope(const Screen& now);
  ~ScreenScope();
  ScreenScope(const ScreenScope&) = delete;
  ScreenScope& operator=(const ScreenScope&) = delete;

 private:
  Screen before_;
};

/// The sequence for the colour of a state: green for "active" and "ok", yellow for what waits or works in part, red for
/// what does not, faint for what is off. Empty for other words and without colours.
const char* colour_of(const std::string& state);
/// The text, which begins with a state ("waiting: no device t2"), with that word in its colour.
std::string in_colour(const std::string& text);

/// Columns that a terminal gives the text: two for wide characters, none for combining ones.
std::size_t display_width(const std::string& text);
/// The beginning of the text in so many columns, with "…" at the end if it is longer.
std::string cut_to_width(const std::string& text, std::size_t width);
/// The lines of a text, broken between words where possible.
std::vector<std::string> wrap_to_width(const std::string& text, std::size_t width);
/// The first lines of a text, as many as the screen shows, and how many are missing; the text itself if it fits.
std::string cut_to_height(const std::string& text, const Screen& screen);

}  // namespace vswitch::ctl
