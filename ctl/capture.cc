// SPDX-License-Identifier: Apache-2.0
// capture: a session whose copies this program reads from a socket, and writes as pcapng. dump-record: the same with
// what a session has recorded.
//
// The socket is passed with the request for the session (SCM_RIGHTS); schemas/capture_record.h says what comes. The
// session ends with the connection, so also if this program is killed. At its end the session is switched off first,
// then what is still on the way is read, and then the account: so the file says what it lacks, and why.
#include <fcntl.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <vector>

#include "ctl/arguments.h"
#include "ctl/client.h"
#include "ctl/command.h"
#include "ctl/pcapng.h"
#include "ctl/program.h"
#include "ctl/render.h"
#include "ctl/session_arguments.h"
#include "schemas/capture_record.h"

namespace vswitch::ctl {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kWriteBytes = std::size_t{256} << 10;  // collected before they are written
constexpr std::int64_t kMinRotate = 65536;                   // more than the longest frame
constexpr std::int64_t kMaxFiles = 99999;
constexpr std::chrono::seconds kProgressInterval{1};
constexpr std::chrono::seconds kDrainPatience{2};

volatile std::sig_atomic_t stop_signal = 0;

void remember_signal(int number) {
  stop_signal = number;
}

/// The options that are not about the session.
struct CaptureOptions {
  std::string write, bpf, duration, rotate;
  std::int64_t count = 0, files = 0;
};

/// A filter of tcpdump. It is compiled and run here: the daemon runs no program of a client, and what the filter costs
/// is this process's time, not the switch's.
class BpfFilter {
 public:
  explicit BpfFilter(const std::string& text) {
    const std::unique_ptr<pcap_t, decltype(&pcap_close)> dead(pcap_open_dead(DLT_EN10MB, 262144),
                                                              &pcap_close);
    if (pcap_compile(dead.get(), &program_, text.c_str(), 1, PCAP_NETMASK_UNKNOWN) != 0)
      throw UsageError("--bpf '" + text + "': " + pcap_geterr(dead.get()));
  }
  BpfFilter(const BpfFilter&) = delete;
  BpfFilter& operator=(const BpfFilter&) = delete;
  ~BpfFilter() { pcap_freecode(&program_); }

  bool selects(const CaptureRecord& record, const std::byte* frame) const {
    pcap_pkthdr header{};
    header.caplen = record.captured;
    header.len = record.length;
    return pcap_offline_filter(&program_, &header, reinterpret_cast<const unsigned char*>(frame)) != 0;
  }

 private:
  bpf_program program_{};
};

/// A file cannot be written: what() says which and why.
struct WriteError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// Nobody reads the pipe any more: the end that its reader wants.
struct ReaderGone {};

/// The files, or the pipe, that blocks are written to. A file always ends with a whole block, as far as the machine
/// permits.
class CaptureFiles {
 public:
  CaptureFiles(std::string path, std::int64_t rotate, std::int64_t files, std::uint32_t snaplen)
      : path_(std::move(path)), rotate_(rotate), most_(files), snaplen_(snaplen) {
    open_next();
  }
  CaptureFiles(const CaptureFiles&) = delete;
  CaptureFiles& operator=(const CaptureFiles&) = delete;
  ~CaptureFiles() { close(); }

  /// Of the interface with this name, which the present file has from now on.
  std::uint32_t interface(std::string_view name) {
    const auto [found, is_new] =
        interfaces_.try_emplace(std::string(name), static_cast<std::uint32_t>(interfaces_.size()));
    if (is_new) {
      names_.emplace_back(name);
      frames_.push_back(0);
      pcapng::add_interface(pending_, name, snaplen_);
    }
    return found->second;
  }

  /// False if nobody reads any more.
  bool add(const CaptureRecord& record, std::string_view port, const std::byte* frame) {
    if (is_gone_) return false;
    if (rotate_ != 0 && written_ + static_cast<std::int64_t>(pending_.size() + record.captured) > rotate_ &&
        has_frames_)
      rotate();
    const std::uint32_t number = interface(port);
    pcapng::add_packet(pending_, {.interface = number,
                                  .unix_time_ns = static_cast<std::uint64_t>(record.unix_time_ns),
                                  .inbound = record.direction == CaptureRecord::kFromPort,
                                  .length = record.length,
                                  .bytes = {frame, record.captured}});
    has_frames_ = true;
    ++frames_[number];
    if (pending_.size() >= kWriteBytes) flush();
    return true;
  }

