// SPDX-License-Identifier: Apache-2.0
// Commands that answer "why": what would happen to a frame, and which sessions watch a port.
#include <boost/algorithm/hex.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <iterator>
#include <map>
#include <ostream>
#include <span>
#include <system_error>

#include "ctl/arguments.h"
#include "ctl/capture_file.h"
#include "ctl/command.h"
#include "ctl/frame_text.h"
#include "ctl/output_file.h"
#include "ctl/pcapng.h"
#include "ctl/program.h"
#include "ctl/progress.h"
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

constexpr std::size_t kLeastFrame = 14, kMostFrame = 65535;  // bytes, as in the contract
constexpr std::size_t kMostFrames = 1000;                    // of a file, unless --limit says otherwise

struct FrameSource {
  std::string hex;
  std::string file;
  std::size_t number = 0;  ///< 0: all
  std::size_t limit = kMostFrames;
  bool next = false;
  std::string match;
  double wait = 10;
  std::string write;
  bool as_hex = false;
};

std::string hex_of(const std::vector<std::uint8_t>& bytes) {
  std::string hex;
  boost::algorithm::hex_lower(bytes.begin(), bytes.end(), std::back_inserter(hex));
  return hex;
}

bool is_explicable(std::size_t length) {
  return length >= kLeastFrame && length <= kMostFrame;
}

/// What run_explain() asks for one by one, and where the rest of the file is.
Json frames_json(const CapturedFrames& found) {
  Json frames = Json::array();
  for (const CapturedFrame& one : found.frames)
    frames.push_back({{"number", one.number},
                      {"time_ns", one.unix_time_ns},
                      {"length", one.length},
                      {"frame", hex_of(one.bytes)}});
  return frames;
}

