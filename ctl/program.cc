// SPDX-License-Identifier: Apache-2.0
// Parses, asks, prints.
#include "ctl/program.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <ostream>
#include <sstream>
#include <system_error>

#include "ctl/arguments.h"
#include "ctl/command.h"
#include "ctl/completion.h"
#include "ctl/nearest.h"
#include "ctl/output_file.h"
#include "ctl/progress.h"
#include "ctl/render.h"
#include "ctl/wording.h"
#include "schemas/openrpc.h"
#include "schemas/plain_text.h"

namespace vswitch::ctl {
namespace {

constexpr const char* kProgram = "vswitch-ctl";
constexpr double kDefaultTimeout = 30;  // seconds; a reply comes when the change is in the datapath
constexpr double kDefaultInterval = 1;

struct Options {
  std::string socket, rundir;
  wire::TlsFiles keys;
  bool json = false;
  std::string color = "auto";
  double timeout = kDefaultTimeout;
  bool watch = false;
  double interval = kDefaultInterval;
  std::int64_t count = 0;  ///< iterations of --watch, 0: until interrupted
};

struct Parsed {
  Options options;
  std::unique_ptr<CLI::App> program;  ///< knows what options are called
  const Command* command = nullptr;
  std::vector<Call> calls;
  std::vector<std::string> local;  ///< of a command that vswitchd does
};

void complain(World& world, const std::string& sentence, const std::string& what_next) {
  world.err << kProgram << ": " << plain_text(sentence, '?') << '\n';
  if (!what_next.empty()) world.err << what_next << '\n';
}

/// Whoever reads the file must not take it for all there is. A closed pipe ends the tool by its signal.
void check_written(World& world) {
  if (world.out.flush()) return;
  throw std::system_error(errno == 0 ? EIO : errno, std::generic_category(), "cannot write the output");
}

bool wants_colours(const Options& options, const World& world) {
  if (options.color != "auto") return options.color == "always";
  const std::string terminal = world.environment("TERM").value_or("");
  return world.terminal && world.environment("NO_COLOR").value_or("").empty() && !terminal.empty() &&
         terminal != "dumb";
}

/// What the output is laid out for now: the size of a terminal can change.
Screen screen_of(const Options& options, const World& world) {
  Screen screen;
  if (world.terminal) {
    if (world.size) screen = world.size();
    const auto columns = parse_number(world.environment("COLUMNS").value_or(""));
    if (columns && *columns > 0) screen.width = static_cast<std::size_t>(*columns);
  }
  screen.colours = wants_colours(options, world);
  return screen;
}

std::string run_directory(const Options& options, const World& world) {
  std::string rundir = options.rundir;
  if (rundir.empty()) rundir = world.environment("OVS_RUNDIR").value_or("");
  return rundir.empty() ? "/run/vswitch" : rundir;
}

std::string socket_path(const Options& options, const World& world) {
  if (!options.socket.empty()) return options.socket;
  if (options.rundir.empty()) {
    if (const auto path = world.environment("VSWITCH_SOCKET"); path && !path->empty()) return *path;
  }
  return run_directory(options, world) + "/db.sock";
}

void declare_globals(CLI::App& app, Options& options) {
  app.add_option("--socket,--db", options.socket,
                 "control socket of the daemon, or ssl:ADDRESS[:PORT], tcp:ADDRESS[:PORT] [VSWITCH_SOCKET]")
      ->type_name("PATH");
  app.add_option("--private-key,-p", options.keys.private_key, "private key for ssl:")->type_name("FILE");
  app.add_option("--certificate,-c", options.keys.certificate, "certificate of the private key")
      ->type_name("FILE");
  app.add_option("--ca-cert,-C", options.keys.ca_cert, "certificate of the CA that signed the daemon's")
      ->type_name("FILE");
  app.add_option("--rundir", options.rundir, "directory with its db.sock [OVS_RUNDIR, /run/vswitch]")
      ->type_name("DIR");
  app.add_flag("--json", options.json, "print the result of the session API as JSON");
  app.add_option("--color,--colour", options.color,
                 "colours for states: always, never, or auto: on a terminal, unless NO_COLOR is set")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str();
  seconds(app, "--timeout", options.timeout, "seconds to wait for an answer");
  app.set_version_flag("--version", std::string(kProgram) + " " VSWITCH_VERSION,
                       "print the version of the tool");
}

void declare_watch(CLI::App& app, Options& options) {
  auto* watch = app.add_flag("--watch,-w", options.watch,
                             "refresh periodically, counters as rates, until interrupted; waits for the next "
                             "daemon if one ends");
  seconds(app, "--interval", options.interval, "seconds between refreshes")->needs(watch);
  app.add_option("--count", options.count, "stop after this many iterations")
      ->needs(watch)
      ->check(CLI::PositiveNumber);
}

std::vector<std::string> command_names() {
  std::vector<std::string> names{"help"};
  for (const Command* command : commands()) names.emplace_back(command->name);
  return names;
}

std::vector<std::string>::iterator find_command(std::vector<std::string>& arguments) {
  const std::vector<std::string> names = command_names();
  return std::find_first_of(arguments.begin(), arguments.end(), names.begin(), names.end());
}

/// Commands as `VERB NOUN`, `NOUN VERB` or in the words of other tools: the command they mean.
std::optional<std::string> meant_by(const std::vector<std::string>& words) {
  const std::vector<std::string> names = command_names();
  const auto known = [&](const std::string& name) { return std::ranges::find(names, name) != names.end(); };
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    for (const std::string& pair : {words[i] + '-' + words[i + 1], words[i + 1] + '-' + words[i]}) {
      if (const std::string name = in_our_words(pair); known(name)) return name;
    }
  }
  for (const std::string& word : words) {
    if (const std::string name = in_our_words(word); known(name)) return name;
  }
  return std::nullopt;
}

constexpr const char* kOneCommand =
    "vswitch-ctl takes one command at a time; ovs-vsctl, which works with this daemon too, takes several "
    "with --";

[[noreturn]] void refuse_no_command(const std::vector<std::string>& extras) {
  if (extras.empty()) throw UsageError("no command given");
  const std::string& first = extras.front();
  if (first.starts_with('-')) throw UsageError("unknown option '" + first + "', and no command given");
  const auto meant =
      meant_by({extras.begin(), extras.begin() + std::min<std::ptrdiff_t>(2, std::ssize(extras))});
  throw UsageError("unknown command '" + first + "'" +
                   (meant ? "; did you mean " + *meant + "?" : did_you_mean(first, command_names())));
}

/// `help` and `help COMMAND` are --help and COMMAND --help.
void take_help(std::vector<std::string>& arguments) {
  const auto help = find_command(arguments);
  if (help == arguments.end() || *help != "help") return;
  const auto about = arguments.erase(help);
  if (about != arguments.end() && find_command(arguments) != about) refuse_no_command({*about});
  arguments.emplace_back("--help");
}

/// ovs-vsctl takes options of a command before its name, and so do we: `--may-exist add-br br0`.
void move_behind_command(std::vector<std::string>& arguments) {
  const auto command = find_command(arguments);
  if (command == arguments.end()) return;
  std::stable_partition(arguments.begin(), command + 1, [](const std::string& word) {
    return word != "--may-exist" && word != "--if-exists";
  });
}

struct Declared {
  const Command* command;
  CLI::App* app;
  Query query;
};

/// "Example: vswitch-ctl ...", or several, one per line.
std::string examples_of(const Command& command) {
  const std::string call = std::string(kProgram) + ' ' + std::string(command.name);
  std::string text;
  std::string_view rest = command.example;
  do {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    text += (text.empty() ? "Example: " : "\n         ") + call;
    if (!line.empty()) text += ' ' + std::string(line);
  } while (!rest.empty());
  return text;
}

struct Group {
  const char* title;
  std::vector<const std::vector<Command>*> tables;
};

/// As --help shows them.
const std::vector<Group>& groups() {
  static const std::vector<Group> all = {
      {"Bridges", {&kBridgeCommands}},
      {"Ports", {&kPortCommands}},
      {"Mirror sessions", {&kMirrorCommands, &kVsphereCommands}},
      {"Settings as text", {&kDocumentCommands}},
      {"Counters and health", {&kStatsCommands, &kHealthCommands}},
      {"Frames and addresses", {&kCaptureCommands, &kExplainCommands, &kFdbCommands}},
      {"The daemon", {&kSystemCommands}},
  };
  return all;
}

std::string group_of(const Command* command) {
  for (const Group& group : groups()) {
    for (const std::vector<Command>* table : group.tables) {
      if (command >= table->data() && command < table->data() + table->size()) return group.title;
    }
  }
  return "Subcommands";
}

std::vector<Declared> declare_commands(CLI::App& app, Options& options) {
  std::vector<Declared> all;
  for (const Command* command : commands()) {
    CLI::App* sub = app.add_subcommand(std::string(command->name), std::string(command->summary));
    sub->fallthrough();
    sub->group(group_of(command));
    sub->footer(examples_of(*command));
    all.push_back({command, sub, command->declare(*sub)});
    if (command->watch != nullptr) declare_watch(*sub, options);
  }
  return all;
}

/// JSON carries UTF-8 only.
void check_text(const Json& params) {
  try {
    params.dump();
  } catch (const Json::type_error&) {
    throw UsageError("an argument is not UTF-8, which names and values must be");
  }
}

/// A wrong value is wrong usage: the contract that the daemon checks is compiled in here as well.
void check_calls(const CLI::App& command, const std::vector<Call>& calls) {
  for (const Call& call : calls) {
    Json copy = call.params;
    const auto violation = openrpc::control().check_params(call.method, copy);
    if (violation) throw UsageError(in_options(command, violation->field, violation->sentence));
    check_text(call.params);
  }
}

/// The long names of the options of a command, and of all commands.
std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::App* app : {&command, command.get_parent()}) {
    for (const CLI::Option* option : app->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

[[noreturn]] void refuse_extra(const CLI::App& command, const std::string& extra) {
  const std::string name = extra.substr(0, extra.find('='));
  const std::vector<std::string> options = option_names(command);
  std::string hint;
  if (name.starts_with('-')) {
    const auto other = option_in_our_words(name, options);
    hint = other ? "; did you mean " + *other + "?" : did_you_mean(name, options);
  } else if (name != extra && std::ranges::find(options, "--" + name) != options.end()) {
    hint = "; did you mean --" + name + ' ' + extra.substr(name.size() + 1) + "?";
  } else if (const auto meant = meant_by({command.get_name(), extra});
             meant && *meant != command.get_name()) {
    hint = "; did you mean " + *meant + "?";
  }
  throw UsageError(command.get_name() + " does not take '" + extra + "'" + hint);
}

std::string upper(std::string text) {
  for (char& letter : text)
    letter = static_cast<char>(letter >= 'a' && letter <= 'z' ? letter - 'a' + 'A' : letter);
  return text;
}

/// What CLI11 has to say, with the command it is about.
[[noreturn]] void refuse_arguments(const CLI::ParseError& error, std::vector<std::string>& arguments,
                                   const CLI::App& app) {
  const auto command = find_command(arguments);
  if (command == arguments.end()) throw UsageError(error.what());
  std::string usage;
  if (error.get_name() == "RequiredError") {
    usage = ": vswitch-ctl " + *command;
    for (const CLI::Option* option : app.get_subcommand(*command)->get_options()) {
      if (option->get_positional())
        usage +=
            option->get_required() ? ' ' + upper(option->get_name()) : " [" + upper(option->get_name()) + ']';
    }
  }
  throw UsageError(*command + ": " + error.what() + usage);
}

/// nullopt if nothing is left to do (--help, --version).
std::optional<Parsed> parse(std::vector<std::string> arguments, World& world) {
  Parsed parsed;
  parsed.program = std::make_unique<CLI::App>(
      "Sets up and shows a vswitch: bridges, ports and mirror sessions.", kProgram);
  CLI::App& app = *parsed.program;
  app.require_subcommand(0, 1);
  app.allow_extras();  // so that the error about them is ours
  app.footer(
      "Exit status: 0 done and in the datapath, 1 refused, 2 wrong usage, 3 no daemon answers, "
      "4 the tool failed.\n"
      "vswitch-ctl help COMMAND, or COMMAND --help, shows the arguments of a command.");
  declare_globals(app, parsed.options);
  const std::vector<Declared> declared = declare_commands(app, parsed.options);
  take_help(arguments);
  move_behind_command(arguments);
  try {
    std::vector<std::string> backwards(arguments.rbegin(), arguments.rend());  // as CLI11 takes them
    app.parse(backwards);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) refuse_arguments(error, arguments, app);
    app.exit(error, world.out, world.err);
    check_written(world);
    return std::nullopt;
  }
  const auto chosen =
      std::find_if(declared.begin(), declared.end(), [](const Declared& one) { return one.app->parsed(); });
  const std::vector<std::string> extras = app.remaining(true);
  if (chosen == declared.end()) refuse_no_command(extras);
  parsed.command = chosen->command;
  if (std::ranges::find(arguments, "--") != arguments.end()) throw UsageError(kOneCommand);
  if (!extras.empty()) refuse_extra(*chosen->app, extras.front());
  parsed.calls = chosen->query();
  check_calls(*chosen->app, parsed.calls);
  if (parsed.command->local != nullptr) parsed.local = parsed.command->local(*chosen->app);
  return parsed;
}

Json ask(Caller& daemon, const std::vector<Call>& calls) {
  if (calls.size() == 1) return daemon.call(calls.front().method, calls.front().params);
  Json merged = Json::object();
  for (const Call& call : calls) merged.update(daemon.call(call.method, call.params));
  return merged;
}

std::string as_json(const Json& result, int indent) {
  return result.dump(indent, ' ', false, Json::error_handler_t::replace) + '\n';
}

/// Survives restarts of the daemon: rates begin again with the next one.
void watch(const Parsed& parsed, std::unique_ptr<Caller> daemon, World& world,
           const std::function<std::unique_ptr<Caller>()>& connect) {
  constexpr const char* kClear = "\x1b[H\x1b[J";
  std::vector<Call> repeated;
  for (const Call& call : parsed.calls) {
    if (call.once)
      daemon->call(call.method, call.params);
    else
      repeated.push_back(call);
  }
  Json before;
  auto then = std::chrono::steady_clock::now();
  for (std::int64_t look = 1;; ++look) {
    Json result;
    while (result.is_null()) {
      try {
        if (daemon == nullptr) daemon = connect();
        result = ask(*daemon, repeated);
      } catch (const NoDaemon& error) {
        if (look == 1) throw;
        if (daemon != nullptr) complain(world, std::string(error.what()) + "; waiting for the next one", "");
        daemon.reset();
        before = Json();
        world.sleep(std::chrono::duration<double>(kDefaultInterval));
        if (!world.out) return;
      }
    }
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::max(std::chrono::duration<double>(now - then).count(), 1e-3);
    if (parsed.options.json) {
      world.out << as_json(result, -1);
    } else {
      const ScreenScope scope(screen_of(parsed.options, world));
      const std::string text = parsed.command->watch(result, before, seconds);
      world.out << (world.terminal ? kClear + cut_to_height(text, screen()) : text);
    }
    check_written(world);
    if (look == parsed.options.count) return;
    before = std::move(result);
    then = now;
    world.sleep(std::chrono::duration<double>(parsed.options.interval));
  }
}

/// Where wrong usage is explained.
std::string help_for(std::vector<std::string> arguments) {
  const auto command = find_command(arguments);
  if (command == arguments.end() || *command == "help") return "`vswitch-ctl help` lists the commands";
  return "`vswitch-ctl help " + *command + "` shows the arguments";
}

/// What to do after a refusal, depending on its subject.
std::string hint(const jsonrpc::Error& error, std::string_view command) {
  const std::string reason = error.data.is_object() ? error.data.value("reason", "") : "";
  const std::string field = error.data.is_object() ? error.data.value("field", "") : "";
  if (error.code == jsonrpc::kMethodNotFound)
    return "the daemon is older than this tool: see `vswitch-ctl version`";
  for (const auto& [member, option] : {std::pair(".uplinkPortName", "--uplink"), {".portKey", "--port"}}) {
    if (reason == "invalid" && field.ends_with(member) && error.data["value"].is_string())
      return std::string(option) + " '" + error.data["value"].get<std::string>() + "=PORT' says so";
  }
  if (reason == "not_found" && field == "bridge") return "`vswitch-ctl list-br` lists the bridges";
  if (reason == "not_found") {
    return std::string("`vswitch-ctl show` lists bridges, ports and sessions") +
           (command.starts_with("del-") ? "; with --if-exists this is not an error" : "");
  }
  if (reason == "exists" && command.starts_with("add-")) {
    return "--may-exist accepts one with the same settings; set" + std::string(command.substr(3)) +
           " changes them";
  }
  return {};
}

/// What is worth knowing about a session that was just changed.
void warn(World& world, const Json& session) {
  const std::string notice = session.value("notice", "");
  if (!notice.empty()) world.err << kProgram << ": warning: " << printable(notice) << '\n';
}

// Completion. A shell waits: no daemon is no error, and there is a second for its answer.

constexpr std::chrono::milliseconds kCompletionTimeout{1000};

std::vector<std::string> names_in(const std::string& socket, World& world, const std::string& method,
                                  const char* list, const std::string& bridge = "",
                                  const char* member = "name") {
  std::vector<std::string> names;
  try {
    const Json result = world.connect(socket, kCompletionTimeout)->call(method, Json::object());
    for (const Json& one : result.at(list)) {
      if (bridge.empty() || one.value("bridge", "") == bridge)
        names.push_back(one.at(member).get<std::string>());
    }
  } catch (const std::exception&) {
    names.clear();
  }
  return names;
}

/// Network devices of the host, without those in `ports`.
std::vector<std::string> devices_besides(const std::vector<std::string>& ports) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator("/sys/class/net", error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (name != "lo" && std::ranges::find(ports, name) == ports.end()) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

void print_completion(const std::vector<std::string>& words, World& world) {
  CLI::App app;
  Options options;
  declare_globals(app, options);
  declare_commands(app, options);
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] == "--socket") options.socket = words[i + 1];
    if (words[i] == "--rundir") options.rundir = words[i + 1];
  }
  const std::string socket = socket_path(options, world);
  Names names;
  names.bridges = [&] { return names_in(socket, world, "bridge.list", "bridges"); };
  names.ports = [&](const std::string& bridge) {
    return names_in(socket, world, "port.list", "ports", bridge);
  };
  names.sessions = [&](const std::string& bridge) {
    return names_in(socket, world, "mirror.list", "mirrors", bridge);
  };
  names.log_areas = [&] { return names_in(socket, world, "log.list", "areas"); };
  names.devices = [&] { return devices_besides(names.ports("")); };
  for (const std::string& line : complete(app, words, names)) {
    const std::size_t tab = std::min(line.find('\t'), line.size());
    world.out << plain_text(line.substr(0, tab), '?');
    if (tab != line.size()) world.out << '\t' << plain_text(line.substr(tab + 1), '?');
    world.out << '\n';
  }
}

