// SPDX-License-Identifier: Apache-2.0
// Checks params, results and notifications of the session API with valijson.
#include "schemas/openrpc.h"

#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

#include <map>
#include <stdexcept>
#include <utility>

#include "schemas/device_name.h"
#include "schemas/embedded.h"

namespace vswitch::openrpc {
namespace {

using Path = std::vector<std::string>;

// Longest string for a member with a pattern, and longest array for any member: see the header. 4096 is the
// number of VLANs.
constexpr std::size_t kMaxPatternInput = 512;
constexpr std::size_t kMaxArraySize = 4096;

std::string render(const Path& path, const Json& root) {
  std::string text;
  const Json* at = &root;
  for (const std::string& step : path) {
    if (at != nullptr && at->is_array()) {
      text += '[' + step + ']';
      const std::size_t index = std::stoul(step);
      at = index < at->size() ? &(*at)[index] : nullptr;
    } else {
      // The name of a port may have a dot: ports["eth0.100"].
      if (step.find_first_of(".[") != std::string::npos) {
        text += '[' + Json(step).dump(-1, ' ', false, Json::error_handler_t::replace) + ']';
      } else {
        text += (text.empty() ? "" : ".") + step;
      }
      at = at != nullptr && at->is_object() && at->contains(step) ? &(*at)[step] : nullptr;
    }
  }
  return text;
}

Json value_at(const Path& path, const Json& root) {
  const Json* at = &root;
  for (const std::string& step : path) {
    if (at->is_array() && std::stoul(step) < at->size()) {
      at = &(*at)[std::stoul(step)];
    } else if (at->is_object() && at->contains(step)) {
      at = &(*at)[step];
    } else {
      return nullptr;
    }
  }
  return *at;
}

/// valijson's "<root>", "[sources]", "[ports]", "[0]" without the root and the brackets.
Path to_path(const std::vector<std::string>& context) {
  Path path;
  for (std::size_t i = 1; i < context.size(); ++i)
    path.push_back(context[i].substr(1, context[i].size() - 2));
  return path;
}

/// The member that valijson names at the end of its sentence, after `prefix`, in single quotes.
std::string named(const std::string& text, std::string_view prefix) {
  const std::size_t begin = text.find(prefix);
  const std::size_t end = text.rfind('\'');
  if (begin == std::string::npos || end < begin + prefix.size()) return {};
  return text.substr(begin + prefix.size(), end - begin - prefix.size());
}

std::string list(const Json& values) {
  std::string text;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i != 0) text += i + 1 == values.size() ? " or " : ", ";
    text += values[i].is_string() && !values[i].get_ref<const std::string&>().empty()
                ? values[i].get<std::string>()
                : values[i].dump();
  }
  return text;
}

/// "an integer from 0 to 4095 or null": what the schema of one member requires.
std::string expected(const Json& schema) {
  if (schema.contains("enum")) return list(schema["enum"]);
  const Json types = schema.value("type", Json());
  std::string text;
  for (const Json& type : types.is_array() ? types : Json::array({types})) {
    if (!text.empty()) text += " or ";
    if (type == "integer") {
      text += "an integer";
      if (schema.contains("minimum")) text += " from " + schema["minimum"].dump();
      if (schema.contains("maximum")) text += " to " + schema["maximum"].dump();
    } else if (type == "string" && schema.contains("x-hexadecimal")) {
      text += std::to_string(schema.value("minLength", 0) / 2) + " to " +
              std::to_string(schema.value("maxLength", 0) / 2) + " bytes in hexadecimal";
    } else if (type == "string") {
      text += "a string";
      if (schema.contains("maxLength")) {
        text += " of " + schema.value("minLength", Json(0)).dump() + " to " + schema["maxLength"].dump() +
                " characters";
      }
    } else if (type == "boolean") {
      text += "true or false";
    } else if (type == "array" || type == "object") {
      text += "an " + type.get<std::string>();
    } else {
      text += type.is_string() ? type.get<std::string>() : "something else";
    }
  }
  return text;
}

std::string shorten(std::string text) {
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

}  // namespace

class Contract::Impl {
 public:
  explicit Impl(Json text) : document(std::move(text)) {
    for (const Json& method : document.at("methods")) {
      const std::string& name = method.at("name").get_ref<const std::string&>();
      order.push_back(name);
      params[name].source = params_schema(method);
      results[name].source = wrap(method.at("result").at("schema"));
    }
    for (const Json& note : document.value("x-notifications", Json::array())) {
      notifications[note.at("name").get<std::string>()].source = wrap(note.at("schema"));
    }
  }