  /// From now on nothing is written.
  [[noreturn]] void end_of_reader() {
    is_gone_ = true;
    pending_.clear();
    throw ReaderGone{};
  }

  void flush() {
    if (is_gone_) pending_.clear();
    std::string_view rest = pending_;
    while (!rest.empty()) {
      const ssize_t done = ::write(fd_, rest.data(), rest.size());
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) fail(errno, pending_.size() - rest.size());
      rest.remove_prefix(static_cast<std::size_t>(done));
    }
    written_ += static_cast<std::int64_t>(pending_.size());
    pending_.clear();
  }

  /// The last blocks: how many frames of each interface there are in this file; with the first, what the session lost.
  void finish(std::uint64_t lost, const std::string& comment) {
    for (std::uint32_t i = 0; i < names_.size(); ++i) {
      pcapng::Statistics statistics{.interface = i,
                                    .start_ns = started_ns_,
                                    .end_ns = now_ns(),
                                    .received = frames_[i],
                                    .dropped = std::nullopt,
                                    .comment = {}};
      if (i == 0 && !comment.empty()) {
        statistics.received += lost;
        statistics.dropped = lost;
        statistics.comment = comment;
      }
      pcapng::add_statistics(pending_, statistics);
    }
    flush();
  }

  /// Waits for tcpdump, if it prints.
  void close() {
    if (fd_ > STDERR_FILENO) ::close(fd_);
    fd_ = -1;
    if (printer_ > 0) {
      while (::waitpid(printer_, nullptr, 0) < 0 && errno == EINTR) {
      }
    }
    printer_ = 0;
  }

  /// For poll(): an error there says that nobody reads any more. -1 for a file.
  int pipe() const { return path_.empty() || path_ == "-" ? fd_ : -1; }
  std::size_t files() const { return numbers_ == 0 ? 1 : numbers_; }

 private:
  static std::uint64_t now_ns() {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                          std::chrono::system_clock::now().time_since_epoch())
                                          .count());
  }

  void open_next() {
    if (path_.empty()) {
      open_printer();
    } else if (path_ == "-") {
      fd_ = STDOUT_FILENO;
    } else {
      file_ = rotate_ == 0 ? path_ : numbered(++numbers_);
      fd_ = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
      if (fd_ < 0) throw WriteError("cannot write " + file_ + ": " + std::strerror(errno));
    }
    started_ns_ = now_ns();
    written_ = 0;
    has_frames_ = false;
    pcapng::add_section(pending_, "vswitch-ctl " VSWITCH_VERSION);
    for (const std::string& name : names_) pcapng::add_interface(pending_, name, snaplen_);
    std::fill(frames_.begin(), frames_.end(), 0);
  }

  /// "cap.pcapng" -> "cap_00001.pcapng"
  std::string numbered(std::size_t number) const {
    const std::filesystem::path path(path_);
    std::string digits = std::to_string(number);
    digits.insert(0, digits.size() < 5 ? 5 - digits.size() : 0, '0');
    return (path.parent_path() / (path.stem().string() + '_' + digits + path.extension().string())).string();
  }

  void rotate() {
    finish(0, {});
    ::close(fd_);
    open_next();
    const auto first = static_cast<std::int64_t>(numbers_) - most_;
    if (most_ != 0 && first > 0) ::unlink(numbered(static_cast<std::size_t>(first)).c_str());
  }

  /// tcpdump prints frames; libpcap and the other libraries of Debian do not. In a process group of its own: Ctrl-C is
  /// for us, and it prints what is left.
  void open_printer() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
      throw WriteError(std::string("no pipe to tcpdump: ") + std::strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    std::array<const char*, 6> argv = {"tcpdump", "-l", "-n", "-e", "-r", "-"};
    std::array<char*, argv.size() + 1> arguments{};  // ends with a null
    std::transform(argv.begin(), argv.end(), arguments.begin(),
                   [](const char* argument) { return const_cast<char*>(argument); });
    const int error = ::posix_spawnp(&printer_, "tcpdump", &actions, &attributes, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    ::close(ends[0]);
    fd_ = ends[1];
    if (error != 0) {
      printer_ = 0;
      throw WriteError(std::string("tcpdump, which prints the frames, cannot be started (") +
                       std::strerror(error) + "): install it, or write a file with -w FILE");
    }
  }

  [[noreturn]] void fail(int error, std::size_t of_pending) {
    if (error == EPIPE) end_of_reader();
    const std::string name = path_ == "-" ? "standard output" : file_;
    end_with_block(of_pending);
    throw WriteError("cannot write " + name + ": " + std::strerror(error));
  }

  /// The file loses the part of a block that was written; all before it stays readable.
  void end_with_block(std::size_t of_pending) {
    std::size_t whole = 0;
    for (;;) {
      std::uint32_t length = 0;
      if (whole + 2 * sizeof length > of_pending) break;
      std::memcpy(&length, pending_.data() + whole + sizeof length, sizeof length);
      if (whole + length > of_pending) break;
      whole += length;
    }
    pending_.clear();
    if (fd_ > STDERR_FILENO && ::ftruncate(fd_, written_ + static_cast<std::int64_t>(whole)) != 0) {
      // A device or a pipe: it has what it has.
    }
  }

  const std::string path_;
  const std::int64_t rotate_, most_;
  const std::uint32_t snaplen_;
  std::string file_;  ///< the present one
  std::size_t numbers_ = 0;
  int fd_ = -1;
  pid_t printer_ = 0;
  std::uint64_t started_ns_ = 0;
  std::int64_t written_ = 0;  ///< to the present file
  bool has_frames_ = false;   ///< the present file
  bool is_gone_ = false;      ///< nobody reads the pipe
  std::string pending_;
  std::map<std::string, std::uint32_t, std::less<>> interfaces_;
  std::vector<std::string> names_;
  std::vector<std::uint64_t> frames_;  ///< of each interface, in the present file
};