int run_vswitchd(const Parsed& parsed, World& world) {
  std::vector<std::string> arguments = parsed.local;
  arguments.insert(arguments.begin(), {"--rundir", run_directory(parsed.options, world)});
  return world.run_vswitchd(arguments);
}

/// One event as it was asked for; nothing about those that were not.
std::string selected_event(const Parsed& parsed, const Json& event) {
  const Json& asked = parsed.calls.back().params;
  const std::string bridge = asked.value("bridge", ""), name = asked.value("name", "");
  const bool is_bridge = event.value("topic", "") == "bridge.change" && event.value("name", "") == bridge;
  if (!bridge.empty() && event.value("bridge", "") != bridge && !is_bridge) return {};
  if (!name.empty() && event.value("name", "") != name) return {};
  return parsed.options.json ? as_json(event, -1) : parsed.command->event(event);
}

/// Prints what has happened, and then what happens, until the output is closed or the connection is lost.
/// `last`: number of the last event that was printed.
void follow_connection(const Parsed& parsed, Caller& daemon, std::uint64_t& last, World& world) {
  std::vector<Call> calls = parsed.calls;
  if (last != 0) {  // again: only what was missed
    for (const char* start : {"since", "seconds"}) calls.back().params.erase(start);
    calls.back().params["after"] = last;
  }
  const Json result = ask(daemon, calls);
  if (result["last"] < last) last = 0;  // a daemon with another file
  for (const Json& event : result["events"]) world.out << selected_event(parsed, event);
  last = result["last"];
  while (world.out.flush()) {
    const Json notification = daemon.next_notification();
    Json event = notification["params"];
    event["topic"] = notification["method"];
    const Json number = event.value("number", Json());
    if (number.is_number() && number <= last) continue;  // it was in the answer already
    world.out << selected_event(parsed, event);
    if (number.is_number()) last = number;
  }
}