Query declare_explain(CLI::App& app) {
  const Params params = make_params();
  text(app, params, "bridge", "bridge", "the bridge");
  text(app, params, "--in-port,--port", "in_port", "port the frame arrives on; with --next [any]")
      ->type_name("PORT");
  auto source = std::make_shared<FrameSource>();
  auto* hex =
      app.add_option("--frame", source->hex, "the frame from its destination address on, in hexadecimal")
          ->type_name("HEX");
  auto* file =
      app.add_option("--pcap,-r", source->file, "take the frames from a capture file (pcap or pcapng)")
          ->type_name("FILE");
  app.add_option("--number", source->number, "only this frame of the file, in full")
      ->needs(file)
      ->check(CLI::PositiveNumber);
  app.add_option("--limit", source->limit, "at most so many frames of the file")
      ->needs(file)
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  hex->excludes(file);
  auto* next = app.add_flag("--next", source->next, "wait for the next frame and explain it");
  next->excludes(hex)->excludes(file);
  app.add_option("--match", source->match, "with --next: the next one that fits, such as tcp,tp_dst=80")
      ->needs(next)
      ->type_name("MATCH");
  seconds(app, "--wait", source->wait, "with --next: seconds to wait for it")->needs(next);
  app.add_option("-w,--write", source->write,
                 "write what leaves the switch to a pcapng file, each frame with its port and session")
      ->type_name("FILE");
  app.add_flag("--hex", source->as_hex, "show frames in hexadecimal instead of in words");
  return [params, source] {
    if (source->write == "-") throw UsageError("-w takes the name of a file; standard output has the text");
    Json local = {{"write", source->write}, {"hex", source->as_hex}};
    if (source->next) {
      (*params)["next"] = {{"wait", source->wait}};
      if (!source->match.empty()) (*params)["next"]["match"] = source->match;
      return std::vector<Call>{Call{"mirror.explain", *params, source->wait, false, local}};
    }
    if (source->hex.empty() == source->file.empty())
      throw UsageError("give the frame with --frame HEX or --pcap FILE, or wait for one with --next");
    if (!params->contains("in_port"))
      throw UsageError("--in-port is required: the port on which the frame arrives");
    if (!source->hex.empty()) {
      (*params)["frame"] = digits(source->hex);
      return std::vector<Call>{Call{"mirror.explain", *params, 0, false, local}};
    }
    const bool one = source->number != 0;
    const CapturedFrames found =
        frames_of_capture(source->file, one ? source->number : 1, one ? 1 : source->limit);
    // The contract is checked with the first one that can be explained.
    const auto first = std::ranges::find_if(
        found.frames, [](const CapturedFrame& frame) { return is_explicable(frame.bytes.size()); });
    (*params)["frame"] = hex_of((first == found.frames.end() ? found.frames.begin() : first)->bytes);
    if (!one) {
      local["frames"] = frames_json(found);
      local["trouble"] = found.trouble;
      local["has_more"] = found.has_more;
    } else {
      local["time_ns"] = found.frames.front().unix_time_ns;
    }
    return std::vector<Call>{Call{"mirror.explain", *params, 0, false, local}};
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

/// The frame that leaves, compared with the one that came: in words, or as digits.
std::string as_shown(const std::string& came, const std::string& leaves, bool hex) {
  if (hex) return leaves;
  if (leaves == came) return "as it came";
  if (came.starts_with(leaves)) return "its first " + std::to_string(leaves.size() / 2) + " bytes";
  return frame_text(bytes_of_hex(leaves));
}

constexpr std::size_t kWhyColumns = 24;

/// One frame in full. `came`: in hexadecimal.
std::string explanation_text(const Json& result, const std::string& came, bool hex) {
  std::string text;
  if (result.contains("frame")) {
    text = "a frame of " + std::to_string(bytes(result["frame"])) + " bytes came on " +
           printable(result["in_port"].get<std::string>()) + ": " + result["frame"].get<std::string>() + '\n';
  }
  text += frame_text(bytes_of_hex(came)) + '\n';
  for (const Json& line : result["trace"]) text += printable(line.get<std::string>()) + '\n';
  Table table({"GOES TO", "AS", "BYTES", Column("FRAME").cut(1, kWhyColumns).wrap()});
  for (const Json& output : result["outputs"]) {
    table.add({output["port"], "frame", bytes(output["frame"]), as_shown(came, output["frame"], hex)});
  }
  for (const Json& copy : result["copies"]) {
    table.add({copy["port"], "copy of " + copy["session"].get<std::string>(), bytes(copy["frame"]),
               as_shown(came, copy["frame"], hex)});
  }
  text += table.empty() ? "the frame is not forwarded\n" : table.text();
  text += who_carries(result.value("fast_path", Json()));
  Table verdicts({"SESSION", "COPIES IT", Column("WHY").cut(1, kWhyColumns).wrap()});
  for (const Json& mirror : result["mirrors"]) {
    std::string why = mirror["reason"];
    for (const Json& limit : mirror.value("then", Json::array())) why += "; " + limit.get<std::string>();
    verdicts.add({mirror["session"], mirror["copied"] == true ? "yes" : "no", why});
  }
  return verdicts.empty() ? text : text + verdicts.text();
}

// Many frames, in a few lines each

constexpr const char* kIndented = "    ";

std::string indented_line(const std::string& text) {
  return kIndented + printable(text) + '\n';
}

std::string lines_of_frame(const Json& frame, const Json& result, bool hex) {
  const std::string came = frame["frame"];
  const std::size_t length = frame["length"];
  std::string text = "frame " + frame["number"].dump() + ": " + frame_text(bytes_of_hex(came)) + ", " +
                     std::to_string(length) + " bytes";
  if (bytes(came) < length) text += ", of which the file has " + std::to_string(bytes(came));
  text += '\n';
  if (result.is_null())
    return text + indented_line("no frame of Ethernet, which has " + std::to_string(kLeastFrame) + " to " +
                                std::to_string(kMostFrame) + " bytes");
  std::vector<std::string> steps = result["trace"];
  text += indented_line(join(steps, "; "));
  for (const Json& output : result["outputs"])
    text +=
        indented_line(output["port"].get<std::string>() + " gets it " +
                      (output["frame"] == came && !hex ? "" : "as: ") + as_shown(came, output["frame"], hex));
  for (const Json& copy : result["copies"])
    text += indented_line(copy["port"].get<std::string>() + " gets a copy of " +
                          copy["session"].get<std::string>() + ": " + as_shown(came, copy["frame"], hex));
  for (const Json& mirror : result["mirrors"]) {
    const std::string session = mirror["session"];
    if (mirror["copied"] != true)
      text += indented_line(session + " does not copy it: " + mirror["reason"].get<std::string>());
    for (const Json& limit : mirror.value("then", Json::array()))
      text += indented_line(session + ": " + limit.get<std::string>());
  }
  return text;
}

/// What leaves the switch, as a pcapng file: an interface for each port, and the session in a comment.
class Leaving {
 public:
  Leaving() { pcapng::add_section(file_, "vswitch-ctl " VSWITCH_VERSION); }

  void add(const Json& result, std::uint64_t time_ns) {
    for (const Json& output : result["outputs"]) add(output, "", time_ns);
    for (const Json& copy : result["copies"])
      add(copy, "copy of " + copy["session"].get<std::string>(), time_ns);
  }
  const std::string& file() const { return file_; }

 private:
  void add(const Json& sent, const std::string& comment, std::uint64_t time_ns) {
    const std::string port = sent["port"];
    const auto [at, is_new] = interfaces_.emplace(port, static_cast<std::uint32_t>(interfaces_.size()));
    if (is_new) pcapng::add_interface(file_, port, 0);
    const std::vector<std::uint8_t> frame = bytes_of_hex(sent["frame"].get<std::string>());
    pcapng::add_packet(file_, {.interface = at->second,
                               .unix_time_ns = time_ns,
                               .inbound = false,
                               .length = static_cast<std::uint32_t>(frame.size()),
                               .bytes = std::as_bytes(std::span(frame)),
                               .comment = comment});
  }

  std::string file_;
  std::map<std::string, std::uint32_t> interfaces_;
};

std::string json_text(const Json& result) {
  return result.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

std::uint64_t now_ns() {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(since_1970).count());
}

/// "3 frames: 2 forwarded, 1 not; copied by span0: 2"
struct FrameCount {
  std::size_t frames = 0, forwarded = 0;
  std::map<std::string, std::size_t> copied;

  void add(const Json& result) {
    ++frames;
    if (!result["outputs"].empty()) ++forwarded;
    for (const Json& mirror : result["mirrors"]) {
      if (mirror["copied"] == true) ++copied[mirror["session"].get<std::string>()];
    }
  }
  std::string text() const {
    std::string all = std::to_string(frames) + (frames == 1 ? " frame: " : " frames: ") +
                      std::to_string(forwarded) + " forwarded, " + std::to_string(frames - forwarded) +
                      " not";
    for (const auto& [session, count] : copied)
      all += "; copied by " + printable(session) + ": " + std::to_string(count);
    return all + '\n';
  }
};

void explain_file(Caller& daemon, const Call& call, World& world, bool json, Leaving& leaving) {
  const Json& local = call.for_render;
  FrameCount count;
  Json answers = Json::array();
  std::string text;
  {
    const Progress progress(world.err, "explaining");
    for (const Json& frame : local["frames"]) {
      Json result;
      if (is_explicable(bytes(frame["frame"]))) {
        Json params = call.params;
        params["frame"] = frame["frame"];
        result = daemon.call(call.method, params);
        count.add(result);
        leaving.add(result, frame["time_ns"].get<std::uint64_t>());
      }
      if (json) {
        answers.push_back({{"number", frame["number"]}, {"frame", frame["frame"]}, {"explanation", result}});
      } else {
        text += lines_of_frame(frame, result, local["hex"] == true);
      }
    }
  }
  if (json) {
    world.out << json_text({{"frames", answers}});
  } else {
    world.out << text << count.text();
  }
  const std::string trouble = local["trouble"];
  if (!trouble.empty()) world.err << "vswitch-ctl: " << printable(trouble) << '\n';
  if (local["has_more"] == true)
    world.err << "vswitch-ctl: the file has more frames; --limit N takes more of them\n";
}

int run_explain(Caller& daemon, const Call& call, World& world, bool json) {
  const Json& local = call.for_render;
  Leaving leaving;
  if (local.contains("frames")) {
    explain_file(daemon, call, world, json, leaving);
  } else {
    const Json result = daemon.call(call.method, call.params);
    const std::string came = result.value("frame", call.params.value("frame", ""));
    leaving.add(result, local.contains("time_ns") ? local["time_ns"].get<std::uint64_t>() : now_ns());
    world.out << (json ? json_text(result) : explanation_text(result, came, local["hex"] == true));
  }
  if (!world.out.flush())
    throw std::system_error(errno == 0 ? EIO : errno, std::generic_category(), "cannot write the output");
  if (const std::string file = local["write"]; !file.empty()) write_output(file, leaving.file());
  return kDone;
}

std::string render_who(const Json& result) {
  Table table({"BRIDGE", "SESSION", "ROLE", "DIRECTION", Column("CHOSEN BY").cut(1), state_column()});
  for (const Json& session : result["sessions"]) {
    table.add({session["bridge"], session["name"], session["role"], session["direction"], session["via"],
               session["state"]});
  }
  if (!table.empty()) return table.text();
  return "no session watches " + printable(result["port"].get<std::string>()) + " or delivers to it\n";
}

}  // namespace

const std::vector<Command> kExplainCommands = {
    {"explain", "say what would happen to frames, and which sessions would copy them, and why",
     "br0 --in-port t1 --frame ffffffffffff5254000a0b0c0800\n"
     "br0 --next --port t1 --match tcp,tp_dst=80 --wait 60\n"
     "br0 --in-port t1 --pcap t1.pcapng -w leaving.pcapng",
     declare_explain, render_nothing, nullptr, nullptr, nullptr, nullptr, nullptr, run_explain},
    {"who", "list the sessions that watch a port or deliver to it", "t1", declare_who, render_who},
};

}  // namespace vswitch::ctl
