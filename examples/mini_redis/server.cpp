// The server's life: it replays the file, listens on every worker, and ends in good order.
#include "server.hpp"

#include <chrono>
#include <csignal>
#include <iostream>
#include <memory>
#include <optional>
#include <variant>

#include "../options.hpp"
#include "session.hpp"

namespace mini {

using namespace std::chrono_literals;

server::server(const settings& s, rt::runtime_flavor flavor, unsigned workers)
    : given(s), workers(workers), keys(workers, flavor != rt::runtime_flavor::thread_per_core) {}

void server::enter(session& s) {
    std::lock_guard guard(mutex_);
    sessions_.insert(&s);
    ++clients;
    ++connections;
    if (draining) s.read_no_more();
}
void server::leave(session& s) {
    std::lock_guard guard(mutex_);
    sessions_.erase(&s);
    if (--clients == 0) empty_.notify_one();
}

/// What has come can still be read, and then comes the end: so each session answers what was sent
/// to it, and goes.
void server::read_no_more() {
    std::lock_guard guard(mutex_);
    draining = true;
    for (auto* s : sessions_) s->read_no_more();
}

namespace {
rt::io_task<> one_session(std::unique_ptr<session> s) {
    (void)co_await s->run();  // a client that resets its connection is no concern of ours
    for (auto& channel : s->subscribed) co_await s->owner.topics.unsubscribe(channel, s->id);
    co_return {};
}
}  // namespace

rt::io_task<> server::accept(rt::tcp_listener& from, rt::task_group& sessions, unsigned worker) {
    for (;;) {
        auto next = co_await from.accept();
        if (!next && next.error() == rt::errc::closed) co_return {};
        if (!next) co_return next.error();
        (void)next->stream.options().nodelay(true);
        // Made here, so that it is counted before we may end.
        auto made = std::make_unique<session>(*this, std::move(next->stream), worker);
        sessions.spawn({.own_failure = true}, one_session(std::move(made)));
    }
}

rt::io_task<> server::serve(std::vector<rt::tcp_listener>& listeners) {
    auto signals = rt::signals(SIGINT, SIGTERM);
    if (!signals) co_return signals.error();
    co_return co_await rt::with_group([&](rt::task_group& sessions) -> rt::io_task<> {
        for (unsigned i = 0; i < listeners.size(); ++i)
            sessions.spawn_on(i, accept(listeners[i], sessions, i));
        say_listening(*listeners[0].local());
        (void)co_await rt::select(signals->next(), asked_to_end.wait());
        std::cout << "ending: no new clients, answers for those that are here" << std::endl;
        for (auto& l : listeners) l.close();
        read_no_more();
        auto end = co_await rt::this_task::now() + 5s;
        while (clients != 0) {
            auto first = co_await rt::select(empty_.wait(), rt::sleep_until(end));
            if (first.index() == 1) break;
        }
        sessions.stop();  // those that do not take their answers
        co_return {};
    });
}

rt::io_task<> server::run(rt::endpoint at) {
    std::vector<rt::receiver<expiry_note>> notes;
    for (unsigned i = 0; i < keys.size(); ++i) {
        auto [in, out] = rt::unbounded_channel<expiry_note>();
        keys[i].expiries = std::move(in);
        notes.push_back(std::move(out));
    }
    if (!given.append_only.empty()) log.open(given.append_only, keys);
    std::vector<rt::tcp_listener> listeners;
    // Sharing the port among our workers must not share it with another server.
    if (workers > 1 && at.port != 0) (void)co_await rt::tcp_listener::bind(at).or_return();
    for (unsigned i = 0; i < workers; ++i) {
        rt::bind_options options{.reuse_port = workers > 1};
        listeners.push_back(co_await rt::tcp_listener::bind(at, options).or_return());
        at = *listeners.back().local();  // port 0 became a port, for all of them
    }
    port = at.port;
    std::optional<rt::join_handle<rt::result<>>> writer;
    if (log.is_open()) writer = rt::spawn({.name = "append-only file"}, log.run(keys));
    auto served = co_await rt::with_group([&](rt::task_group& group) -> rt::io_task<> {
        for (unsigned i = 0; i < keys.size(); ++i)
            group.spawn_on(i % workers, expire_keys(i, std::move(notes[i])));
        auto done = co_await serve(listeners);
        group.stop();
        co_return done;
    });
    if (writer) {
        log.finish();
        auto written = co_await std::move(*writer);
        if (served) co_return written;
    }
    co_return served;
}

}  // namespace mini
