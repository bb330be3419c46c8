// SPDX-License-Identifier: Apache-2.0
// export and apply: the settings as one document.
#include <algorithm>
#include <array>
#include <memory>

#include "ctl/arguments.h"
#include "ctl/command.h"
#include "ctl/json_file.h"
#include "ctl/program.h"
#include "ctl/render.h"

namespace vswitch::ctl {
namespace {

constexpr std::size_t kColumns = 100;    // of a line of a document, if it has the choice
constexpr std::size_t kMaxRemarks = 50;  // lines on standard error
/// Seconds that the daemon may take for so many bridges, ports and sessions, in addition to --timeout.
constexpr double kItemsPerSecond = 100;

// The document as text

bool has_objects(const Json& value) {
  return std::any_of(value.begin(), value.end(), [](const Json& one) { return one.is_object(); });
}

std::string in_one_line(const Json& value) {
  if (!value.is_structured()) return value.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string text;
  for (const auto& [name, one] : value.items()) {
    if (!text.empty()) text += ", ";
    if (value.is_object()) text += Json(name).dump(-1, ' ', false, Json::error_handler_t::replace) + ": ";
    text += in_one_line(one);
  }
  return value.is_object() ? '{' + text + '}' : '[' + text + ']';
}

/// JSON with the members in order. What has no objects inside is one line if it fits, so that a port is a line;
/// what has names that users choose never is, so that lines stay when others are added.
void print_json(const Json& value, std::size_t indent, std::size_t column, std::string& text) {
  const bool is_list = value.is_array() && !has_objects(value);  // of VLANs, say, however long
  const bool may_be_line = !value.is_object() || !has_objects(value);
  const std::string line = may_be_line || value.empty() ? in_one_line(value) : "";
  if (!line.empty() &&
      (value.empty() || is_list || !value.is_structured() || column + line.size() <= kColumns)) {
    text += line;
    return;
  }
  text += value.is_object() ? '{' : '[';
  const std::string margin(indent + 2, ' ');
  const char* separator = "\n";
  for (const auto& [name, one] : value.items()) {
    const std::string key =
        value.is_object() ? Json(name).dump(-1, ' ', false, Json::error_handler_t::replace) + ": " : "";
    text += separator + margin + key;
    print_json(one, indent + 2, indent + 2 + key.size(), text);
    separator = ",\n";
  }
  text += '\n' + std::string(indent, ' ') + (value.is_object() ? '}' : ']');
}

// What differs, in words

std::string value_text(const Json& value) {
  if (value.is_null()) return "default";
  if (value.is_string())
    return value.get_ref<const std::string&>().empty() ? "\"\"" : value.get<std::string>();
  if (!value.is_array()) return in_one_line(value);
  std::string text;
  for (const Json& one : value) text += (text.empty() ? "" : ",") + value_text(one);
  return text.empty() ? "none" : text;
}

std::string changes_text(const Json& difference) {
  std::string text;
  for (const Json& change : difference["changes"]) {
    text += (text.empty() ? ": " : ", ") + change["member"].get<std::string>() + ' ';
    if (difference["operation"] == "change") text += value_text(change["before"]) + " -> ";
    text += value_text(change["after"]);
  }
  return text;
}

std::string difference_line(const Json& difference) {
  const std::string operation = difference["operation"], kind = difference["kind"], name = difference["name"];
  std::string text = (operation == "add" ? "+ " : operation == "change" ? "~ " : "- ") + kind;
  if (kind == "bridge") text += ' ' + name;
  if (kind == "port" || kind == "mirror") text += ' ' + difference["bridge"].get<std::string>() + '/' + name;
  text += changes_text(difference);
  if (!difference["reason"].get_ref<const std::string&>().empty())
    text +=
        " (" + difference["state"].get<std::string>() + ": " + difference["reason"].get<std::string>() + ')';
  return printable(text) + '\n';
}

std::string remark_lines(const Json& remarks) {
  std::string text;
  for (std::size_t i = 0; i < std::min(remarks.size(), kMaxRemarks); ++i) {
    const std::string path = remarks[i]["path"];
    text += "vswitch-ctl: warning: " +
            printable((path.empty() ? "" : path + ": ") + remarks[i]["sentence"].get<std::string>()) + '\n';
  }
  if (remarks.size() > kMaxRemarks)
    text += "vswitch-ctl: warning: ... and " + std::to_string(remarks.size() - kMaxRemarks) +
            " more, which --json lists\n";
  return text;
}

// export

Query declare_export_document(CLI::App& app) {
  const Params params = make_params();
  const auto path = std::make_shared<std::string>("-");
  text(app, params, "--bridge", "bridge", "only this bridge, without the settings of the switch as a whole")
      ->type_name("BRIDGE");
  app.add_option("-f,--file", *path, "write to this file, which is replaced as a whole [standard output]")
      ->type_name("FILE");
  return [params, path] {
    Call call{"system.export", *params};
    if (*path != "-") call.output = *path;
    return std::vector<Call>{call};
  };
}

std::string render_document(const Json& result) {
  std::string text;
  print_json(result["document"], 0, 0, text);
  return text + '\n';
}

std::string export_remarks(const Json& result) {
  return remark_lines(result["left_out"]);
}

// apply

std::size_t items_of(const Json& document) {
  std::size_t items = 0;
  for (const Json& bridge : document.value("bridges", Json::object())) {
    ++items;
    if (!bridge.is_object()) continue;
    for (const char* list : {"ports", "mirrors"}) items += bridge.value(list, Json()).size();
  }
  return items;
}

Query declare_apply(CLI::App& app) {
  const Params params = make_params();
  const auto path = std::make_shared<std::string>();
  app.add_option("-f,--file", *path, "the document, as export prints it, - for standard input")
      ->required()
      ->type_name("FILE");
  text(app, params, "--bridge", "bridge", "only this bridge of the document")->type_name("BRIDGE");
  flag(app, params, "--prune", "prune", true, "remove what the document does not have");
  flag(app, params, "--dry-run", "dry_run", true,
       "show what differs and change nothing; exit status 5 if something does, 0 if not");
  return [params, path] {
    Json document = read_json_without_repeats(*path);
    if (!document.is_object())
      throw UsageError((*path == "-" ? "standard input" : *path) +
                       " is not a document of settings, which is an object with version and bridges");
    Call call{"system.apply", *params};
    call.waits = static_cast<double>(items_of(document)) / kItemsPerSecond;
    call.params["document"] = std::move(document);
    return std::vector<Call>{call};
  };
}

std::string render_apply(const Json& result) {
  if (!result["changed"].get<bool>()) return "nothing to do\n";
  std::string text;
  std::array<std::size_t, 3> counts{};
  for (const Json& difference : result["differences"]) {
    text += difference_line(difference);
    ++counts[difference["operation"] == "add" ? 0 : difference["operation"] == "change" ? 1 : 2];
  }
  const bool dry_run = result["dry_run"];
  return text + std::to_string(counts[0]) + (dry_run ? " to add, " : " added, ") + std::to_string(counts[1]) +
         (dry_run ? " to change, " : " changed, ") + std::to_string(counts[2]) +
         (dry_run ? " to remove: a dry run, nothing was changed\n" : " removed\n");
}

std::string apply_remarks(const Json& result) {
  return remark_lines(result["kept"]);
}

int apply_status(const Json& result) {
  return result["dry_run"].get<bool>() && result["changed"].get<bool>() ? kDiffers : kDone;
}

}  // namespace

const std::vector<Command> kDocumentCommands = {
    {.name = "export",
     .summary = "print all settings as one document, for apply",
     .example = "\n--bridge br0 -f br0.json",
     .declare = declare_export_document,
     .render = render_document,
     .remarks = export_remarks,
     .progress = "exporting"},
    {.name = "apply",
     .summary = "give bridges, ports and sessions the settings of a document, all or none",
     .example = "-f site.json --dry-run\n-f site.json --prune",
     .declare = declare_apply,
     .render = render_apply,
     .remarks = apply_remarks,
     .outcome = apply_status,
     .progress = "applying"},
};

}  // namespace vswitch::ctl