  struct Checked {
    Json source;  ///< a complete schema document: $ref finds /components in it
    std::unique_ptr<valijson::Schema> compiled;
  };

  std::optional<Violation> check(Checked& checked, const Json& value) const {
    Path path;
    if (auto violation = beyond_schema(checked.source, checked.source, value, path, value)) return violation;
    if (!checked.compiled) {
      checked.compiled = std::make_unique<valijson::Schema>();
      const valijson::adapters::NlohmannJsonAdapter adapter(checked.source);
      valijson::SchemaParser().populateSchema(adapter, *checked.compiled);
    }
    valijson::ValidationResults found;
    const valijson::adapters::NlohmannJsonAdapter target(value);
    if (valijson::Validator().validate(*checked.compiled, target, &found)) return std::nullopt;
    valijson::ValidationResults::Error error;
    if (!found.popError(error))
      return Violation{"", value, "the request does not match the schema of the API", false};
    return explain(checked.source, value, error);
  }

  /// Fills in the defaults of missing members; values of the wrong type are left to check().
  void fill_defaults(const Json& document_root, const Json& unresolved, Json& value) const {
    const Json& schema = resolve(document_root, unresolved);
    if (value.is_object() && schema.contains("properties")) {
      for (const auto& [name, member] : schema["properties"].items()) {
        if (!value.contains(name)) {
          const Json& target = resolve(document_root, member);
          if (target.contains("default")) value[name] = target["default"];
        } else {
          fill_defaults(document_root, member, value[name]);
        }
      }
    } else if (value.is_object() && names_others(schema)) {
      for (Json& member : value) fill_defaults(document_root, schema["additionalProperties"], member);
    } else if (value.is_array() && schema.contains("items")) {
      for (Json& item : value) fill_defaults(document_root, schema["items"], item);
    }
  }

  Json document;
  std::vector<std::string> order;
  mutable std::map<std::string, Checked> params, results, notifications;

 private:
  Json wrap(Json schema) const {
    schema["components"] = {{"schemas", document.at("components").at("schemas")}};
    if (!schema.contains("$ref")) return schema;
    // draft-07 ignores everything beside $ref, including /components, so $ref moves one level down.
    return {{"allOf", {{{"$ref", schema["$ref"]}}}}, {"components", schema["components"]}};
  }

  Json params_schema(const Json& method) const {
    Json properties = Json::object();
    Json required = Json::array();
    for (const Json& param : method.at("params")) {
      const std::string& name = param.at("name").get_ref<const std::string&>();
      properties[name] = param.at("schema");
      if (param.value("required", false)) required.push_back(name);
    }
    Json schema = {{"type", "object"}, {"properties", properties}, {"additionalProperties", false}};
    if (!required.empty()) schema["required"] = required;
    return wrap(schema);
  }

  static const Json& resolve(const Json& root, const Json& schema) {
    const Json* at = &schema;
    for (;;) {
      if (at->contains("allOf")) {
        at = &(*at)["allOf"][0];
      } else if (at->contains("$ref")) {
        at = &root.at(Json::json_pointer((*at)["$ref"].get_ref<const std::string&>().substr(1)));
      } else {
        return *at;
      }
    }
  }

  /// An object whose members all have one schema, under names that users choose.
  static bool names_others(const Json& schema) {
    return schema.contains("additionalProperties") && schema["additionalProperties"].is_object();
  }

  /// The schema of the member at `path`; null when the path leaves what the schema describes.
  static const Json& schema_at(const Json& root, const Path& path) {
    static const Json nothing;
    const Json* at = &resolve(root, root);
    for (const std::string& step : path) {
      if (at->contains("properties") && (*at)["properties"].contains(step)) {
        at = &resolve(root, (*at)["properties"][step]);
      } else if (at->contains("items")) {
        at = &resolve(root, (*at)["items"]);
      } else if (names_others(*at)) {
        at = &resolve(root, (*at)["additionalProperties"]);
      } else {
        return nothing;
      }
    }
    return *at;
  }

