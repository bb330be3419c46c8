// SPDX-License-Identifier: Apache-2.0
#include "switchd/ovsdb_server/ovsdb_server.h"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <array>

#include "schemas/json.h"
#include "schemas/ovsdb/error.h"
#include "switchd/base/limits.h"
#include "switchd/base/memory_reserve.h"
#include "switchd/ovsdb_server/server_database.h"

namespace vswitch::ovsdb {

namespace {

constexpr std::size_t kLockBytes = 1024;  // a lock's place in maps and queues, about

Json lock_name(const jsonrpc::Request& request) {
  const Json& params = request.params;
  if (params.size() == 1 && params[0].is_string() && is_id(params[0].get_ref<const std::string&>()))
    return params[0];
  throw syntax_error(params, request.method + " request params must be <id>");
}

/// A handler whose Errors become the error objects of the dialect.
template <class Call>
control::Dispatcher::Handler handler(Call call) {
  return [call](control::Client& client, const jsonrpc::Request& request, control::Reply reply) {
    try {
      call(client, request, reply);
    } catch (const Error& error) {
      reply.fail_v1(error.to_json());
    }
  };
}

}  // namespace

OvsdbServer::OvsdbServer(boost::asio::io_context& io, control::Dispatcher& dispatcher, Database& database)
    : io_(io),
      server_database_(make_server_database(database.schema())),
      server_id_(Uuid::random().to_string()),
      alive_(std::make_shared<OvsdbServer*>(this)) {
  serve(database, false);
  serve(*server_database_, true);
  add_methods(dispatcher);
}

OvsdbServer::~OvsdbServer() {
  *alive_ = nullptr;
  for (const Wait& wait : waits_) wait.reply.forget();
  for (auto& [name, served] : served_) served.database->remove_listener(served.listener);
}

void OvsdbServer::serve(Database& database, bool read_only) {
  const auto listener =
      database.on_commit([this, &database](const Changes& changes) { notify(database, changes); });
  served_.emplace(database.schema().name, Served{&database, read_only, listener});
}

void OvsdbServer::add_methods(control::Dispatcher& dispatcher) {
  const auto add = [&](const char* method, auto call) {
    dispatcher.add_v1(method, handler([call](control::Client& client, const jsonrpc::Request& request,
                                             const control::Reply& reply) { reply(call(client, request)); }));
  };
  add("list_dbs", [this](control::Client&, const jsonrpc::Request&) {
    Json names = Json::array();
    for (const auto& [name, served] : served_) names.push_back(name);
    return names;
  });
  add("get_schema", [this](control::Client&, const jsonrpc::Request& request) {
    return served_of(request).database->schema().to_json();
  });
  add("get_server_id", [this](control::Client&, const jsonrpc::Request&) { return Json(server_id_); });
  add("set_db_change_aware", [](control::Client&, const jsonrpc::Request& request) {
    if (request.params.size() == 1 && request.params[0].is_boolean()) return Json::object();
    throw syntax_error(request.params, "set_db_change_aware: true or false parameter expected");
  });
  add("convert", [](control::Client&, const jsonrpc::Request&) -> Json {
    throw Error("not supported", "The schema belongs to the daemon and cannot be converted by a client.");
  });
  dispatcher.add_v1("transact",
                    handler([this](control::Client& client, const jsonrpc::Request& request,
                                   const control::Reply& reply) { transact(client, request, reply); }));
  add("monitor", [this](control::Client& s, const jsonrpc::Request& r) {
    return monitor(s, r, MonitorVersion::update);
  });
  add("monitor_cond", [this](control::Client& s, const jsonrpc::Request& r) {
    return monitor(s, r, MonitorVersion::update2);
  });
  add("monitor_cond_since", [this](control::Client& s, const jsonrpc::Request& r) {
    return monitor(s, r, MonitorVersion::update3);
  });
  add("monitor_cond_change",
      [this](control::Client& s, const jsonrpc::Request& r) { return monitor_change(s, r); });
  dispatcher.add_v1("monitor_cancel", [this](control::Client& client, const jsonrpc::Request& request) {
    return monitor_cancel(client, request);
  });
  add("lock", [this](control::Client& s, const jsonrpc::Request& r) { return lock(s, r, false); });
  add("steal", [this](control::Client& s, const jsonrpc::Request& r) { return lock(s, r, true); });
  add("unlock", [this](control::Client& s, const jsonrpc::Request& r) { return unlock(s, r); });
  for (const char* method :
       {"list_dbs", "get_schema", "get_server_id", "set_db_change_aware", "transact", "monitor",
        "monitor_cond", "monitor_cond_since", "monitor_cond_change", "monitor_cancel"})
    dispatcher.allow_to_readers_v1(method);
  dispatcher.add_v1_notification("cancel", [this](control::Client& client, const jsonrpc::Request& request) {
    cancel(client, request);
    return Json();
  });
}

OvsdbServer::ClientState& OvsdbServer::client_of(control::Client& client) {
  const auto [at, first] = clients_.try_emplace(client.id(), ClientState{&client, {}, {}});
  if (first) {
    client.on_close([alive = alive_, id = client.id()] {
      if (*alive) (*alive)->forget(id);
    });
  }
  return at->second;
}

void OvsdbServer::forget(std::uint64_t client) {
  clients_.erase(client);
  drop_unused_views();
  std::erase_if(waits_, [client](const Wait& wait) {
    if (wait.client == client) wait.reply.forget();
    return wait.client == client;
  });
  for (const std::string& name : locks_.names(client)) {
    if (const auto owner = locks_.unlock(name, client)) notify_lock("locked", *owner, name);
  }
}

OvsdbServer::Served& OvsdbServer::served_of(const jsonrpc::Request& request) {
  const Json& params = request.params;
  if (params.empty() || !params[0].is_string()) {
    throw syntax_error(params, request.method + " request params must begin with <db-name>");
  }
  const std::string& name = params[0].get_ref<const std::string&>();
  const auto found = served_.find(name);
  if (found != served_.end()) return found->second;
  Error error = syntax_error(params, request.method + " request specifies unknown database " + name);
  error.error = "unknown database";
  throw error;
}

// Transactions.

TransactResult OvsdbServer::attempt(control::Client& client, const Served& served, const Json& params,
                                    Clock::time_point since) {
  TransactContext context;
  context.first = 1;  // after the name of the database
  context.elapsed_ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - since).count();
  context.read_only = served.read_only || client.read_only();
  context.owns_lock = [this, id = client.id()](const std::string& name) { return locks_.owns(name, id); };
  const Database::By by(*served.database, client.who());
  TransactResult result = served.database->transact(params, context);
  // Who may only read must not fill the history with what was refused to it.
  if (refused_ && !result.waiting() && !client.read_only()) look_for_refusal(client, params, result);
  return result;
}

