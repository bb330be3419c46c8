// SPDX-License-Identifier: Apache-2.0
// Commands that answer "why": what would happen to a frame, and which sessions watch a port.
#include "ctl/arguments.h"
#include "ctl/capture_file.h"
#include "ctl/command.h"
#include "ctl/render.h"

namespace vswitch::ctl {
namespace {

/// Removes the spaces and colons that people copy along with hexadecimal digits.
std::string digits(const std::string& text) {
  std::string clean;
  for (const char c : text) {
    if (c != ' ' && c != ':' && c != '\n' && c != '\t') clean += c;
  }
  return clean;
}

struct FrameSource {
  std::string hex;
  std::string file;
  std::size_t number = 1;
  bool next = false;
  std::string match;
  double wait = 10;
};

Query declare_explain(CLI::App& app) {
  const Params params = make_params();
  text(app, params, "bridge", "bridge", "the bridge");
  text(app, params, "--in-port,--port", "in_port", "port the frame arrives on; with --next [any]")
      ->type_name("PORT");
  auto source = std::make_shared<FrameSource>();
  auto* hex =
      app.add_option("--frame", source->hex, "the frame from its destination address on, in hexadecimal")
          ->type_name("HEX");
  auto* file = app.add_option("--pcap", source->file, "take the frame from a capture file (pcap or pcapng)")
                   ->type_name("FILE");
  app.add_option("--number", source->number, "which frame of the file")->needs(file)->capture_default_str();
  hex->excludes(file);
  auto* next = app.add_flag("--next", source->next, "wait for the next frame and explain it");
  next->excludes(hex)->excludes(file);
  app.add_option("--match", source->match, "with --next: the next one that fits, such as tcp,tp_dst=80")
      ->needs(next)
      ->type_name("MATCH");
  seconds(app, "--wait", source->wait, "with --next: seconds to wait for it")->needs(next);
  return [params, source] {
    if (source->next) {
      (*params)["next"] = {{"wait", source->wait}};
      if (!source->match.empty()) (*params)["next"]["match"] = source->match;
      return std::vector<Call>{{"mirror.explain", *params, source->wait}};
    }
    if (source->hex.empty() == source->file.empty())
      throw UsageError("give the frame with --frame HEX or --pcap FILE, or wait for one with --next");
    if (!params->contains("in_port"))
      throw UsageError("--in-port is required: the port on which the frame arrives");
    (*params)["frame"] =
        source->hex.empty() ? frame_of_capture(source->file, source->number) : digits(source->hex);
    return std::vector<Call>{{"mirror.explain", *params}};
  };
}

Query declare_who(CLI::App& app) {
  const Params params = make_params();
  text(app, params, "port", "port", "name of the port");
  return [params] { return std::vector<Call>{{"mirror.who", *params}}; };
}

std::size_t bytes(const Json& hex) {
  return hex.get_ref<const std::string&>().size() / 2;
}

/// Nothing if the daemon is too old to say it.
std::string who_carries(const Json& fast_path) {
  if (fast_path.is_null()) return {};
  if (fast_path["carried"] != true)
    return "user space carries such frames: " + printable(fast_path["reason"].get<std::string>()) + '\n';
  std::string sessions;
  for (const Json& session : fast_path["user_copies"])
    sessions += (sessions.empty() ? "" : ", ") + printable(session.get<std::string>());
  return "the kernel carries such frames" +
         (sessions.empty() ? sessions : "; user space makes the copies of " + sessions) + '\n';
}

std::string render_explain(const Json& result) {
  std::string text;
  if (result.contains("frame")) {
    text = "a frame of " + std::to_string(bytes(result["frame"])) + " bytes came on " +
           printable(result["in_port"].get<std::string>()) + ": " + result["frame"].get<std::string>() + '\n';
  }
  for (const Json& line : result["trace"]) text += printable(line.get<std::string>()) + '\n';
  Table table({"GOES TO", "AS", "BYTES", "FRAME"});
  for (const Json& output : result["outputs"]) {
    table.add({output["port"], "frame", bytes(output["frame"]), output["frame"]});
  }
  for (const Json& copy : result["copies"]) {
    table.add(
        {copy["port"], "copy of " + copy["session"].get<std::string>(), bytes(copy["frame"]), copy["frame"]});
  }
  text += table.empty() ? "the frame is not forwarded\n" : table.text();
  text += who_carries(result.value("fast_path", Json()));
  Table verdicts({"SESSION", "COPIES IT", "WHY"});
  for (const Json& mirror : result["mirrors"]) {
    std::string why = mirror["reason"];
    for (const Json& limit : mirror.value("then", Json::array())) why += "; " + limit.get<std::string>();
    verdicts.add({mirror["session"], mirror["copied"] == true ? "yes" : "no", why});
  }
  return verdicts.empty() ? text : text + verdicts.text();
}

std::string render_who(const Json& result) {
  Table table({"BRIDGE", "SESSION", "ROLE", "DIRECTION", "CHOSEN BY", "STATE"});
  for (const Json& session : result["sessions"]) {
    table.add({session["bridge"], session["name"], session["role"], session["direction"], session["via"],
               session["state"]});
  }
  if (!table.empty()) return table.text();
  return "no session watches " + printable(result["port"].get<std::string>()) + " or delivers to it\n";
}

}  // namespace

const std::vector<Command> kExplainCommands = {
    {"explain", "say what would happen to a frame, and which sessions would copy it, and why",
     "br0 --in-port t1 --frame ffffffffffff5254000a0b0c0800\n"
     "br0 --next --port t1 --match tcp,tp_dst=80 --wait 60",
     declare_explain, render_explain},
    {"who", "list the sessions that watch a port or deliver to it", "t1", declare_who, render_who},
};

}  // namespace vswitch::ctl
