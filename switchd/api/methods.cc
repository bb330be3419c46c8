// SPDX-License-Identifier: Apache-2.0
// Params in, reply out, for every method alike.
#include "switchd/api/methods.h"

#include <utility>

#include "switchd/api/api.h"
#include "switchd/api/errors.h"
#include "switchd/api/params.h"

namespace vswitch {

void register_api(control::Dispatcher& dispatcher, ovsdb::Database& database, const bridge::SwitchView& view,
                  history::History& history) {
  api::Methods methods(dispatcher, database, view.applied, history);
  api::add_bridge_methods(methods);
  api::add_port_methods(methods, view.counters);
  api::add_mirror_methods(methods, view.counters, view.datapath);
  api::add_explain_methods(methods, view.explain, view.datapath);
  api::add_fdb_methods(methods, view.fdb);
  api::add_system_methods(methods, view.counters, view.datapath);
  api::add_maintenance_methods(methods, view.datapath);
  api::add_health_methods(methods, view.counters, view.datapath);
  api::add_metrics_methods(methods, view.counters, view.datapath);
  api::add_subscriptions(methods);
  api::add_event_methods(methods);
}

namespace api {

using ovsdb::Database;

namespace {

/// Also for a result that came late: another client may have removed the row that it refers to.
template <class Work>
void guarded(const control::Reply& reply, const Work& work) {
  try {
    work();
  } catch (const jsonrpc::Error& error) {
    reply.fail(error);
  } catch (const std::exception& error) {
    reply.fail({jsonrpc::kInternalError, std::string("internal error: ") + error.what(), {}});
  }
}

template <class Make>
void answer(const control::Reply& reply, const Make& make) {
  guarded(reply, [&] { reply(make()); });
}

}  // namespace

void Methods::read(const std::string& method, std::function<Json(const Json&)> handler) {
  session(method,
          [handler = std::move(handler)](control::Client&, const Json& params) { return handler(params); });
}

void Methods::act(const std::string& method, std::function<Json(const Json&)> handler) {
  add(method,
      [handler = std::move(handler)](control::Client&, const Json& params) { return handler(params); });
}

void Methods::act(const std::string& method, std::function<Json(control::Client&, const Json&)> handler) {
  add(method, std::move(handler));
}

void Methods::session(const std::string& method, std::function<Json(control::Client&, const Json&)> handler) {
  add(method, std::move(handler));
  dispatcher_.allow_to_readers(method);
}

void Methods::add(const std::string& method, std::function<Json(control::Client&, const Json&)> handler) {
  dispatcher_.add(method,
                  control::Dispatcher::Handler(
                      [to = &applied, method, handler = std::move(handler)](
                          control::Client& session, const jsonrpc::Request& request, control::Reply reply) {
                        to->when_applied([client = session.weak_from_this(), reply, handler,
                                          params = checked_params(method, request)] {
                          const std::shared_ptr<control::Client> alive = client.lock();
                          if (alive && alive->is_open())
                            answer(reply, [&] { return handler(*alive, params); });
                        });
                      }));
}

void Methods::later(const std::string& method,
                    std::function<void(control::Client&, const Json&, const control::Reply&)> handler) {
  dispatcher_.allow_to_readers(method);
  dispatcher_.add(method,
                  control::Dispatcher::Handler(
                      [to = &applied, method, handler = std::move(handler)](
                          control::Client& session, const jsonrpc::Request& request, control::Reply reply) {
                        to->when_applied([client = session.weak_from_this(), reply, handler,
                                          params = checked_params(method, request)] {
                          const std::shared_ptr<control::Client> alive = client.lock();
                          if (alive && alive->is_open())
                            guarded(reply, [&] { handler(*alive, params, reply); });
                        });
                      }));
}

void Methods::change(const std::string& method, std::function<Outcome(const Json&)> handler) {
  change(method, std::function<Outcome(control::Client&, const Json&)>(
                     [handler = std::move(handler)](control::Client&, const Json& params) {
                       return handler(params);
                     }));
}

void Methods::change(const std::string& method,
                     std::function<Outcome(control::Client&, const Json&)> handler) {
  dispatcher_.add(
      method, control::Dispatcher::Handler([to = *this, method, handler = std::move(handler)](
                                               control::Client& session, const jsonrpc::Request& request,
                                               control::Reply reply) {
        try {
          const Database::By by(to.database, session.who());
          Outcome outcome = handler(session, checked_params(method, request));
          to.applied.when_applied([reply, outcome = std::move(outcome)] { answer(reply, outcome); });
        } catch (const jsonrpc::Error& error) {
          to.history.refused(session.who(), method, error.message);
          throw;
        }
      }));
}

void answer_with(const control::Reply& reply, const std::function<Json()>& make) {
  answer(reply, make);
}

void commit(ovsdb::Transaction& transaction) {
  const auto error = transaction.commit();
  if (!error) return;
  const bool contradiction =
      error->error == "constraint violation" || error->error == "referential integrity violation";
  const std::string& sentence = error->details.empty() ? error->error : error->details;
  if (contradiction) throw conflict("", nullptr, sentence);
  throw unavailable("the change was not made: " + sentence);
}

}  // namespace api
}  // namespace vswitch
