// SPDX-License-Identifier: Apache-2.0
// Commands about mirror sessions.
#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "ctl/arguments.h"
#include "ctl/command.h"
#include "ctl/render.h"
#include "ctl/session_arguments.h"

namespace vswitch::ctl {
namespace {

/// An option whose values are collected in one member.
void gathered(CLI::App& app, const Params& params, const std::string& name, const std::string& key,
              void (*add)(Json&, const std::string&), const std::string& type, const std::string& help) {
  repeated(
      app, name,
      [params, key, add](const std::vector<std::string>& values) {
        for (const std::string& value : values) add((*params)[key], value);
      },
      type, help);
}

/// One of the words of the API, or `clearer`: a better name of the word "cut", which means two things there.
void choice(CLI::App& app, const Params& params, const std::string& names, const std::string& key,
            std::vector<std::string> words, const std::string& clearer, const std::string& help) {
  words.push_back(clearer);
  app.add_option_function<std::string>(
         names,
         [params, key, clearer](const std::string& word) { (*params)[key] = word == clearer ? "cut" : word; },
         help)
      ->check(CLI::IsMember(words));
}

/// The addresses given, and the settings that all of them get.
bool is_ip(const std::string& text) {
  std::array<unsigned char, sizeof(in6_addr)> bytes;
  return ::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1;
}

/// An address as the API takes it: without the brackets that people put around IPv6. Throws UsageError.
std::string parse_ip(const std::string& option, const std::string& typed) {
  const std::size_t close = typed.rfind(']');
  const bool brackets = typed.starts_with('[') && close != std::string::npos;
  const std::size_t colon = typed.find(':', brackets ? close : 0);
  std::string host = typed.substr(brackets ? 1 : 0, brackets ? close - 1 : colon);
  if (brackets && close + 1 == typed.size() && is_ip(host)) return host;
  if (is_ip(typed)) return typed;
  if (is_ip(host) && colon != std::string::npos)
    throw UsageError(option + " " + typed +
                     ": takes an address without a port; --dst-port N is the UDP port of VXLAN and Geneve");
  throw UsageError(option + " " + typed + ": is not an IPv4 or IPv6 address; names are not looked up");
}

struct Endpoints {
  Params settings = make_params();
  std::shared_ptr<std::vector<std::string>> ips = std::make_shared<std::vector<std::string>>();
  std::vector<CLI::Option*> options;  ///< those that `settings` come from