void OvsdbServer::look_for_refusal(control::Client& client, const Json& operations,
                                   const TransactResult& result) const {
  const Json& answers = *result.reply;
  const auto failed = std::find_if(answers.begin(), answers.end(), [](const Json& answer) {
    return answer.is_object() && answer.contains("error");
  });
  if (failed == answers.end()) return;
  const std::string error = failed->value("error", "");
  if (error == "timed out" || error == "not owner" || error == "aborted") return;
  const bool writes = std::any_of(operations.begin(), operations.end(), [](const Json& operation) {
    constexpr std::array<std::string_view, 4> kWriting = {"insert", "update", "mutate", "delete"};
    const auto op = operation.is_object() ? operation.find("op") : operation.end();
    return op != operation.end() && op->is_string() &&
           std::find(kWriting.begin(), kWriting.end(), op->get_ref<const std::string&>()) != kWriting.end();
  });
  if (writes) refused_(client.who(), error + ": " + failed->value("details", ""));
}

void OvsdbServer::transact(control::Client& client, const jsonrpc::Request& request,
                           const control::Reply& reply) {
  Served& served = served_of(request);
  const std::uint64_t client_id = client.id();
  const Clock::time_point since = Clock::now();
  const TransactResult result = attempt(client, served, request.params, since);
  if (!result.waiting()) return reply(std::move(*result.reply));
  client_of(client);  // so that we notice its end
  waits_.push_back(Wait{next_wait_++, client_id, request.id, &served, request.params, reply, since,
                        boost::asio::steady_timer(io_)});
  const auto wait = std::prev(waits_.end());
  if (!result.retry_after_ms) return;
  arm(wait, *result.retry_after_ms);
}

void OvsdbServer::arm(Waits::iterator wait, std::int64_t after_ms) {
  // A client may ask for any 64-bit number of milliseconds; the clock overflows before that.
  const std::chrono::milliseconds most = std::chrono::hours(24);
  wait->timer.expires_after(std::min(std::chrono::milliseconds(after_ms), most));
  // Erasing the wait cancels its timer, but the callback may already be queued: so it looks the wait up.
  wait->timer.async_wait([alive = alive_, serial = wait->serial](const boost::system::error_code& cancelled) {
    if (!cancelled && *alive) (*alive)->expire(serial);
  });
}