/// Reads records and writes blocks.
class FrameReader {
 public:
  FrameReader(const Json& options, CaptureFiles& files, int socket)
      : files_(files), socket_(socket), count_(options["count"]), message_(2 * kCaptureMessageBytes) {
    if (const std::string bpf = options["bpf"]; !bpf.empty()) filter_.emplace(bpf);
  }

  bool is_complete() const { return count_ != 0 && frames_ >= count_; }
  std::uint64_t frames() const { return frames_; }
  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t unfit() const { return unfit_; }
  std::uint64_t surplus() const { return surplus_; }

  /// Takes what is there, until a signal comes. False if the daemon has closed its end.
  bool take() {
    return take_until([] { return stop_signal != 0; });
  }
  /// Takes all that is there.
  void drain() {
    take_until([] { return false; });
  }

 private:
  template <typename Stop>
  bool take_until(Stop is_over) {
    for (;;) {
      const ssize_t got = ::recv(socket_, message_.data(), message_.size(), MSG_DONTWAIT);
      if (got > 0) {
        take_message({message_.data(), static_cast<std::size_t>(got)});
        if (is_over()) return true;
        continue;
      }
      if (got < 0 && errno == EINTR) continue;
      return got < 0 && errno == EAGAIN;
    }
  }

  void take_message(std::span<const std::byte> rest) {
    while (rest.size() >= sizeof(CaptureRecord)) {
      CaptureRecord record;
      std::memcpy(&record, rest.data(), sizeof record);
      rest = rest.subspan(sizeof record);
      if (rest.size() < std::size_t{record.name_length} + record.captured) return;
      const std::string_view port(reinterpret_cast<const char*>(rest.data()), record.name_length);
      const std::byte* frame = rest.data() + record.name_length;
      rest = rest.subspan(std::size_t{record.name_length} + record.captured);
      if (!is_complete() && filter_ && !filter_->selects(record, frame)) {
        ++unfit_;
      } else if (is_complete() || !files_.add(record, port, frame)) {
        ++surplus_;
      } else {
        ++frames_;
        bytes_ += record.captured;
      }
    }
  }

  CaptureFiles& files_;
  const int socket_;
  const std::uint64_t count_;  ///< frames wanted; 0: all
  std::optional<BpfFilter> filter_;
  std::vector<std::byte> message_;
  std::uint64_t frames_ = 0, bytes_ = 0;  ///< written
  std::uint64_t unfit_ = 0;               ///< did not fit --bpf
  std::uint64_t surplus_ = 0;             ///< came after --count
};

