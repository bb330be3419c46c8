// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <locale.h>

namespace vswitch::ctl {

/// The thread's characters are UTF-8 while it lives, whatever the user's are: for wcwidth(3) and libsmartcols.
class Utf8Locale {
 public:
  Utf8Locale() : before_(::uselocale(utf8())) {}
  ~Utf8Locale() { ::uselocale(before_); }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

 private:
  static locale_t utf8() {
    static const locale_t made = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return made;
  }
  locale_t before_;
};

}  // namespace vswitch::ctl