  /// Puts them into the destination. Settings without an address are for the endpoints that the session has.
  void join(Json& params) const;
  /// An option about endpoints was given, but no endpoint.
  void refuse_settings_alone() const;
};

Endpoints declare_endpoints(CLI::App& app) {
  Endpoints endpoints;
  app.add_option("-e,--endpoint", *endpoints.ips,
                 "L3: send encapsulated copies to this IP address; repeatable; the options below apply to "
                 "all of them")
      ->allow_extra_args(false)
      ->type_name("IP");
  const Params& settings = endpoints.settings;
  const auto whole = [&](const char* name, const char* key, const char* help) {
    return number(app, settings, name, key, help, true)->type_name("N");
  };
  const auto inheritable = [&](const char* name, const char* key, const char* help) {
    return app
        .add_option_function<std::string>(
            name,
            [settings, name, key](const std::string& value) {
              const auto parsed = parse_number(value);
              if (!parsed && value != "inherit" && value != "none")
                throw UsageError(std::string(name) + " takes a whole number, inherit or none, not '" + value +
                                 "'");
              (*settings)[key] = parsed ? Json(*parsed) : Json();
              (*settings)[std::string("inherit_") + key] = value == "inherit";
            },
            help)
        ->type_name("N");
  };
  endpoints.options = {
      text(app, settings, "--encap", "encap", "gre [gre], erspan1, erspan2, erspan3, vxlan or geneve")
          ->type_name("ENCAP"),
      whole("--key", "key", "GRE key, or VNI of VXLAN and Geneve"),
      whole("--session-id", "session_id", "ERSPAN session, 0 to 1023 [0]"),
      whole("--index", "index", "ERSPAN index [0]"),
      whole("--cos", "cos", "ERSPAN class of service, 0 to 7 [that of the frame]"),
      whole("--hwid", "hwid", "ERSPAN III hardware id, 0 to 63 [0]"),
      text_or_none(app, settings, "--timestamp", "timestamp",
                   "ERSPAN III time stamp in 100us [100us], 100ns or ieee1588")
          ->type_name("UNIT"),
      on_off(app, settings, "--subheader", "subheader",
             "ERSPAN III with the platform subheader, which carries the full time stamp"),
      app.get_option("--no-subheader"),
      text_or_none(app, settings, "--local-ip", "local_ip", "source address [as the host routes]")
          ->type_name("IP"),
      whole("--dst-port", "dst_port", "UDP port of VXLAN [4789] and Geneve [6081]"),
      inheritable("--ttl", "ttl", "time to live [64], or inherit: that of the packet in the copy"),
      inheritable("--dscp", "dscp",
                  "DiffServ code point, 0 to 63 [0], or inherit: that of the packet in the copy"),
  };
  return endpoints;
}

void Endpoints::join(Json& params) const {
  if (ips->empty() && !settings->empty()) params["destination"]["endpoints"] = Json::array({*settings});
  for (const std::string& ip : *ips) {
    Json endpoint = *settings;
    endpoint["ip"] = parse_ip("--endpoint", ip);
    params["destination"]["endpoints"].push_back(endpoint);
  }
}

void Endpoints::refuse_settings_alone() const {
  if (!ips->empty()) return;
  for (const CLI::Option* option : options) {
    if (option->count() != 0)
      throw UsageError(option->get_name() + " applies to endpoints: add --endpoint IP for every endpoint");
  }
}

/// Matches in the flow syntax of Open vSwitch, one per option; "none" for an empty list.
void matches(CLI::App& app, const Params& params, const std::string& name, const std::string& key,
             const std::string& help) {
  repeated(
      app, name,
      [params, name, key](const std::vector<std::string>& given) {
        const bool clears = std::find(given.begin(), given.end(), "none") != given.end();
        if (clears && given.size() > 1)
          throw UsageError(name + " none removes all matches and cannot be combined with others");
        (*params)[key] = clears ? Json() : Json(given);
      },
      "MATCH", help + "; repeatable");
}

Endpoints declare_mirror_settings(CLI::App& app, const Params& params) {
  repeated(
      app, "-s,--source,--src",
      [params](const std::vector<std::string>& specs) {
        for (const std::string& spec : specs) add_source(*params, spec);
      },
      "PORT[:DIRECTION]",
      "port to watch, or all, with an optional direction :from (or rx, in, ingress: what its host sends), "
      ":to (or tx, out, egress: what it is sent) or :both [both]; 'vnet*' for every port whose name "
      "matches, iface-id=ID or mac=ADDRESS for the port that has it; repeatable");
  vlans(app, params, "--source-vlan", "sources.vlans",
        "only frames of these VLANs, such as 10,20-29 (none: any VLAN); without --source, on every port");
  repeated(
      app, "-o,--output,--to,--dst,--destination",
      [params](const std::vector<std::string>& ports) {
        Json& names = member(*params, "destination.ports") = Json::array();
        if (ports == std::vector<std::string>{"none"}) return;
        for (const std::string& port : ports) names.push_back(one_port("--output", port));
      },
      "PORT",
      "port to send the copies to, or none (with --output-vlan: every port that carries it); repeatable");
  number(app, params, "--output-vlan", "destination.vlan",
         "RSPAN: send the copies in this VLAN, to every port that carries it or only to those of --output",
         true)
      ->type_name("VLAN");
  app.add_option_function<std::string>(
         "--record", [params](const std::string& given) { add_record((*params)["destination"], given); },
         "keep the last copies in memory, until dump-record asks for them: so many bytes, of the last "
         "minutes, or both "
         "(64MB, 5min, 64MB,5min)")
      ->type_name("SIZE");
  on_off(app, params, "--keep-vlan", "destination.keep_vlan",
         "with --output-vlan: keep the original tag behind the new one");
  on_off(app, params, "--strip-vlan", "destination.strip_vlan",
         "remove the outer tag of the copies [with --source-vlan alone and --output]");
  on_off(app, params, "--normal-io", "normal_io", "the output ports also carry their own traffic");
  text(app, params, "--description", "description", "free text");
  number(app, params, "--snaplen", "snaplen", "truncate copies to this many bytes, or none", true)
      ->type_name("BYTES");
  number(app, params, "--sample", "sample", "copy one frame in N, chosen at random")->type_name("N");
  number(app, params, "--cpu-budget", "cpu_budget",
         "lose copies rather than spend more than this share of a processor on them in the kernel, or none",
         true)
      ->type_name("PERCENT");
  Endpoints endpoints = declare_endpoints(app);
  choice(app, params, "--mtu-policy", "mtu_policy", {"cut", "fragment", "drop"}, "truncate",
         "copies longer than the path MTU of an endpoint are truncated [truncate], fragmented or dropped");
  choice(app, params, "--gso-packets,--superframes", "superframes", {"keep", "cut"}, "segment",
         "keep GSO packets of local senders whole [for ports with --normal-io] or segment them [otherwise]");
  matches(app, params, "--filter", "filter", "copy only frames that match, such as tcp,tp_dst=80, or none");
  matches(app, params, "--skip", "skip",
          "never copy frames that match, even if --filter selects them, or none");
  gathered(app, params, "--rate", "rate", add_rate, "RATE",
           "limit the copies to packets (1000) or bits (10mbit) per second, or none; repeatable for both");
  gathered(
      app, params, "--expires", "expires", add_end, "END",
      "end the session after a time (10m, 2h), packets (1000packets) or bytes (1gb), or none; repeatable");
  return endpoints;
}

void declare_name(CLI::App& app, const Params& params) {
  text(app, params, "bridge", "bridge", "bridge of the session");
  text(app, params, "session", "name", "name of the session");
}

Query declare_add_mirror(CLI::App& app) {
  const Params params = make_params();
  declare_name(app, params);
  const Endpoints endpoints = declare_mirror_settings(app, params);
  flag(app, params, "--disabled", "enabled", false, "create the session disabled");
  flag(app, params, "--may-exist", "may_exist", true, "succeed if it exists with these settings");
  return [params, endpoints] {
    endpoints.refuse_settings_alone();
    endpoints.join(*params);
    if (!params->contains("sources"))
      throw UsageError("no source given: add --source PORT, --source all or --source-vlan N");
    if (!params->contains("destination"))
      throw UsageError(
          "no destination given: add --output PORT, --output-vlan VLAN, --endpoint IP or --record "
          "SIZE");
    return std::vector<Call>{{"mirror.add", *params}};
  };
}

Query declare_set_mirror(CLI::App& app) {
  const Params params = make_params();
  declare_name(app, params);
  const Endpoints endpoints = declare_mirror_settings(app, params);
  for (const char* option : {"--disabled", "--enabled"}) {
    not_here(app, option, "use disable-mirror and enable-mirror to switch a session off and on", false);
  }
  return [params, endpoints] {
    endpoints.join(*params);
    if (params->size() == 2) throw UsageError("no setting to change given");
    return std::vector<Call>{{"mirror.set", *params}};
  };
}

template <const char* kMethod>
Query declare_named(CLI::App& app) {
  const Params params = make_params();
  declare_name(app, params);
  return [params] { return std::vector<Call>{{kMethod, *params}}; };
}
constexpr char kEnable[] = "mirror.enable";
constexpr char kDisable[] = "mirror.disable";
constexpr char kGet[] = "mirror.get";

Query declare_del_mirror(CLI::App& app) {
  const Params params = make_params();
  declare_name(app, params);
  flag(app, params, "--if-exists", "if_exists", true, "succeed if it does not exist");
  return [params] { return std::vector<Call>{{"mirror.del", *params}}; };
}

Query declare_list_mirrors(CLI::App& app) {
  const Params params = make_params();
  text(app, params, "bridge", "bridge", "only this bridge")->required(false);
  return [params] { return std::vector<Call>{{"mirror.list", *params}}; };
}

/// "br0 span0 active: t1 -> t2"
std::string render_session(const Json& mirror) {
  return printable(mirror["bridge"].get<std::string>() + ' ' + mirror["name"].get<std::string>() + "  " +
                   sources(mirror) + " -> " + destination(mirror)) +
         "  " + shown_state(mirror) + '\n';
}

std::string render_mirror_list(const Json& result) {
  return result["mirrors"].empty() ? "no sessions\n" : session_table(result["mirrors"]);
}

/// Receivers tell sessions apart by it, so its default is worth a word.
bool has_session_id(const Json& encap) {
  return encap == "erspan2" || encap == "erspan3";
}

/// "10.0.0.1 erspan2, session_id 5; active, from 10.0.0.9 by eth0, MTU 1500"
std::string endpoint_line(const Json& endpoint) {
  std::string text = endpoint["ip"].get<std::string>() + ' ' + endpoint["encap"].get<std::string>();
  for (const char* key :
       {"key", "session_id", "index", "cos", "hwid", "timestamp", "local_ip", "dst_port", "ttl", "dscp"}) {
    const bool counts_from_0 = key == std::string_view("session_id") && has_session_id(endpoint["encap"]);
    const Json value = endpoint[key].is_null() && counts_from_0 ? Json(0) : endpoint[key];
    if (value.is_null()) continue;
    text += std::string(", ") + key + ' ' + (value.is_string() ? value.get<std::string>() : value.dump());
  }
  if (endpoint.value("inherit_ttl", false)) text += ", ttl inherit";
  if (endpoint.value("inherit_dscp", false)) text += ", dscp inherit";
  if (endpoint["subheader"] == true) text += ", subheader";
  if (!endpoint["state"].is_null()) text += "; " + endpoint["state"].get<std::string>();
  if (!endpoint["reason"].is_null()) return text + ": " + endpoint["reason"].get<std::string>();
  if (!endpoint["source"].is_null()) text += ", from " + endpoint["source"].get<std::string>();
  if (!endpoint["device"].is_null()) text += " by " + endpoint["device"].get<std::string>();
  if (!endpoint["mtu"].is_null()) text += ", MTU " + endpoint["mtu"].dump();
  return text;
}

/// Only for several destinations: the account of a single one is that of the session.
std::string destination_table(const Json& destinations) {
  if (destinations.size() < 2) return {};
  Table table({"DESTINATION", "MATCHED", "DELIVERED", "LOST", Column("LEFT OUT").leave_out(1),
               Column("QUEUED").leave_out(2), Column("BY").cut(1).wrap()});
  for (const Json& one : destinations) {
    const Json& counters = one["counters"];
    table.add({one["name"], counters["matched"], counters["delivered"], counters["lost"], left_out(counters),
               counters["queued"], causes(counters)});
  }
  return '\n' + table.text();
}

std::string rate(const Json& limits) {
  std::vector<std::string> parts;
  if (!limits["packets"].is_null()) parts.push_back(limits["packets"].dump() + " packets");
  if (!limits["bits"].is_null()) parts.push_back(limits["bits"].dump() + " bits");
  return join(parts, " and ") + " per second";
}

std::string end(const Json& expires) {
  std::vector<std::string> parts;
  if (!expires["at"].is_null()) parts.push_back("at " + expires["at"].get<std::string>());
  if (!expires["packets"].is_null()) parts.push_back("after " + expires["packets"].dump() + " packets");
  if (!expires["bytes"].is_null()) parts.push_back("after " + expires["bytes"].dump() + " bytes");
  if (expires["connection"] == true) parts.push_back("when the client that created it disconnects");
  return join(parts, ", ");
}

/// "12 frames (1176 bytes), from 2026-01-05T08:00:00.125Z to 2026-01-05T08:00:07Z; 40 earlier ones made room"
std::string recorded(const Json& held) {
  std::string text = held["frames"].dump() + (held["frames"] == 1 ? " frame (" : " frames (") +
                     held["bytes"].dump() + " bytes)";
  if (!held["oldest"].is_null())
    text += ", from " + held["oldest"].get<std::string>() + " to " + held["newest"].get<std::string>();
  if (held["evicted"] != 0) text += "; " + held["evicted"].dump() + " earlier ones made room";
  return text;
}

std::string render_mirror_details(const Json& mirror) {
  const Json& counters = mirror["counters"];
  std::string text =
      line("session", mirror["name"].get<std::string>() + " on " + mirror["bridge"].get<std::string>()) +
      state_line(mirror);
  if (!mirror["since"].is_null()) text += line("since", mirror["since"]);
  if (const std::string notice = mirror.value("notice", ""); !notice.empty()) text += line("notice", notice);
  text += line("sources", sources_in_words(mirror));
  for (const auto& [pattern, ports] : mirror["bound_sources"].items()) {
    const std::string names = join(ports.get<std::vector<std::string>>(), ", ");
    text += line("  bound", pattern + " -> " + (names.empty() ? "no port" : names));
  }
  text += line("destination", destination(mirror));
  if (const Json held = mirror.value("recording", Json()); !held.is_null())
    text += line("recorded", recorded(held));
  if (mirror["destination"]["vlan"].is_null() && !mirror["destination"]["ports"].empty())
    text += line("normal I/O",
                 mirror["normal_io"] == true ? "allowed" : "not allowed: the output ports carry only copies");
  if (mirror["destination"]["strip_vlan"] == true) text += line("strip VLAN", "the outer tag is removed");
  if (mirror["destination"]["keep_vlan"] == true)
    text += line("keep VLAN", "the original tag stays behind the tag of the output VLAN");
  for (const Json& endpoint : mirror["destination"]["endpoints"])
    text += line("endpoint", endpoint_line(endpoint));
  if (!mirror["destination"]["endpoints"].empty())
    text +=
        line("MTU policy", mirror.value("mtu_policy", "cut") == "cut" ? "truncate" : mirror["mtu_policy"]);
  if (mirror.contains("superframes") && !mirror["superframes"].is_null())
    text += line("GSO packets", mirror["superframes"] == "cut" ? "segmented" : "kept whole");
  if (!mirror["snaplen"].is_null()) text += line("snaplen", mirror["snaplen"].dump() + " bytes");
  if (mirror.contains("cpu_budget") && !mirror["cpu_budget"].is_null())
    text += line("CPU budget", mirror["cpu_budget"].dump() + " % of a processor, in the kernel");
  if (mirror["sample"] != 1) text += line("sample", "one frame in " + mirror["sample"].dump());
  for (const Json& match : mirror["filter"]) text += line("filter", match);
  for (const Json& match : mirror["skip"]) text += line("skip", match);
  if (!mirror["rate"].is_null()) text += line("rate", rate(mirror["rate"]));
  if (!mirror["expires"].is_null()) text += line("expires", end(mirror["expires"]));
  if (!mirror["origin"].is_null())
    text += line("made by", mirror["origin"]["owner"].get<std::string>() + ", " +
                                mirror["origin"]["created"].get<std::string>());
  if (mirror["description"] != "") text += line("description", mirror["description"]);
  text += line("matched", copies(counters["matched"]) + ", one per frame and output") +
          line("delivered", copies(counters["delivered"]));
  for (const LeftOut& term : kLeftOut) {
    const Json& count = counters[term.counter];
    if (count != 0) text += line(term.label, copies(count) + ' ' + term.why);
  }
  if (const Json truncated = counters.value("truncated", Json(0)); truncated != 0)
    text += line("truncated", truncated.dump() + " of them, to the MTU of the path");
  if (const Json foreign = counters.value("foreign_frames", Json(0)); foreign != 0)
    text += line("foreign", foreign.dump() + " frames in the output VLAN that are no copies");
  if (counters["queued"] != 0) text += line("queued", copies(counters["queued"]) + " on the way");
  const std::string by = lost_by(counters);
  return text + line("lost", copies(counters["lost"]) + (by.empty() ? "" : " (" + by + ")")) +
         destination_table(mirror.value("destinations", Json::array()));
}

}  // namespace

const std::vector<Command> kMirrorCommands = {
    {"add-mirror", "create a mirror session",
     "br0 span0 --source t1 --output t2 --normal-io\n"
     "br0 rspan0 --source t1 --output-vlan 900 --output uplink\n"
     "br0 rdst0 --source-vlan 900 --output t3\n"
     "br0 er0 --source t1 --endpoint 10.95.30.43 --encap erspan2 --session-id 5\n"
     "br0 edst0 --source er1:from --output t4\n"
     "br0 black-box --source t1 --record 64MB,5min",
     declare_add_mirror, render_session},
    {"set-mirror", "change settings of a session",
     "br0 span0 --source t1:from\n"
     "br0 er0 --encap erspan3",
     declare_set_mirror, render_session},
    {"enable-mirror", "switch a session on", "br0 span0", declare_named<kEnable>, render_session},
    {"disable-mirror", "switch a session off and keep its settings", "br0 span0", declare_named<kDisable>,
     render_session},
    {"del-mirror", "remove a session", "br0 span0", declare_del_mirror, render_nothing},
    {"list-mirrors", "list the sessions of one bridge or of all", "br0", declare_list_mirrors,
     render_mirror_list, refresh<render_mirror_list>},
    {"show-mirror", "show one session in full", "br0 span0", declare_named<kGet>, render_mirror_details,
     refresh<render_mirror_details>},
};

}  // namespace vswitch::ctl