/// Survives restarts of the daemon.
void follow(const Parsed& parsed, World& world, std::unique_ptr<Caller> daemon,
            const std::function<std::unique_ptr<Caller>()>& connect) {
  std::uint64_t last = 0;
  while (world.out) {
    try {
      if (daemon == nullptr) daemon = connect();
      follow_connection(parsed, *daemon, last, world);
    } catch (const NoDaemon& error) {
      if (daemon != nullptr) complain(world, std::string(error.what()) + "; waiting for the next one", "");
      daemon.reset();
      world.sleep(std::chrono::duration<double>(kDefaultInterval));
    }
  }
}

bool follows(const Parsed& parsed) {
  return parsed.command->event != nullptr && parsed.calls.front().method == "subscribe";
}

int execute(const Parsed& parsed, World& world) {
  world.keys = parsed.options.keys;
  double seconds = parsed.options.timeout;
  for (const Call& call : parsed.calls) seconds += call.waits;
  const auto timeout = std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
  const auto connect = [&] { return world.connect(socket_path(parsed.options, world), timeout); };
  std::unique_ptr<Caller> daemon = connect();
  if (follows(parsed)) {
    follow(parsed, world, std::move(daemon), connect);
    return kDone;
  }
  if (parsed.command->run != nullptr) {
    const ScreenScope scope(screen_of(parsed.options, world));
    return parsed.command->run(*daemon, parsed.calls.front(), world, parsed.options.json);
  }
  if (parsed.options.watch) {
    watch(parsed, std::move(daemon), world, connect);
    return kDone;
  }
  Json result = [&] {
    const Progress progress(world.err, std::string(parsed.command->progress));
    return ask(*daemon, parsed.calls);
  }();
  if (!parsed.options.json) {
    for (const Call& call : parsed.calls) {
      if (!call.for_render.empty()) result.update(call.for_render);
    }
  }
  const std::string& file = parsed.calls.front().output;
  const ScreenScope scope(file.empty() ? screen_of(parsed.options, world) : Screen());
  const std::string text = parsed.options.json ? as_json(result, 2) : parsed.command->render(result);
  if (!file.empty()) {
    write_output(file, text);
  } else {
    world.out << text << std::flush;
  }
  if (parsed.command->remarks != nullptr && !parsed.options.json)
    world.err << parsed.command->remarks(result) << std::flush;
  check_written(world);
  const std::string_view method = parsed.calls.front().method;
  if (method == "mirror.add" || method == "mirror.set" || method == "mirror.enable") warn(world, result);
  if (parsed.command->outcome != nullptr) return parsed.command->outcome(result);
  return parsed.command->status == nullptr ? kDone : parsed.command->status(result);
}

}  // namespace