  /// Checks what valijson cannot: see the header.
  static std::optional<Violation> beyond_schema(const Json& root, const Json& unresolved, const Json& value,
                                                Path& path, const Json& whole) {
    const Json& schema = resolve(root, unresolved);
    if (value.is_string() && schema.contains("x-device-name")) {
      const std::string trouble = device_name_trouble(value.get_ref<const std::string&>());
      const std::string field = render(path, whole);
      if (!trouble.empty()) return Violation{field, value, field + ": " + trouble, false};
    }
    if (value.is_string() && schema.contains("pattern") &&
        value.get_ref<const std::string&>().size() > kMaxPatternInput) {
      const std::string field = render(path, whole);
      return Violation{field, value,
                       field + " must be " + expected(schema) + ", not one of " +
                           std::to_string(value.get_ref<const std::string&>().size()),
                       false};
    }
    if (value.is_array() && value.size() > kMaxArraySize) {
      const std::string field = render(path, whole);
      return Violation{field, value.size(),
                       field + " may have at most " + std::to_string(kMaxArraySize) + " items", false};
    }
    const auto descend = [&](const Json& member_schema, const Json& member, const std::string& step) {
      path.push_back(step);
      auto violation = beyond_schema(root, member_schema, member, path, whole);
      path.pop_back();
      return violation;
    };
    if (value.is_object() && schema.contains("properties")) {
      for (const auto& [name, member] : schema["properties"].items()) {
        if (!value.contains(name)) continue;
        if (auto violation = descend(member, value[name], name)) return violation;
      }
    } else if (value.is_object() && names_others(schema)) {
      for (const auto& [name, member] : value.items()) {
        if (auto violation = descend(schema["additionalProperties"], member, name)) return violation;
      }
    } else if (value.is_array() && schema.contains("items")) {
      for (std::size_t i = 0; i < value.size(); ++i) {
        if (auto violation = descend(schema["items"], value[i], std::to_string(i))) return violation;
      }
    }
    return std::nullopt;
  }

  static Violation explain(const Json& root, const Json& value,
                           const valijson::ValidationResults::Error& error) {
    Path path = to_path(error.context);
    const std::string& text = error.description;
    if (text.starts_with("Missing required property")) {
      path.push_back(named(text, "property '"));
      const std::string field = render(path, value);
      return {field, nullptr, field + " is missing", false};
    }
    if (text.starts_with("Object contains a property")) {
      path.push_back(named(text, "constraints: '"));
      const std::string field = render(path, value);
      return {field, value_at(path, value), "unknown parameter " + shorten(field), false};
    }
    const std::string field = render(path, value);
    const Json offending = value_at(path, value);
    const Json& schema = schema_at(root, path);
    const std::string given = shorten(offending.dump(-1, ' ', false, Json::error_handler_t::replace));
    if (schema.is_object() && schema.value("x-not-supported-yet", false)) {
      return {field, offending, field + " is not supported yet", true};
    }
    const std::string subject = field.empty() ? "the value" : field;
    if (text.starts_with("Failed to match regex") && schema.is_object()) {
      return {field, offending,
              subject + " does not have the required form: " + given + ". " +
                  schema.value("description", std::string()),
              false};
    }
    if (schema.is_object() && schema.contains("x-hexadecimal") && offending.is_string()) {
      const std::size_t bytes = offending.get_ref<const std::string&>().size() / 2;
      return {field, offending, subject + " must be " + expected(schema) + ", not " + std::to_string(bytes),
              false};
    }
    if (!schema.is_object() || expected(schema).empty())
      return {field, offending, subject + ": " + text, false};
    return {field, offending, subject + " must be " + expected(schema) + ", not " + given, false};
  }
};

Contract::Contract(Json document) : impl_(std::make_unique<Impl>(std::move(document))) {}
Contract::~Contract() = default;
Contract::Contract(Contract&&) noexcept = default;
Contract& Contract::operator=(Contract&&) noexcept = default;

const Json& Contract::document() const {
  return impl_->document;
}
std::vector<std::string> Contract::methods() const {
  return impl_->order;
}
bool Contract::has(const std::string& method) const {
  return impl_->params.count(method) != 0;
}

std::optional<Violation> Contract::check_params(const std::string& method, Json& params) const {
  Impl::Checked& checked = impl_->params.at(method);
  if (auto violation = impl_->check(checked, params)) return violation;
  impl_->fill_defaults(checked.source, checked.source, params);
  return std::nullopt;
}

std::optional<Violation> Contract::check_result(const std::string& method, const Json& result) const {
  return impl_->check(impl_->results.at(method), result);
}

std::optional<Violation> Contract::check_notification(const std::string& name, const Json& params) const {
  return impl_->check(impl_->notifications.at(name), params);
}

const Contract& control() {
  thread_local const Contract contract(Json::parse(embedded::control_openrpc_json));
  return contract;
}

}  // namespace vswitch::openrpc
