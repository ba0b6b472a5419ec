// Commands that may wait: for a list to be filled (blocking.cpp), or for the lock of the
// subscribers (publishing.cpp).
#pragma once
#include <string>
#include <vector>
import rt;

namespace mini {

class session;

rt::task<> blpop(session& s, std::vector<std::string> args);
rt::task<> brpop(session& s, std::vector<std::string> args);
rt::task<> publish(session& s, std::vector<std::string> args);
rt::task<> subscribe(session& s, std::vector<std::string> args);
rt::task<> unsubscribe(session& s, std::vector<std::string> args);

}  // namespace mini