void handle_signals() {
  struct sigaction action {};
  action.sa_handler = remember_signal;  // without SA_RESTART: it ends a wait
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(number, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

struct SocketPair {
  std::array<int, 2> ends{-1, -1};
  SocketPair() {
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
      throw std::runtime_error(std::string("no socket pair: ") + std::strerror(errno));
  }
  SocketPair(const SocketPair&) = delete;
  SocketPair& operator=(const SocketPair&) = delete;
  ~SocketPair() {
    close_theirs();
    ::close(ends[0]);
  }
  void close_theirs() {
    if (ends[1] >= 0) ::close(std::exchange(ends[1], -1));
  }
};

std::string summary(const Json& result) {
  std::string text = result["frames"].dump() + (result["frames"] == 1 ? " frame" : " frames") +
                     " captured (" + result["bytes"].dump() + " bytes)";
  if (result["unfit"] != 0) text += ", " + result["unfit"].dump() + " did not fit --bpf";
  if (result["surplus"] != 0) text += ", " + result["surplus"].dump() + " came after the last one wanted";
  const Json& counters = result["counters"];
  if (counters.is_null()) return text + "; what was lost is not known: the daemon has ended";
  const std::string why = causes(counters);
  return text + ", " + counters["lost"].dump() + " lost" + (why.empty() ? "" : " (" + why + ")");
}

/// The session is off and its account final, as far as copies still arrive.
Json end_session(Caller& daemon, const Json& name, FrameReader& capture) {
  daemon.call("mirror.disable", name);
  const auto until = SteadyClock::now() + kDrainPatience;
  for (;;) {
    Json counters = daemon.call("mirror.get", name)["counters"];
    capture.drain();
    if (counters["queued"] == 0 || SteadyClock::now() > until) {
      daemon.call("mirror.del", name);
      return counters;
    }
    ::poll(nullptr, 0, 10);
  }
}

struct Until {
  std::optional<SteadyClock::time_point> end;
  bool shows_progress = false;
};

/// Until a signal, the end of the time, of the frames wanted or of the reader. False if the daemon has ended.
bool read_frames(Caller& daemon, const Json& name, int socket, FrameReader& capture, CaptureFiles& files,
                 const Until& how, World& world) {
  auto next_progress = SteadyClock::now() + kProgressInterval;
  while (stop_signal == 0 && !capture.is_complete()) {
    const auto now = SteadyClock::now();
    if (how.end && now >= *how.end) break;
    auto wake = how.end ? std::min(*how.end, now + kProgressInterval) : now + kProgressInterval;
    if (how.shows_progress && now >= next_progress) {
      const Json counters = daemon.call("mirror.get", name)["counters"];
      world.err << '\r' << capture.frames() << " frames captured, " << counters["lost"].dump() << " lost "
                << std::flush;
      next_progress = now + kProgressInterval;
    }
    std::array<pollfd, 2> entries{{{socket, POLLIN, 0}, {files.pipe(), 0, 0}}};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(wake - now).count() + 1;
    if (::poll(entries.data(), entries.size(), static_cast<int>(left)) > 0 && entries[0].revents != 0 &&
        !capture.take())
      return false;
    if ((entries[1].revents & POLLERR) != 0) files.end_of_reader();
    files.flush();  // whoever reads along sees all that there is
  }
  return true;
}

int run_capture(Caller& daemon, const Call& call, World& world, bool json) {
  const Json& options = call.for_render;
  const Json name = {{"bridge", call.params["bridge"]}, {"name", call.params["name"]}};
  const std::string path = options["write"];
  handle_signals();
  const Json snaplen = call.params.value("snaplen", Json());
  Json result = {{"counters", nullptr}};
  std::string trouble;
  int status = kDone;
  try {
    CaptureFiles files(path, options["rotate"], options["files"],
                       snaplen.is_null() ? 0 : snaplen.get<std::uint32_t>());
    SocketPair pair;
    FrameReader capture(options, files, pair.ends[0]);
    daemon.pass(pair.ends[1]);
    const Json session = daemon.call(call.method, call.params);
    pair.close_theirs();
    if (session["state"] != "active")
      world.err << "vswitch-ctl: the session is " << printable(state(session)) << '\n';
    Until how;
    how.shows_progress = ::isatty(STDERR_FILENO) == 1 && !path.empty();
    if (const double seconds = options["duration"]; seconds != 0)
      how.end = SteadyClock::now() + std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
    try {
      for (const Json& port : session["sources"]["ports"]) {
        if (port.contains("name")) files.interface(port["name"].get<std::string>());
      }
      files.flush();
      const bool lives = read_frames(daemon, name, pair.ends[0], capture, files, how, world);
      if (lives) result["counters"] = end_session(daemon, name, capture);
      if (!lives) {
        trouble = "the daemon has ended, or the session was removed";
        status = kNoDaemon;
      }
    } catch (const ReaderGone&) {
      result["counters"] = end_session(daemon, name, capture);
    } catch (const WriteError& error) {
      trouble = error.what();
      status = kFailed;
      result["counters"] = daemon.call("mirror.get", name)["counters"];
    }
    result.update({{"frames", capture.frames()},
                   {"bytes", capture.bytes()},
                   {"unfit", capture.unfit()},
                   {"surplus", capture.surplus()},
                   {"files", files.files()}});
    try {
      const Json& counters = result["counters"];
      if (status != kFailed)
        files.finish(counters.is_null() ? 0 : counters["lost"].get<std::uint64_t>(),
                     "session " + name["name"].get<std::string>() + ": " + summary(result));
    } catch (const ReaderGone&) {
    } catch (const WriteError& error) {
      trouble = error.what();
      status = kFailed;
    }
    files.close();
  } catch (const WriteError& error) {  // nothing has begun
    world.err << "vswitch-ctl: " << printable(error.what()) << '\n';
    return kWrongUsage;
  }
  if (::isatty(STDERR_FILENO) == 1) world.err << '\r';
  if (!trouble.empty()) world.err << "vswitch-ctl: " << printable(trouble) << '\n';
  if (json && path != "-" && !path.empty()) {
    world.out << result.dump(2) << '\n' << std::flush;
  } else {
    world.err << summary(result) << std::endl;
  }
  return status;
}

/// "12 recorded frames (1176 bytes), 3 were overwritten meanwhile, 40 had made room before, 0 lost"
std::string dump_summary(const Json& result) {
  std::string text = result["frames"].dump() +
                     (result["frames"] == 1 ? " recorded frame (" : " recorded frames (") +
                     result["bytes"].dump() + " bytes)";
  if (result["unfit"] != 0) text += ", " + result["unfit"].dump() + " did not fit --bpf";
  if (result["overwritten"] != 0)
    text += ", " + result["overwritten"].dump() + " were overwritten before they could be read";
  if (const Json& evicted = result["recording"]["evicted"]; evicted != 0)
    text += ", " + evicted.dump() + " had made room before";
  const Json& counters = result["counters"];
  const std::string why = causes(counters);
  return text + ", " + counters["lost"].dump() + " lost" + (why.empty() ? "" : " (" + why + ")");
}

/// Until the daemon has written all. False if a signal ends it.
bool read_record(int socket, FrameReader& reader, CaptureFiles& files) {
  while (stop_signal == 0) {
    std::array<pollfd, 2> entries{{{socket, POLLIN, 0}, {files.pipe(), 0, 0}}};
    if (::poll(entries.data(), entries.size(), -1) < 0) continue;
    if ((entries[1].revents & POLLERR) != 0) files.end_of_reader();
    if (entries[0].revents != 0 && !reader.take()) return true;
    files.flush();
  }
  return false;
}

bool still_records(Caller& daemon, const Json& name) {
  try {
    return !daemon.call("mirror.get", name).value("recording", Json()).is_null();
  } catch (const jsonrpc::Error&) {
    return false;
  }
}

/// With --clear: the daemon forgets the frames only when it knows that they are where they were to go.
void acknowledge(int socket) {
  const char done = 1;
  ::send(socket, &done, sizeof done, MSG_NOSIGNAL);
}

int run_dump_record(Caller& daemon, const Call& call, World& world, bool json) {
  const Json& options = call.for_render;
  const Json name = {{"bridge", call.params["bridge"]}, {"name", call.params["name"]}};
  const std::string path = options["write"];
  handle_signals();
  const Json session = daemon.call("mirror.get", name);  // before a file that exists is written over
  if (session.value("recording", Json()).is_null()) daemon.call(call.method, call.params);  // it says why not
  const Json& snaplen = session["snaplen"];
  std::string trouble;
  int status = kDone;
  Json result;
  try {
    CaptureFiles files(path, 0, 0, snaplen.is_null() ? 0 : snaplen.get<std::uint32_t>());
    SocketPair pair;
    FrameReader reader(options, files, pair.ends[0]);
    daemon.pass(pair.ends[1]);
    result = daemon.call(call.method, call.params);
    pair.close_theirs();
    bool is_whole = false;
    try {
      for (const Json& port : session["sources"]["ports"]) {
        if (port.contains("name")) files.interface(port["name"].get<std::string>());
      }
      is_whole = read_record(pair.ends[0], reader, files);
      if (!is_whole) trouble = "interrupted: the file has only the oldest of the frames";
    } catch (const ReaderGone&) {
    } catch (const WriteError& error) {
      trouble = error.what();
      status = kFailed;
    }
    const std::uint64_t read = reader.frames() + reader.unfit() + reader.surplus();
    const auto held = result["recording"]["frames"].get<std::uint64_t>();
    const std::uint64_t overwritten = is_whole && held > read ? held - read : 0;
    result.update({{"frames", reader.frames()},
                   {"bytes", reader.bytes()},
                   {"unfit", reader.unfit()},
                   {"overwritten", overwritten}});
    try {
      const bool has_ended = overwritten != 0 && !still_records(daemon, name);
      if (status == kDone)
        files.finish(result["counters"]["lost"].get<std::uint64_t>() + overwritten,
                     "session " + name["name"].get<std::string>() + ": " + dump_summary(result));
      if (has_ended) {
        trouble = "the session has ended, and with it what had not been read";
        status = kFailed;
      }
      if (is_whole && status == kDone && call.params.value("clear", false)) acknowledge(pair.ends[0]);
    } catch (const ReaderGone&) {
    } catch (const NoDaemon&) {
      files.flush();
      trouble = "the daemon has ended, and with it what had not been read";
      status = kNoDaemon;
    } catch (const WriteError& error) {
      trouble = error.what();
      status = kFailed;
    }
    files.close();
  } catch (const WriteError& error) {  // nothing has begun
    world.err << "vswitch-ctl: " << printable(error.what()) << '\n';
    return kWrongUsage;
  }
  if (!trouble.empty()) world.err << "vswitch-ctl: " << printable(trouble) << '\n';
  if (json && path != "-" && !path.empty()) {
    world.out << result.dump(2) << '\n' << std::flush;
  } else {
    world.err << dump_summary(result) << std::endl;
  }
  return status;
}

void refuse_terminal(const std::string& write) {
  if (write == "-" && ::isatty(STDOUT_FILENO) == 1)
    throw UsageError("-w - writes pcapng, which a terminal cannot show: give -w FILE, or leave out -w");
}

Query declare_dump_record(CLI::App& app) {
  const Params params = make_params();
  const auto options = std::make_shared<CaptureOptions>();
  text(app, params, "bridge", "bridge", "bridge of the session");
  text(app, params, "session", "name", "name of a session with --record");
  app.add_option("-w,--write", options->write,
                 "write pcapng to this file, or - for standard output; without it, tcpdump prints the frames")
      ->type_name("FILE");
  app.add_option("--bpf", options->bpf, "write only frames that fit this filter of tcpdump")
      ->type_name("EXPRESSION");
  flag(app, params, "--clear", "clear", true, "forget these frames when they are written");
  return [params, options] {
    refuse_terminal(options->write);
    if (!options->bpf.empty()) BpfFilter{options->bpf};
    const Json local = {{"write", options->write}, {"bpf", options->bpf}, {"count", 0}};
    return std::vector<Call>{Call{"mirror.dump_record", *params, 0, false, local}};
  };
}

Query declare_capture(CLI::App& app) {
  const Params params = make_params();
  const auto options = std::make_shared<CaptureOptions>();
  text(app, params, "bridge", "bridge", "the bridge");
  repeated(
      app, "-s,--source,--src,-i",
      [params](const std::vector<std::string>& specs) {
        for (const std::string& spec : specs) add_source(*params, spec);
      },
      "PORT[:DIRECTION]", "port to watch, as in add-mirror [all]; repeatable");
  vlans(app, params, "--source-vlan", "sources.vlans", "only frames of these VLANs, such as 10,20-29");
  for (const char* key : {"filter", "skip"}) {
    const std::string member_name = key;
    repeated(
        app, "--" + member_name,
        [params, member_name](const std::vector<std::string>& given) { (*params)[member_name] = given; },
        "MATCH",
        member_name == "filter"
            ? "copy only frames that match, such as tcp,tp_dst=80: decided in the switch; repeatable"
            : "never copy frames that match; repeatable");
  }
  app.add_option("--bpf", options->bpf,
                 "write only frames that fit this filter of tcpdump: decided in this program")
      ->type_name("EXPRESSION");
  app.add_option("-w,--write", options->write,
                 "write pcapng to this file, or - for standard output; without it, tcpdump prints the frames")
      ->type_name("FILE");
  app.add_option("-c,--count", options->count, "end after this many frames")->check(CLI::PositiveNumber);
  app.add_option("--duration", options->duration, "end after this time (10s, 5m, 1h)")->type_name("TIME");
  app.add_option("--rotate", options->rotate, "begin another file when one has this size (100MB)")
      ->type_name("SIZE");
  app.add_option("--files", options->files, "with --rotate: keep only the last so many files")
      ->check(CLI::Range(std::int64_t{1}, kMaxFiles));
  number(app, params, "--snaplen", "snaplen", "keep only so many bytes of a frame")->type_name("BYTES");
  number(app, params, "--sample", "sample", "copy one frame in N, chosen at random")->type_name("N");
  text(app, params, "--name", "name", "name of the session while it lives [capture-PID]")->required(false);
  return [params, options] {
    if (options->files != 0 && options->rotate.empty()) throw UsageError("--files requires --rotate SIZE");
    if (!options->rotate.empty() && (options->write.empty() || options->write == "-"))
      throw UsageError("--rotate requires -w FILE");
    refuse_terminal(options->write);
    if (!options->bpf.empty()) BpfFilter{options->bpf};
    Json local = {{"write", options->write}, {"bpf", options->bpf},       {"count", options->count},
                  {"files", options->files}, {"rotate", std::int64_t{0}}, {"duration", 0.0}};
    if (!options->rotate.empty()) {
      const auto size = parse_size(options->rotate);
      if (!size)
        throw UsageError("--rotate takes a size, such as 100MB or 1GB, not '" + options->rotate + "'");
      local["rotate"] = *size;
      if (local["rotate"] < kMinRotate)
        throw UsageError("--rotate takes at least " + std::to_string(kMinRotate) + " bytes");
    }
    if (!options->duration.empty()) {
      const auto seconds = parse_span(options->duration);
      if (!seconds || *seconds == 0)
        throw UsageError("--duration takes a time, such as 10s, 5m or 1h, not '" + options->duration + "'");
      local["duration"] = static_cast<double>(*seconds);
    }
    Json request = *params;
    if (!request.contains("sources")) request["sources"] = {{"all", true}};
    if (!request.contains("name")) request["name"] = "capture-" + std::to_string(::getpid());
    request["destination"] = {{"capture", true}};
    return std::vector<Call>{Call{"mirror.add", request, 0, false, local}};
  };
}

}  // namespace

const std::vector<Command> kCaptureCommands = {
    {"capture", "capture frames into a pcapng file, or print them, until interrupted",
     "br0 --source t1 -w t1.pcapng\n"
     "br0 --source t1 --source t2:rx --filter tcp,tp_dst=80 --count 100\n"
     "br0 --bpf arp -w arp.pcapng --rotate 100MB --files 10",
     declare_capture, render_nothing, nullptr, nullptr, nullptr, nullptr, nullptr, run_capture},
    {"dump-record", "write what a session has recorded into a pcapng file, or print it",
     "br0 black-box -w last-minutes.pcapng\n"
     "br0 black-box --bpf arp --clear",
     declare_dump_record, render_nothing, nullptr, nullptr, nullptr, nullptr, nullptr, run_dump_record},
};

}  // namespace vswitch::ctl