void OvsdbServer::expire(std::uint64_t serial) {
  const auto found =
      std::find_if(waits_.begin(), waits_.end(), [serial](const Wait& w) { return w.serial == serial; });
  if (found != waits_.end()) retry(found);
}

void OvsdbServer::retry(Waits::iterator wait) {
  wait->due = false;
  TransactResult result;
  try {
    result = attempt(*clients_.at(wait->client).client, *wait->served, wait->params, wait->since);
  } catch (const std::exception& error) {  // too little memory: this request ends, the others go on
    result.reply = std::make_shared<Json>(Json::array({Error("internal error", error.what()).to_json()}));
    memory::refill_reserve();
  }
  if (result.waiting()) {
    if (result.retry_after_ms) arm(wait, *result.retry_after_ms);
    return;
  }
  const control::Reply reply = wait->reply;
  waits_.erase(wait);
  reply(std::move(*result.reply));
}

void OvsdbServer::schedule_retry() {
  for (Wait& wait : waits_) wait.due = true;
  if (!waits_.empty()) post_retry();
}

void OvsdbServer::post_retry() {
  if (std::exchange(retry_posted_, true)) return;
  boost::asio::post(io_, [alive = alive_] {
    if (*alive) (*alive)->retry_due();
  });
}

// For a moment, and then it is the clients' turn. A retry may commit, and then all are due again.
void OvsdbServer::retry_due() {
  retry_posted_ = false;
  const Clock::time_point until = Clock::now() + std::chrono::milliseconds(limits::kWaitsTurnMs);
  for (;;) {
    const auto wait = std::find_if(waits_.begin(), waits_.end(), [](const Wait& each) { return each.due; });
    if (wait == waits_.end()) return;
    if (Clock::now() >= until) return post_retry();
    retry(wait);
  }
}

void OvsdbServer::cancel(control::Client& client, const jsonrpc::Request& request) {
  if (request.params.size() != 1) return;
  const auto found = std::find_if(waits_.begin(), waits_.end(), [&](const Wait& wait) {
    return wait.client == client.id() && wait.id == request.params[0];
  });
  if (found == waits_.end()) return;
  found->reply.fail_v1("canceled");
  waits_.erase(found);
}

// Monitors.

std::size_t OvsdbServer::monitors() const {
  std::size_t count = 0;
  for (const auto& [id, client] : clients_) count += client.monitors.size();
  return count;
}

std::shared_ptr<OvsdbServer::SharedView> OvsdbServer::shared_view(Database& database, MonitorVersion version,
                                                                  const Json& requests) {
  const std::string key = database.schema().name + ' ' + std::to_string(static_cast<int>(version)) + ' ' +
                          requests.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (const auto found = views_.find(key); found != views_.end()) {
    if (auto view = found->second.lock()) return view;
  }
  auto view = std::make_shared<SharedView>(
      SharedView{View(version, database.schema(), requests), &database, nullptr, {}});
  views_[key] = view;
  return view;
}

Json OvsdbServer::monitor(control::Client& client, const jsonrpc::Request& request, MonitorVersion version) {
  Served& served = served_of(request);
  const Json& params = request.params;
  const bool since = version == MonitorVersion::update3;
  if (params.size() != (since ? 4U : 3U) || (since && !params[3].is_string())) {
    throw syntax_error(params, "invalid parameters");
  }
  ClientState& state = client_of(client);
  for (const Monitor& other : state.monitors) {
    if (other.id == params[1]) throw syntax_error(params[1], "duplicate monitor ID");
  }
  if (state.monitors.size() >= limits::kMonitors) {
    throw Error("resources exhausted", "a client may have " + std::to_string(limits::kMonitors) +
                                           " monitors; cancel some, or monitor several tables in one");
  }
  control::MemoryShare memory = client.keep(memory_of(params));
  auto view = shared_view(*served.database, version, params[2]);
  Json rows = view->view.initial(*served.database);
  state.monitors.push_back({params[1], std::move(view), std::move(memory)});
  return since ? Json::array({false, Uuid().to_string(), std::move(rows)}) : rows;
}

