// Commands with several keys, or with all: one part for each key or shard, and their replies put
// together.
#include "session.hpp"

namespace mini {

/// f(shard, arguments) for every part.
template <class F>
void session::each_part(const command& what, const arguments& args, F f) {
    switch (what.to) {
        case route::sum_keys:
        case route::list_keys:
            for (std::size_t i = 1; i < args.size(); ++i) {
                const std::string_view one[] = {args[0], args[i]};
                f(owner.keys.shard_of(args[i]), std::span(one));
            }
            break;
        case route::set_pairs:
            for (std::size_t i = 1; i < args.size(); i += 2) {
                const std::string_view one[] = {args[0], args[i], args[i + 1]};
                f(owner.keys.shard_of(args[i]), std::span(one));
            }
            break;
        default:
            for (unsigned i = 0; i < owner.keys.size(); ++i) f(i, std::span(args));
    }
}

void session::run_many(const command& what, const arguments& args) {
    if (what.to == route::set_pairs && args.size() % 2 == 0) return refuse(&what, args, out());
    std::uint64_t shards = 0;
    bool at_hand = true;
    std::size_t count = 0;
    each_part(what, args, [&](unsigned i, auto) {
        shards |= std::uint64_t{1} << i;
        at_hand = at_hand && owner.keys.at_hand(i, worker);
        ++count;
    });
    auto now = wall_clock();
    auto run = [&](unsigned i, std::span<const std::string_view> part, std::string& to) {
        owner.keys[i].now = now;
        call c{owner.keys[i], part, reply(to)};
        execute(what, c);
    };
    if (at_hand) {
        auto locks = owner.keys.lock_all(shards);  // so it is atomic
        std::string replies;
        each_part(what, args, [&](unsigned i, auto part) { run(i, part, replies); });
        combine(what, replies, count);
    } else {
        each_part(what, args, [&](unsigned i, auto part) {
            if (owner.keys.at_hand(i, worker)) {
                run(i, part, crossing_.here());
            } else {
                crossing_.send(i, part);
            }
        });
        gathering_ = &what;
        gathered_ = count;
    }
}

void session::combine(const command& what, std::string_view replies, std::size_t count) {
    // The number in the first line of what is left, and that line goes.
    auto number = [&replies] {
        std::int64_t n = 0;
        auto end = replies.find("\r\n");
        (void)to_integer(replies.substr(1, end - 1), n);
        replies.remove_prefix(end + 2);
        return n;
    };
    if (replies.starts_with('-')) {  // every part says the same
        out_.append(replies.substr(0, replies.find("\r\n") + 2));
    } else if (what.to == route::list_keys) {
        out().array(count);
        out_.append(replies);
    } else if (what.to == route::list_shards) {
        std::int64_t total = 0;
        std::string all;
        while (!replies.empty()) {
            for (auto left = number(); left > 0; --left, ++total) {
                auto header = replies.find("\r\n") + 2;
                std::int64_t length = 0;
                (void)to_integer(replies.substr(1, header - 3), length);
                auto size = header + static_cast<std::size_t>(length) + 2;
                all.append(replies.substr(0, size));
                replies.remove_prefix(size);
            }
        }
        out().array(static_cast<std::size_t>(total));
        out_.append(all);
    } else if (what.to == route::sum_keys || what.to == route::sum_shards) {
        std::int64_t sum = 0;
        while (!replies.empty()) sum += number();
        out().integer(sum);
    } else {
        out().ok();
    }
}

}  // namespace mini
