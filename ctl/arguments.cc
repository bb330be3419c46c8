// SPDX-License-Identifier: Apache-2.0
// Turns options into members of params. Ranges are not checked here: the contract does that.
#include "ctl/arguments.h"

#include <charconv>
#include <optional>
#include <sstream>
#include <utility>

#include "ctl/command.h"

namespace vswitch::ctl {
namespace {

constexpr std::int64_t kLastVlan = 4095;

void add_range(Json& into, std::string_view item, std::string_view whole) {
  const std::size_t dash = item.find('-');
  const auto first = parse_number(item.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_number(item.substr(dash + 1));
  if (!first || !last || *first < 0 || *last > kLastVlan || *first > *last) {
    throw UsageError("'" + std::string(whole) + "' is not a list of VLANs from 0 to 4095, such as 1,2-9");
  }
  for (std::int64_t vlan = *first; vlan <= *last; ++vlan) into.push_back(vlan);
}

}  // namespace

std::optional<std::int64_t> parse_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Params make_params() {
  return std::make_shared<Json>(Json::object());
}

Json& member(Json& params, std::string_view path) {
  const std::size_t dot = path.find('.');
  Json& first = params[std::string(path.substr(0, dot))];
  return dot == std::string_view::npos ? first : member(first, path.substr(dot + 1));
}

CLI::Option* text(CLI::App& app, const Params& params, const std::string& name, const std::string& key,
                  const std::string& help) {
  auto* option = app.add_option_function<std::string>(
      name, [params, key](const std::string& value) { member(*params, key) = value; }, help);
  return name.starts_with('-') ? option : option->required();
}

CLI::Option* text_or_none(CLI::App& app, const Params& params, const std::string& name,
                          const std::string& key, const std::string& help) {
  return app.add_option_function<std::string>(
      name,
      [params, key](const std::string& value) {
        member(*params, key) = value == "none" ? Json() : Json(value);
      },
      help);
}

CLI::Option* number(CLI::App& app, const Params& params, const std::string& name, const std::string& key,
                    const std::string& help, bool nullable) {
  return app.add_option_function<std::string>(
      name,
      [params, name, key, nullable](const std::string& value) {
        if (nullable && value == "none") {
          member(*params, key) = nullptr;
        } else if (const auto parsed = parse_number(value)) {
          member(*params, key) = *parsed;
        } else {
          throw UsageError(name + " takes a whole number" + (nullable ? " or none" : "") + ", not '" + value +
                           "'");
        }
      },
      help);
}

CLI::Option* on_off(CLI::App& app, const Params& params, const std::string& name, const std::string& key,
                    const std::string& help) {
  CLI::Option* off = flag(app, params, "--no-" + name.substr(2), key, false, "the opposite of " + name);
  return flag(app, params, name, key, true, help)->excludes(off);
}

CLI::Option* flag(CLI::App& app, const Params& params, const std::string& name, const std::string& key,
                  Json value, const std::string& help) {
  return app.add_flag_function(
      name, [params, key, value = std::move(value)](std::int64_t) { member(*params, key) = value; }, help);
}

CLI::Option* vlans(CLI::App& app, const Params& params, const std::string& name, const std::string& key,
                   const std::string& help) {
  return repeated(
      app, name,
      [params, key](const std::vector<std::string>& lists) {
        Json all = Json::array();
        for (const std::string& list : lists) {
          const Json some = parse_vlans(list);
          all.insert(all.end(), some.begin(), some.end());
        }
        member(*params, key) = all;
      },
      "LIST", help);
}

CLI::Option* repeated(CLI::App& app, const std::string& name,
                      std::function<void(const std::vector<std::string>&)> take, const std::string& type,
                      const std::string& help) {
  return app.add_option_function<std::vector<std::string>>(name, std::move(take), help)
      ->allow_extra_args(false)
      ->type_name(type);
}

CLI::Option* seconds(CLI::App& app, const std::string& name, double& value, const std::string& help) {
  constexpr double kMost = 1e6;
  std::ostringstream normal;
  normal << value;
  return app
      .add_option_function<std::string>(
          name,
          [name, &value](const std::string& text) {
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
            if (error != std::errc() || end != text.data() + text.size() || !(value > 0 && value <= kMost))
              throw UsageError(name + " takes a number of seconds, such as 0.5 or 30, not '" + text + "'");
          },
          help)
      ->default_str(normal.str())
      ->type_name("SECONDS");
}

void not_here(CLI::App& app, const std::string& name, const std::string& sentence, bool takes_value) {
  const auto refuse = [sentence] { throw UsageError(sentence); };
  if (takes_value) {
    app.add_option_function<std::vector<std::string>>(name,
                                                      [refuse](const std::vector<std::string>&) { refuse(); })
        ->allow_extra_args(false)
        ->group("");
  } else {
    app.add_flag_function(name, [refuse](std::int64_t) { refuse(); })->group("");
  }
}

Json parse_vlans(std::string_view text) {
  Json vlans = Json::array();
  if (text == "none") return vlans;
  for (std::string_view rest = text;;) {
    const std::size_t comma = rest.find(',');
    add_range(vlans, rest.substr(0, comma), text);
    if (comma == std::string_view::npos) return vlans;
    rest.remove_prefix(comma + 1);
  }
}

}  // namespace vswitch::ctl
