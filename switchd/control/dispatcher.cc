// SPDX-License-Identifier: Apache-2.0
#include "switchd/control/dispatcher.h"

#include <utility>

#include "switchd/base/log.h"
#include "switchd/base/memory_reserve.h"

namespace vswitch::control {
namespace {

const log::Module kDispatcherLog{"dispatcher"};

Dispatcher::Handler answering(Dispatcher::PlainHandler handler) {
  return [handler = std::move(handler)](Client& client, const jsonrpc::Request& request, const Reply& reply) {
    reply(handler(client, request));
  };
}

template <typename Table>
const Dispatcher::Handler* lookup(const Table& table, const std::string& method) {
  const auto it = table.find(method);
  return it == table.end() ? nullptr : &it->second;
}

void refuse_unknown(const jsonrpc::Request& request, const Reply& reply) {
  if (request.version == jsonrpc::Version::v1) {
    reply.fail_v1(
        "unknown method");  // exactly these words: the fallbacks of Open vSwitch's clients depend on them
  } else {
    reply.fail({jsonrpc::kMethodNotFound,
                "there is no method \"" + request.method + "\"",
                {{"field", "method"}, {"value", request.method}}});
  }
}

void refuse_to_reader(const jsonrpc::Request& request, const Reply& reply) {
  const std::string why =
      request.method + " changes something, and this connection may only read; " + kMayWrite;
  if (request.version == jsonrpc::Version::v1) {
    reply.fail_v1({{"error", "not allowed"}, {"details", why}});
  } else {
    reply.fail({kReadOnly, why, {{"reason", "read_only"}, {"field", "method"}, {"value", request.method}}});
  }
}

void fail_internally(const jsonrpc::Request& request, const Reply& reply, const std::string& why) {
  if (request.version == jsonrpc::Version::v1) {
    reply.fail_v1({{"error", "internal error"}, {"details", why}});
  } else {
    reply.fail({jsonrpc::kInternalError, "internal error: " + why});
  }
}

}  // namespace

struct Reply::Slot {
  Slot(const jsonrpc::Request& asked, Sink to) : sink(std::move(to)) {
    request.version = asked.version;
    request.id = asked.id;
    request.method = asked.method;
  }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  ~Slot() {
    if (!sink) return;
    try {
      log::dbg(kDispatcherLog, "the handler of {} gave no answer",
               request.method);  // normal when the daemon ends
      deliver(jsonrpc::make_error(request.version, request.id,
                                  {jsonrpc::kInternalError, "internal error: the request was not answered"}));
    } catch (const std::exception&) {  // no memory for the answer; a destructor must not throw
    }
  }
  void deliver(std::optional<Json> message) {
    if (sink) std::exchange(sink, nullptr)(std::move(message));
  }

  jsonrpc::Request request;  // without its params
  Sink sink;                 // empty once answered
};

Reply::Reply(const jsonrpc::Request& request, Sink sink)
    : slot_(std::make_shared<Slot>(request, request.wants_reply ? std::move(sink) : nullptr)) {}

void Reply::operator()(Json result) const {
  slot_->deliver(jsonrpc::make_result(slot_->request.version, slot_->request.id, std::move(result)));
}

void Reply::fail(const jsonrpc::Error& error) const {
  slot_->deliver(jsonrpc::make_error(slot_->request.version, slot_->request.id, error));
}

void Reply::fail_v1(Json error) const {
  if (slot_->request.version == jsonrpc::Version::v1) {
    slot_->deliver(jsonrpc::make_error_v1(slot_->request.id, std::move(error)));
  } else {
    fail({jsonrpc::kInternalError, "internal error", std::move(error)});
  }
}

void Reply::forget() const {
  slot_->deliver(std::nullopt);
}

bool Reply::answered() const {
  return !slot_->sink;
}

void Dispatcher::add(const std::string& method, Handler handler) {
  methods_[method] = std::move(handler);
}
void Dispatcher::add(const std::string& method, PlainHandler handler) {
  add(method, answering(std::move(handler)));
}

void Dispatcher::add_v1(const std::string& method, Handler handler) {
  methods_v1_[method] = std::move(handler);
}
void Dispatcher::add_v1(const std::string& method, PlainHandler handler) {
  add_v1(method, answering(std::move(handler)));
}
void Dispatcher::add_v1_notification(const std::string& method, PlainHandler handler) {
  notifications_v1_[method] = answering(std::move(handler));
}
void Dispatcher::set_v1_fallback(Handler handler) {
  fallback_v1_ = std::move(handler);
}

void Dispatcher::add_echo() {
  const PlainHandler echo = [](Client&, const jsonrpc::Request& request) { return request.params; };
  add("echo", echo);
  add_v1("echo", echo);
  allow_to_readers("echo");
  allow_to_readers_v1("echo");
  echoes_ = true;
}

std::vector<std::string> Dispatcher::methods() const {
  std::vector<std::string> names;
  for (const auto& [name, handler] : methods_) names.push_back(name);
  return names;
}

const Dispatcher::Handler* Dispatcher::find(const jsonrpc::Request& request) const {
  if (request.version == jsonrpc::Version::v2) return lookup(methods_, request.method);
  if (!request.wants_reply) return lookup(notifications_v1_, request.method);
  const Handler* handler = lookup(methods_v1_, request.method);
  return handler || !fallback_v1_ ? handler : &fallback_v1_;
}

// The notifications of 1.0 (`cancel`) are about the client's own requests.
bool Dispatcher::is_for_readers(const jsonrpc::Request& request) const {
  if (request.version == jsonrpc::Version::v2) return for_readers_.contains(request.method);
  return !request.wants_reply || for_readers_v1_.contains(request.method);
}

void Dispatcher::dispatch(Client& client, const jsonrpc::Request& request, Reply reply) {
  count_request();
  const Handler* handler = find(request);
  if (!handler) return refuse_unknown(request, reply);
  if (client.read_only() && !is_for_readers(request)) return refuse_to_reader(request, reply);
  try {
    memory::check();  // the message may have taken it all
    (*handler)(client, request, reply);
  } catch (const jsonrpc::Error& error) {
    reply.fail(error);
  } catch (const std::exception& error) {
    memory::refill_reserve();  // what the request had is free again
    log::err(kDispatcherLog, "{} of {} failed: {}", request.method, client.name(), error.what());
    fail_internally(request, reply, error.what());
  }
}

}  // namespace vswitch::control