Json OvsdbServer::monitor_change(control::Client& client, const jsonrpc::Request& request) {
  const Json& params = request.params;
  if (params.size() != 3 || !params[2].is_object()) throw syntax_error(params, "invalid parameters");
  std::vector<Monitor>& monitors = client_of(client).monitors;
  const auto with_id = [&monitors](const Json& id) {
    return std::find_if(monitors.begin(), monitors.end(),
                        [&id](const Monitor& monitor) { return monitor.id == id; });
  };
  const auto found = with_id(params[0]);
  if (found == monitors.end()) throw syntax_error(params[0], "unknown monitor session");
  if (params[0] != params[1] && with_id(params[1]) != monitors.end()) {
    throw syntax_error(params[1], "duplicate monitor ID");
  }
  const SharedView& before = *found->view;
  auto after = std::make_shared<SharedView>(
      SharedView{before.view.with_conditions(params[2]), before.database, nullptr, {}});
  control::MemoryShare memory = client.keep(memory_of(params));
  Json updates = before.view.transition(after->view, *before.database);
  found->id = params[1];
  found->memory = std::move(memory);
  found->view = std::move(after);
  drop_unused_views();
  if (!updates.is_null()) {
    client.send_text(update_notification(found->view->view.version(), found->id, jsonrpc::to_text(updates)));
  }
  return Json::object();
}

Json OvsdbServer::monitor_cancel(control::Client& client, const jsonrpc::Request& request) {
  if (request.params.size() != 1) throw jsonrpc::Error(jsonrpc::kInvalidParams, "invalid parameters");
  std::vector<Monitor>& monitors = client_of(client).monitors;
  const auto cancelled =
      std::erase_if(monitors, [&](const Monitor& monitor) { return monitor.id == request.params[0]; });
  if (cancelled == 0) throw jsonrpc::Error(jsonrpc::kInvalidParams, "unknown monitor");
  drop_unused_views();
  return Json::object();
}

void OvsdbServer::drop_unused_views() {
  std::erase_if(views_, [](const auto& entry) { return entry.second.expired(); });
}

void OvsdbServer::notify(ClientState& state, Database& database, const Changes& changes) {
  for (const Monitor& monitor : state.monitors) {
    SharedView& shared = *monitor.view;
    if (shared.database != &database) continue;
    if (shared.seen != &changes) {
      const Json update = shared.view.update(changes);
      shared.update = update.is_null() ? std::string() : jsonrpc::to_text(update);
      shared.seen = &changes;
    }
    if (!shared.update.empty())
      state.client->send_text(update_notification(shared.view.version(), monitor.id, shared.update));
  }
}

void OvsdbServer::notify(Database& database, const Changes& changes) {
  for (auto& [id, state] : clients_) {
    try {
      notify(state, database, changes);
    } catch (const std::exception& error) {  // it has missed an update, so what it knows is not true any more
      state.client->close(std::string("a monitor could not be updated: ") + error.what());
      memory::refill_reserve();
    }
  }
  for (auto& [id, state] : clients_) {
    for (const Monitor& monitor : state.monitors) {
      monitor.view->seen = nullptr;
      std::string().swap(monitor.view->update);
    }
  }
  schedule_retry();
}

// Locks.

Json OvsdbServer::lock(control::Client& client, const jsonrpc::Request& request, bool steal) {
  const std::string name = lock_name(request);
  ClientState& state = client_of(client);
  if (locks_.asked(name, client.id())) {
    throw syntax_error(request.params, "must issue \"unlock\" before new \"" + request.method + "\"");
  }
  state.locks[name] = client.keep(kLockBytes + name.size());
  if (!steal) return {{"locked", locks_.lock(name, client.id())}};
  if (const auto former = locks_.steal(name, client.id())) notify_lock("stolen", *former, name);
  return {{"locked", true}};
}

Json OvsdbServer::unlock(control::Client& client, const jsonrpc::Request& request) {
  const std::string name = lock_name(request);
  if (!locks_.asked(name, client.id())) {
    throw syntax_error(request.params, "unlock: \"unlock\" without \"lock\" or \"steal\"");
  }
  client_of(client).locks.erase(name);
  if (const auto owner = locks_.unlock(name, client.id())) notify_lock("locked", *owner, name);
  return Json::object();
}

void OvsdbServer::notify_lock(const std::string& method, std::uint64_t client, const std::string& name) {
  const auto found = clients_.find(client);
  if (found == clients_.end()) return;
  found->second.client->send(jsonrpc::make_notification(jsonrpc::Version::v1, method, Json::array({name})));
}

}  // namespace vswitch::ovsdb