std::vector<const Command*> commands() {
  std::vector<const Command*> all;
  for (const Group& group : groups()) {
    for (const std::vector<Command>* table : group.tables) {
      for (const Command& command : *table) all.push_back(&command);
    }
  }
  return all;
}

int run(std::vector<std::string> arguments, World& world) {
  std::optional<Parsed> parsed;
  if (!arguments.empty() && arguments.front() == "__complete") {
    print_completion({arguments.begin() + 1, arguments.end()}, world);
    return kDone;
  }
  try {
    parsed = parse(arguments, world);
    if (parsed && parsed->command->local != nullptr) return run_vswitchd(*parsed, world);
    return parsed ? execute(*parsed, world) : kDone;
  } catch (const UsageError& error) {
    complain(world, error.what(), help_for(arguments));
    return kWrongUsage;
  } catch (const NoDaemon& error) {
    if (parsed && parsed->command->without_daemon != nullptr && !parsed->options.json)
      world.out << parsed->command->without_daemon(error.what()) << std::flush;
    complain(world, error.what(), error.hint);
    return kNoDaemon;
  } catch (const jsonrpc::Error& error) {
    // Only execute() calls the daemon. Members of a document are not options.
    const bool in_document = error.data.is_object() && error.data.value("field", "").starts_with("document");
    complain(world, in_document ? error.message : in_options(*parsed->program, error.message),
             hint(error, parsed->command->name));
    // A status of its own would be mistaken for a finding.
    return parsed->command->status == nullptr ? kRefused : kNoDaemon;
  } catch (const std::system_error& error) {
    complain(world, error.what(), parsed ? "the daemon has done what was asked" : "");
    return kFailed;
  } catch (const std::exception& error) {
    complain(world, std::string("this should not happen: ") + error.what(),
             "please report it with the command; `vswitch-ctl show` shows what is set up now");
    return kFailed;
  }
}

}  // namespace vswitch::ctl
